package smb_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// frame puts a message into its frame.
func frame(m ...[]byte) []byte {
	b := slices.Concat(m...)
	return append([]byte{0, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

// smb2 is a message of SMB 2: command, status, flags (1: a response), body.
func smb2(command, status, flags int, body ...[]byte) []byte {
	return slices.Concat([]byte("\xfeSMB"), le16(64), le16(0), le32(status), le16(command), le16(1), le32(flags), le32(0), make([]byte, 40), slices.Concat(body...))
}

var guid = []byte{0x4b, 0x29, 0xbe, 0x9c, 0x63, 0xdd, 0xb6, 0x47, 0x8d, 0x1f, 0x3d, 0xce, 0x81, 0x38, 0x3e, 0x69}

func negotiate2() []byte {
	return smb2(0, 0, 0, le16(36), le16(3), le16(1), le16(0), le32(0x7f), guid, make([]byte, 8), le16(0x0202), le16(0x0210), le16(0x0311))
}

func negotiated2() []byte {
	return smb2(0, 0, 1, le16(65), le16(3), le16(0x0311), le16(0), guid, make([]byte, 16), make([]byte, 16), le16(0), le16(0), le32(0))
}

func setup2(blob []byte) []byte {
	return smb2(1, 0, 0, le16(25), []byte{0, 1}, le32(1), le32(0), le16(64+24), le16(len(blob)), make([]byte, 8), blob)
}

func setupDone2(status int, blob []byte) []byte {
	return smb2(1, status, 1, le16(9), le16(0), le16(64+8), le16(len(blob)), blob)
}

// smb1 is a message of SMB 1.
func smb1(command byte, status int, reply bool, words, bytes []byte) []byte {
	flags := byte(0x18)
	if reply {
		flags |= 0x80
	}
	return slices.Concat([]byte("\xffSMB"), []byte{command}, le32(status), []byte{flags}, le16(0xc803), make([]byte, 20), []byte{byte(len(words) / 2)}, words, le16(len(bytes)), bytes)
}

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// The three messages of NTLM.
func type1() []byte {
	return slices.Concat([]byte("NTLMSSP\x00"), le32(1), le32(0x2000001), make([]byte, 16), []byte{10, 0, 0x61, 0x4a, 0, 0, 0, 15})
}

func type2() []byte {
	pairs := slices.Concat(le16(2), le16(8), wide("WARD"), le16(1), le16(10), wide("PACS1"), le16(0), le16(0))
	return slices.Concat([]byte("NTLMSSP\x00"), le32(2), le16(8), le16(8), le32(56), le32(0x2800001), []byte("CHALCANA"), make([]byte, 8),
		le16(len(pairs)), le16(len(pairs)), le32(64), []byte{10, 0, 0x61, 0x4a, 0, 0, 0, 15}, wide("WARD"), pairs)
}

func type3(user string) []byte {
	answer := []byte("CANARYHASHCANARYHASH1234-and-more")
	fields := [][]byte{nil, answer, wide("WARD"), wide(user), wide("WS7"), nil}
	b, at := append([]byte("NTLMSSP\x00"), le32(3)...), 72
	for _, f := range fields {
		b = slices.Concat(b, le16(len(f)), le16(len(f)), le32(at))
		at += len(f)
	}
	b = slices.Concat(b, le32(0x2000001), []byte{10, 0, 0x61, 0x4a, 0, 0, 0, 15})
	return slices.Concat(append([][]byte{b}, fields...)...)
}

const more = 0xc0000016 // MORE_PROCESSING_REQUIRED

func session2(user string) dissecttest.Conversation {
	spnego := func(m []byte) []byte { return append([]byte{0xa1, 0x81, 0x80, 0x30}, m...) }
	var c dissecttest.Conversation
	for i, p := range [][]byte{
		frame(negotiate2()), frame(negotiated2()), frame(setup2(spnego(type1()))), frame(setupDone2(more, spnego(type2()))),
		frame(setup2(spnego(type3(user)))), frame(setupDone2(0, nil)), frame(smb2(3, 0, 0, wide(`\\PACS1\CANARYSHARE`))),
	} {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: p})
	}
	return c
}

func session1() dissecttest.Conversation {
	offer := []byte("\x02PC NETWORK PROGRAM 1.0\x00\x02NT LM 0.12\x00")
	words := make([]byte, 34)
	copy(words, []byte{1, 0, 0x0f})
	words[33] = 8
	account := func(list ...string) []byte {
		b := append(make([]byte, 48), 0) // two answers, and a byte that aligns what follows
		for _, s := range list {
			b = slices.Concat(b, wide(s), []byte{0, 0})
		}
		return b
	}
	setup := slices.Concat([]byte{0xff, 0}, make([]byte, 12), le16(24), le16(24), make([]byte, 8))
	var c dissecttest.Conversation
	for i, p := range [][]byte{
		frame(smb1(0x72, 0, false, nil, offer)), frame(smb1(0x72, 0, true, words, slices.Concat([]byte("CHALCANA"), wide("WARD"), []byte{0, 0}, wide("XRAY1"), []byte{0, 0}))),
		frame(smb1(0x73, 0, false, setup, account("canaryuser", "WARD", "Windows 2002", "Windows 2002 5.1"))),
		frame(smb1(0x73, 0, true, make([]byte, 6), slices.Concat([]byte{0}, wide("Windows 5.1"), []byte{0, 0}, wide("Windows 2000 LAN Manager"), []byte{0, 0}, wide("WARD"), []byte{0, 0}))),
		frame(smb1(0x75, 0, false, nil, wide(`\\XRAY1\CANARYSHARE`))),
	} {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: p})
	}
	return c
}

