package ntlm_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/ntlm"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// collector is a Sink for one message.
type collector struct {
	facts  []dissector.Fact
	counts map[string]int
}

func (c *collector) Emit(f *dissector.Fact)                       { c.facts = append(c.facts, *f) }
func (c *collector) Count(name string)                            { c.counts[name]++ }
func (*collector) Expect(proto.Transport, netip.AddrPort, string) {}
func (*collector) Inner(string)                                   {}
func (*collector) Done()                                          {}

func emit(m []byte) *collector {
	c := &collector{counts: map[string]int{}}
	ntlm.Emit(&dissector.Context{Headers: &packet.Headers{}, Sink: c}, m)
	return c
}

// text is the fact's attributes.
func (c *collector) text() string {
	var out []string
	for _, f := range c.facts {
		s := f.Kind
		for _, a := range f.Attributes {
			s += " " + a.Name + "=" + f.Attributes.Get(a.Name)
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// build puts the fields of a message behind its fixed part, which the callback
// writes given where each field lies.
func build(kind, fixed int, fields [][]byte, head func(at []byte, ref func(i int) []byte) []byte) []byte {
	offsets := make([]int, len(fields))
	at := fixed
	for i, f := range fields {
		offsets[i] = at
		at += len(f)
	}
	ref := func(i int) []byte {
		n := uint16(len(fields[i]))
		return slices.Concat(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, n), n), le32(uint32(offsets[i])))
	}
	b := head(append([]byte("NTLMSSP\x00"), le32(uint32(kind))...), ref)
	return slices.Concat(append([][]byte{b}, fields...)...)
}

var version = []byte{10, 0, 0x61, 0x4a, 0, 0, 0, 15} // 10.0.19041

const (
	unicode = 0x1
	ess     = 0x80000
	info    = 0x800000
	versed  = 0x2000000
)

func negotiateMessage() []byte {
	return build(1, 40, [][]byte{[]byte("WARD"), []byte("WS7")}, func(b []byte, ref func(int) []byte) []byte {
		return slices.Concat(b, le32(0x3000|versed), ref(0), ref(1), version)
	})
}

func pair(id uint16, value []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, id), uint16(len(value))), value...)
}

func challengeMessage(target []byte) []byte {
	return build(2, 56, [][]byte{wide("WARD"), target}, func(b []byte, ref func(int) []byte) []byte {
		return slices.Concat(b, ref(0), le32(unicode|info|versed), []byte("chalLeng"), make([]byte, 8), ref(1), version)
	})
}

var target = slices.Concat(pair(2, wide("WARD")), pair(1, wide("PACS1")), pair(4, wide("ward.example")), pair(3, wide("pacs1.ward.example")),
	pair(5, wide("example")), pair(7, make([]byte, 8)), pair(9, wide("cifs/CANARY")), pair(0, nil))

func authenticateMessage(lm, nt []byte, domain, user, workstation string, flags uint32) []byte {
	return build(3, 72, [][]byte{lm, nt, wide(domain), wide(user), wide(workstation), []byte("sessionkeycanary")}, func(b []byte, ref func(int) []byte) []byte {
		return slices.Concat(b, ref(0), ref(1), ref(2), ref(3), ref(4), ref(5), le32(flags|unicode|versed), version)
	})
}