// lines gives each fact as "kind side attribute=value ...".
func lines(r *dissecttest.Result) []string {
	var out []string
	for _, f := range r.Facts {
		s := fmt.Sprintf("%s %d", f.Kind, f.Subject.Side)
		for _, a := range f.Attributes {
			if v := f.Attributes.List(a.Name); v != nil {
				s += " " + a.Name + "=" + strings.Join(v, ",")
			} else if a.Name != "role" {
				s += " " + a.Name + "=" + f.Attributes.Get(a.Name)
			}
		}
		out = append(out, s)
	}
	return out
}

func TestSessions(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    dissecttest.Conversation
		want []string
	}{
		{"SMB 3.1.1 with NTLM", session2("canaryuser"), []string{
			"negotiate 0 client_guid=9cbe294b-dd63-47b6-8d1f-3dce81383e69 dialects=2.0.2,2.1,3.1.1 signing=enabled",
			"negotiate_response 1 dialect=3.1.1 server_guid=9cbe294b-dd63-47b6-8d1f-3dce81383e69 signing=required",
			"ntlm_negotiate 0 os_version=10.0.19041",
			"ntlm_challenge 1 computer_name=PACS1 netbios_domain=WARD os_version=10.0.19041 target_name=WARD",
			"ntlm_authenticate 0 account=other computer_name=WS7 netbios_domain=WARD ntlm_version=v2 os_version=10.0.19041",
			"login 0 mechanism=ntlm outcome=success",
			"session 0 commands=negotiate:1,session_setup:2,tree_connect:1 logins=1 logins_failed=0",
		}},
		{"SMB 1 without", session1(), []string{
			"negotiate 0 dialects=PC NETWORK PROGRAM 1.0,NT LM 0.12",
			"negotiate_response 1 computer_name=XRAY1 dialect=NT LM 0.12 netbios_domain=WARD signing=required",
			"session_setup 0 native_lan_manager=Windows 2002 5.1 native_os=Windows 2002 netbios_domain=WARD",
			"session_setup 1 native_lan_manager=Windows 2000 LAN Manager native_os=Windows 5.1 netbios_domain=WARD",
			"login 0 account=other outcome=success",
			"session 0 commands=negotiate:1,session_setup:1,tree_connect:1 logins=1 logins_failed=0",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Play(dissect.Config{}, tc.c.Segments(true))
			if got := lines(r); !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s\n%v", strings.Join(got, "\n"), strings.Join(tc.want, "\n"), r.Counters)
			}
			if f := r.Flows[0]; f.Protocol != "smb" || f.By != proto.ByContent || len(r.Panics) > 0 {
				t.Errorf("%+v %v", f, r.Panics)
			}
		})
	}
}

// The NetBIOS names of RFC 1001's session request.
func TestSessionRequest(t *testing.T) {
	name := func(s string) []byte {
		b := []byte{32}
		for _, x := range []byte((s + strings.Repeat(" ", 15))[:15] + "\x20") {
			b = append(b, 'A'+x>>4, 'A'+x&15)
		}
		return append(b, 0)
	}
	request := func(called string) []byte {
		return slices.Concat([]byte{0x81, 0, 0, 68}, name(called), name("WS7"))
	}
	play := func(called string) *dissecttest.Result {
		c := dissecttest.Conversation{{Side: 0, Data: request(called)}, {Side: 1, Data: []byte{0x82, 0, 0, 0}}, {Side: 0, Data: frame(smb1(0x72, 0, false, nil, []byte("\x02NT LM 0.12\x00")))}}
		return dissecttest.Play(dissect.Config{}, c.Segments(true))
	}
	if got := fmt.Sprint(lines(play("XRAY1"))); got != "[session_request 0 computer_name=WS7 session_request 1 computer_name=XRAY1 negotiate 0 dialects=NT LM 0.12]" {
		t.Error(got)
	}
	if got := play("*SMBSERVER").Of("smb", "session_request"); len(got) != 1 {
		t.Error("*SMBSERVER is nobody's name")
	}
}

func TestBroken(t *testing.T) {
	for _, tc := range []struct {
		name, counter string
		data          []byte
	}{
		{"short SMB 1", "smb_malformed", frame([]byte("\xffSMBr"))},
		{"short negotiate", "smb_malformed", frame(smb2(0, 0, 0, le16(36)))},
		{"a blob outside", "smb_malformed", frame(smb2(1, 0, 0, le16(25), []byte{0, 1}, le32(1), le32(0), le16(9999), le16(10), make([]byte, 8)))},
		{"an unknown frame", "smb_not_a_message", append(frame(negotiate2()), "garbage!"...)},
		{"passwords longer than all", "smb_malformed", frame(smb1(0x73, 0, false, slices.Concat(make([]byte, 14), le16(9999), le16(0), make([]byte, 8)), nil))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Play(dissect.Config{}, dissecttest.Conversation{{Data: tc.data}}.Segments(true))
			if r.Counters[tc.counter] == 0 || len(r.Panics) > 0 || r.Flows[0].Protocol != "smb" {
				t.Errorf("%v %v %+v", r.Counters, r.Panics, r.Flows[0])
			}
		})
	}
	for _, s := range []string{"\x00\x00\x00\x10\xffSMC", "\x00\x00\x00\x10abcd", "\x81\x00\x00\x45 ", "\x82\x00\x00\x00"} {
		if r := dissecttest.Play(dissect.Config{}, dissecttest.Conversation{{Data: []byte(s)}}.Segments(true)); r.Flows[0].By == proto.ByContent {
			t.Errorf("%q is taken for SMB", s)
		}
	}
}

// A connection is read as far as it tells something new, and one that is encrypted
// not at all.
func TestStops(t *testing.T) {
	c := session2("jdoe")
	for range 1000 {
		c = append(c, dissecttest.Chunk{Side: 0, Data: frame(smb2(9, 0, 0, make([]byte, 1000)))}, dissecttest.Chunk{Side: 1, Data: frame(smb2(9, 0, 1, make([]byte, 20)))})
	}
	if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); r.Counters["tcp_segments"] > 520 || !strings.Contains(r.Brief(), "incomplete=true") {
		t.Errorf("%d segments were read: %s", r.Counters["tcp_segments"], r.Brief())
	}
	c = session2("jdoe")
	for range 100 {
		c = append(c, dissecttest.Chunk{Side: 0, Data: frame(append([]byte("\xfdSMB"), make([]byte, 100)...))})
	}
	if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); r.Counters["tcp_segments"] > 9 || !strings.Contains(r.Brief(), "encrypted=true") {
		t.Errorf("%d segments were read: %s", r.Counters["tcp_segments"], r.Brief())
	}
	// Sessions that are refused for ever are counted, and told once.
	c = nil
	for range 200 {
		c = append(c, dissecttest.Chunk{Side: 0, Data: frame(setup2(type3("jdoe")))}, dissecttest.Chunk{Side: 1, Data: frame(setupDone2(0xc000006d, nil))})
	}
	r := dissecttest.Play(dissect.Config{}, c.Segments(true))
	if len(r.Facts) > 40 || len(r.Of("smb", "login")) != 2 || !strings.Contains(r.Brief(), "failures=logon_failure:200 logins=200 logins_failed=200") {
		t.Errorf("%d facts: %s", len(r.Facts), r.Brief())
	}
}