func TestMessages(t *testing.T) {
	response, response2 := []byte("aaaaaaaaaaaaaaaaaaaaaaaa"), make([]byte, 300)
	for _, tc := range []struct {
		name string
		m    []byte
		want string
	}{
		{"negotiate", negotiateMessage(), "ntlm_negotiate computer_name=WS7 netbios_domain=WARD os_version=10.0.19041 role=client"},
		{"negotiate that says nothing", build(1, 16, nil, func(b []byte, _ func(int) []byte) []byte { return append(b, le32(0)...) }), ""},
		{"challenge", challengeMessage(target), "ntlm_challenge computer_name=PACS1 dns_computer_name=pacs1.ward.example dns_domain=ward.example dns_forest=example netbios_domain=WARD os_version=10.0.19041 role=server target_name=WARD"},
		{"challenge, no pairs", challengeMessage(pair(0, nil)), "ntlm_challenge os_version=10.0.19041 role=server target_name=WARD"},
		{"version 2", authenticateMessage(nil, response2, "WARD", "jdoe", "WS7", ess), "ntlm_authenticate account=other computer_name=WS7 netbios_domain=WARD ntlm_version=v2 os_version=10.0.19041 role=client"},
		{"version 1", authenticateMessage(response, response, "WARD", "jdoe", "WS7", 0), "ntlm_authenticate account=other computer_name=WS7 legacy=true netbios_domain=WARD ntlm_version=v1 os_version=10.0.19041 role=client"},
		{"LAN Manager", authenticateMessage(response, nil, "", "jdoe", "WS7", 0), "ntlm_authenticate account=other computer_name=WS7 legacy=true ntlm_version=lm os_version=10.0.19041 role=client"},
		{"nobody", authenticateMessage([]byte{0}, nil, "", "", "WS7", 0), "ntlm_authenticate computer_name=WS7 ntlm_version=anonymous os_version=10.0.19041 role=client"},
		{"named like the user", authenticateMessage(nil, response2, "JDoe", "jdoe", "jdoe", 0), "ntlm_authenticate account=other ntlm_version=v2 os_version=10.0.19041 role=client"},
		{"cut inside of the answer", authenticateMessage(nil, response2, "WARD", "jdoe", "WS7", 0)[:100], "ntlm_authenticate netbios_domain= role=client"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := emit(tc.m).text()
			if strings.HasPrefix(tc.name, "cut") {
				if !strings.Contains(got, "ntlm_version=v2") || strings.Contains(got, "WS7") {
					t.Error(got)
				}
				return
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestBroken(t *testing.T) {
	for _, tc := range []struct {
		name, counter string
		m             []byte
	}{
		{"short", "ntlm_malformed", []byte("NTLMSSP\x00\x01\x00")},
		{"an unknown type", "ntlm_malformed", append([]byte("NTLMSSP\x00"), slices.Concat(le32(9), le32(0))...)},
		{"a short challenge", "ntlm_malformed", challengeMessage(target)[:20]},
		{"a short answer", "ntlm_malformed", authenticateMessage(nil, nil, "a", "b", "c", 0)[:40]},
		{"pairs without end", "ntlm_info_malformed", challengeMessage(pair(1, wide("PACS1")))},
		{"a pair that is longer", "ntlm_info_malformed", challengeMessage([]byte{1, 0, 0xff, 0xff, 1, 2})},
		{"the user's name", "ntlm_identity_withheld", authenticateMessage(nil, nil, "", "jdoe", "JDOE", 0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if c := emit(tc.m); c.counts[tc.counter] == 0 {
				t.Errorf("%v %s", c.counts, c.text())
			}
		})
	}
}

// No user, no answer and no key leaves, whatever is damaged.
func TestCanaries(t *testing.T) {
	s := canary.New([]string{"canaryuser", "sessionkeycanary", "CANARYHASHCANARYHASH1234", "cifs/CANARY"})
	response := append([]byte("CANARYHASHCANARYHASH1234"), target...)
	for name, m := range map[string][]byte{"challenge": challengeMessage(target), "v1": authenticateMessage(response[:24], response[:24], "WARD", "canaryuser", "WS7", 0), "v2": authenticateMessage(nil, response, "WARD", "canaryuser", "WS7", ess)} {
		for i := range m {
			c := emit(m[:i])
			b := slices.Clone(m)
			if i < 12 || i >= 72 { // between them lie the offsets, and a damaged one may point at anything
				b[i] ^= 0x11
			}
			for _, x := range []*collector{c, emit(b)} {
				if hits := s.Search(fmt.Append(nil, x.text(), x.counts)); len(hits) > 0 {
					t.Fatalf("%s %d: %v in %s", name, i, hits, x.text())
				}
			}
		}
	}
}

func TestFind(t *testing.T) {
	m := negotiateMessage()
	if got := ntlm.Find(append([]byte{0x60, 0x48, 6, 6, 0x2b, 6, 1, 5, 5, 2}, m...)); string(got) != string(m) {
		t.Errorf("%q", got)
	}
	if ntlm.Find([]byte("\x60\x82kerberos")) != nil {
		t.Error("Kerberos is not NTLM")
	}
}

// FuzzEmit takes any bytes for a message.
func FuzzEmit(f *testing.F) {
	f.Add(negotiateMessage())
	f.Add(challengeMessage(target))
	f.Add(authenticateMessage(make([]byte, 24), make([]byte, 300), "WARD", "jdoe", "WS7", 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, x := range emit(b).facts {
			for _, a := range x.Attributes {
				if len(x.Attributes.Get(a.Name)) > 1024 {
					t.Errorf("%s has %d bytes", a.Name, len(x.Attributes.Get(a.Name)))
				}
			}
		}
	})
}