// TestCanaries plants secrets and looks for them in all that leaves the engine.
func TestCanaries(t *testing.T) {
	secrets := []string{"canaryuser", "CANARYHASHCANARYHASH", "CANARYSHARE", "CHALCANA"}
	s := canary.New(secrets)
	dissecttest.Planted(t, "smb", secrets, session2("canaryuser").Segments(true), session1().Segments(true), session2("canaryuser").Cut(50, 333).Segments(false))
	for name, c := range map[string]dissecttest.Conversation{"SMB 2": session2("canaryuser"), "SMB 1": session1()} {
		sizes := c.Sizes()
		for i := range sizes[0] + sizes[1] {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			cut := c.Cut(i, i+1+rnd.IntN(50))
			list := cut.Segments(true)
			lossy := slices.Delete(slices.Clone(list), 2, 3)
			if j := 2 + rnd.IntN(len(list)-4); i > 0 {
				lossy = slices.Delete(slices.Clone(list), j, j+1)
			}
			for _, r := range []*dissecttest.Result{dissecttest.Play(dissect.Config{}, list), dissecttest.Play(dissect.Config{}, lossy), dissecttest.Play(dissect.Config{}, cut.Segments(false))} {
				if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
					t.Fatalf("%s, cut at %d: %v %v in\n%s", name, i, hits, r.Panics, r.Text())
				}
			}
		}
	}
}

// What Wireshark and Zeek show of these captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"raw_ntlm_in_smb": `ntlm_challenge 1 computer_name=TEST-F7DFBC3FE9 dns_computer_name=test-f7dfbc3fe9 dns_domain=test-f7dfbc3fe9 netbios_domain=TEST-F7DFBC3FE9 os_version=5.1.2600 target_name=TEST-F7DFBC3FE9`,
		"smb311":          `ntlm_challenge 1 computer_name=AD dns_computer_name=AD.foo.test dns_domain=foo.test dns_forest=foo.test netbios_domain=FOO os_version=10.0.14393 target_name=FOO`,
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/zeek/Traces/smb/"+file+".pcap")))
		if !slices.Contains(lines(r), want) {
			t.Errorf("%s:\n%s", file, strings.Join(lines(r), "\n"))
		}
	}
}

// FuzzStream also holds any input to the rule that cuts change nothing, as long as all
// of it is messages.
func FuzzStream(f *testing.F) {
	for _, c := range []dissecttest.Conversation{session2("jdoe"), session1()} {
		var parts [2][]byte
		for _, x := range c {
			parts[x.Side] = append(parts[x.Side], x.Data...)
		}
		f.Add(parts[0], parts[1], 40)
	}
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		c := dissecttest.Conversation{{Side: 0, Data: a}, {Side: 1, Data: b}, {Side: 0, Data: b}}
		c = slices.DeleteFunc(c, func(x dissecttest.Chunk) bool { return len(x.Data) == 0 })
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		lost := want.Counters["smb_not_a_message"]+got.Counters["smb_not_a_message"] > 0 // then messages are looked for at the beginning of segments
		if len(got.Panics) > 0 || !lost && got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}

// BenchmarkSession is a session setup of SMB 3.
func BenchmarkSession(b *testing.B) {
	list := session2("jdoe").Segments(true)
	e := dissect.New(dissect.Config{Key: dissecttest.Key, Emit: func(*dissect.Packet, *dissect.Fact) {}})
	b.ReportAllocs()
	for b.Loop() {
		var f dissect.Flow
		var p dissect.Packet
		for i := range list {
			p = dissect.Packet{Headers: &list[i], Flow: &f, FromSrc: list[i].SrcPort == list[0].SrcPort}
			e.Packet(&p)
		}
		e.Close(&f)
	}
}
