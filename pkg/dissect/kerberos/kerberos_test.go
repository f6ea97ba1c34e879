package kerberos_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/kerberos"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// der is a value: its tag's byte, and what is in it.
func der(tag byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	head := []byte{tag, byte(len(body))}
	if len(body) > 127 {
		head = []byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}
	}
	return append(head, body...)
}

func seq(parts ...[]byte) []byte                 { return der(0x30, parts...) }
func field(n byte, parts ...[]byte) []byte       { return der(0xa0+n, parts...) }
func num(n int) []byte                           { return der(2, []byte{byte(n)}) }
func str(s string) []byte                        { return der(0x1b, []byte(s)) }
func octets(s string) []byte                     { return der(4, []byte(s)) }
func message(kind byte, fields ...[]byte) []byte { return der(0x60+kind, seq(fields...)) }

func principal(kind int, names ...string) []byte {
	var list [][]byte
	for _, n := range names {
		list = append(list, str(n))
	}
	return seq(field(0, num(kind)), field(1, seq(list...)))
}

func request(kind byte, cname, sname []byte, padata []byte, etypes ...int) []byte {
	var list [][]byte
	for _, e := range etypes {
		list = append(list, num(e))
	}
	q := [][]byte{field(0, der(3, []byte{0, 0x50, 0x80, 0, 0}))}
	if cname != nil {
		q = append(q, field(1, cname))
	}
	q = append(q, field(2, str("WARD.EXAMPLE")), field(3, sname), field(5, der(0x18, []byte("20370913024805Z"))), field(7, num(7)), field(8, seq(list...)),
		field(9, seq(seq(field(0, num(20)), field(1, octets("WS7            \x20"))))))
	fields := [][]byte{field(1, num(5)), field(2, num(int(kind)))}
	if padata != nil {
		fields = append(fields, field(3, padata))
	}
	return message(kind, append(fields, field(4, seq(q...)))...)
}

func ticket(etype int, sname []byte) []byte {
	return der(0x61, seq(field(0, num(5)), field(1, str("WARD.EXAMPLE")), field(2, sname), field(3, seq(field(0, num(etype)), field(2, octets("PHI-0001-CANARY"))))))
}

func response(kind byte, cname, sname []byte, etype int) []byte {
	return message(kind, field(0, num(5)), field(1, num(int(kind))), field(3, str("WARD.EXAMPLE")), field(4, cname), field(5, ticket(etype, sname)), field(6, seq(field(0, num(18)), field(2, octets("PHI-0001-CANARY")))))
}

func failure(code int, cname, sname []byte) []byte {
	return message(30, field(0, num(5)), field(1, num(30)), field(4, der(0x18, []byte("20200101000000Z"))), field(5, num(1)), field(6, num(code)), field(7, str("WARD.EXAMPLE")), field(8, cname), field(9, str("WARD.EXAMPLE")), field(10, sname),
		field(11, str("CANARY-ALFA")), field(12, octets("PHI-0001-CANARY")))
}

func padata(types ...int) []byte {
	var list [][]byte
	for _, n := range types {
		list = append(list, seq(field(1, num(n)), field(2, octets("CANARY-ALFA"))))
	}
	return seq(list...)
}

var (
	user = principal(1, "jcanaryuser")
	tgt  = principal(2, "krbtgt", "WARD.EXAMPLE")
	pc   = principal(1, "WS7$")
)

func TestMessages(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
		want string
	}{
		{"AS-REQ of a user", request(10, user, tgt, padata(2, 128), 18, 23), "as_request > computer_name=WS7 etypes=aes256-cts-hmac-sha1-96|rc4-hmac preauthentication=timestamp realm=WARD.EXAMPLE service_class=krbtgt service_realm=WARD.EXAMPLE"},
		{"AS-REQ that is old", request(10, user, tgt, nil, 3, 23), "as_request > computer_name=WS7 etypes=des-cbc-md5|rc4-hmac legacy=true preauthentication=none realm=WARD.EXAMPLE service_class=krbtgt service_realm=WARD.EXAMPLE"},
		{"AS-REP to a computer", response(11, pc, tgt, 18), "as_response < computer_name=WS7 etype=aes256-cts-hmac-sha1-96 realm=WARD.EXAMPLE service_class=krbtgt service_realm=WARD.EXAMPLE ticket_etype=aes256-cts-hmac-sha1-96"},
		{"TGS-REQ", request(12, nil, principal(2, "cifs", "PACS1.ward.example"), padata(1), 18), "tgs_request > computer_name=WS7 etypes=aes256-cts-hmac-sha1-96 realm=WARD.EXAMPLE service_class=cifs service_host=pacs1.ward.example"},
		{"TGS-REQ for somebody else", request(12, nil, pc, padata(1, 129-256), 18), "tgs_request > computer_name=WS7 etypes=aes256-cts-hmac-sha1-96 realm=WARD.EXAMPLE service_host=WS7"},
		{"TGS-REP, kerberoasting", response(13, user, principal(2, "MSSQLSvc", "lis1.ward.example:1433"), 23), "tgs_response < etype=aes256-cts-hmac-sha1-96 legacy=true realm=WARD.EXAMPLE service_class=mssqlsvc service_host=lis1.ward.example ticket_etype=rc4-hmac"},
		{"user to user", response(13, user, principal(1, "jcanaryuser"), 18), "tgs_response < etype=aes256-cts-hmac-sha1-96 realm=WARD.EXAMPLE ticket_etype=aes256-cts-hmac-sha1-96"},
		{"an enterprise name", response(13, user, principal(10, "jcanaryuser", "ward.example"), 18), "tgs_response < etype=aes256-cts-hmac-sha1-96 realm=WARD.EXAMPLE ticket_etype=aes256-cts-hmac-sha1-96"},
		{"an unknown service", response(13, user, principal(2, "jcanaryuser", "CANARY-ALFA"), 18), "tgs_response < etype=aes256-cts-hmac-sha1-96 realm=WARD.EXAMPLE service_class=other ticket_etype=aes256-cts-hmac-sha1-96"},
		{"an error", failure(25, user, tgt), "error < error=preauth_required realm=WARD.EXAMPLE service_class=krbtgt service_realm=WARD.EXAMPLE"},
		{"an error without a name", failure(99, pc, tgt), "error < computer_name=WS7 error=99 realm=WARD.EXAMPLE service_class=krbtgt service_realm=WARD.EXAMPLE"},
	} {
		side := 0
		if strings.Contains(tc.want, "<") {
			side = 1
		}
		port := [2]uint16{40000, 40001} // no port of Kerberos: the content decides
		list := []packet.Headers{dissecttest.Datagram(0, port, request(10, pc, tgt, nil, 18)), dissecttest.Datagram(side, port, tc.in)}
		r := dissecttest.Play(dissect.Config{}, list)
		all := strings.Split(strings.TrimSpace(r.Brief()), "\n")
		if got := all[len(all)-1]; got != "kerberos "+tc.want {
			t.Errorf("%s:\n got %s\nwant kerberos %s", tc.name, got, tc.want)
		}
	}
}

func tcp(list ...[]byte) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, m := range list {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)})
	}
	return c
}

func conversation() dissecttest.Conversation {
	return tcp(request(10, user, tgt, nil, 18, 23), failure(25, user, tgt), request(10, user, tgt, padata(2), 18, 23), response(11, user, tgt, 18),
		request(12, nil, principal(2, "jcanaryuser", "CANARY-ALFA"), padata(1), 18), response(13, user, principal(1, "jcanaryuser"), 23))
}

func TestStream(t *testing.T) {
	r := dissecttest.EveryCut(t, conversation())
	if k := r.Kinds(); k["kerberos as_request"] != 2 || k["kerberos error"] != 1 || k["kerberos tgs_response"] != 1 || r.Flows[0].By != proto.ByContent {
		t.Error(r.Brief())
	}
	// The same again tells nothing new.
	one := request(10, user, tgt, nil, 18, 23)
	if r := dissecttest.Play(dissect.Config{}, tcp(one, failure(25, user, tgt), one, failure(25, user, tgt)).Segments(true)); len(r.Facts) != 2 {
		t.Error(r.Brief())
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"jcanaryuser", "CANARY-ALFA", "PHI-0001-CANARY"}
	dissecttest.NoLeak(t, secrets, conversation())
	dissecttest.PlantedTalks(t, "kerberos", 88, secrets, conversation())
	s := canary.New(secrets)
	for _, x := range conversation() {
		for i := range len(x.Data) - 4 {
			b := x.Data[4:][:len(x.Data)-4-i]
			r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 88}, b)})
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatal(hits, r.Panics)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	good := request(10, user, tgt, nil, 18)
	for name, b := range map[string][]byte{
		"a byte more": append(slices.Clone(good), 0), "a byte less": good[:len(good)-1], "another version": replace(good, "\x03\x02\x01\x05", "\x03\x02\x01\x04"), "LDAP": der(0x30, num(1), der(0x60, num(3))), "nothing": {0},
	} {
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 88}, b)}); len(r.Facts) > 0 || r.Flows[0].By == proto.ByContent {
			t.Errorf("%s: %s", name, r.Brief())
		}
		x := append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
		if name != "a byte less" && kerberos.Protocol.Recognise(x, false) == dissector.Yes {
			t.Errorf("%s is recognised", name)
		}
	}
	if kerberos.Protocol.Recognise([]byte{0, 1, 0, 1}, false) != dissector.No || kerberos.Protocol.Recognise([]byte{0, 0, 1}, false) != dissector.More {
		t.Error("lengths")
	}
}

func replace(b []byte, from, to string) []byte {
	return []byte(strings.Replace(string(b), from, to, 1))
}

// The ticket that is shown inside of SPNEGO.
func TestFind(t *testing.T) {
	ap := message(14, field(0, num(5)), field(1, num(14)), field(2, der(3, []byte{0, 0, 0, 0, 0})), field(3, ticket(23, principal(2, "cifs", "pacs1.ward.example"))), field(4, seq(field(0, num(18)), field(2, octets("PHI-0001-CANARY")))))
	token := der(0x60, []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1, 0}, ap)
	if m := kerberos.Find(token); len(m) == 0 || m[0] != 0x6e || kerberos.Find([]byte("NTLMSSP")) != nil {
		t.Errorf("%x", m)
	}
	var got []dissector.Fact
	c := &dissector.Context{Headers: new(packet.Headers), Sink: sink{emit: func(f *dissector.Fact) { got = append(got, *f) }}}
	kerberos.Emit(c, kerberos.Find(token))
	kerberos.Emit(c, kerberos.Find(token)[:40])
	if len(got) != 1 || got[0].Kind != "ap_request" || got[0].Protocol != "kerberos" || got[0].Attributes.Get("service_host") != "pacs1.ward.example" || got[0].Attributes.Get("legacy") != "true" {
		t.Errorf("%+v", got)
	}
}

type sink struct {
	dissector.Sink
	emit func(*dissector.Fact)
}

func (s sink) Emit(f *dissector.Fact) { s.emit(f) }

// Zeek's kerberos.log of these captures, and Suricata's krb5 events.
func TestCaptures(t *testing.T) {
	for file, want := range map[string][]string{
		"zeek/Traces/krb/auth.pcap":                          {"tgs_response < etype=aes256-cts-hmac-sha1-96 realm=VLADG.NET service_class=krbtgt service_realm=VLADG.NET ticket_etype=aes256-cts-hmac-sha1-96"},
		"zeek/Traces/krb/kerberos_tso.pcapng":                {"error < error=preauth_required", "service_class=cifs service_host=win7.test.local ticket_etype=aes256"},
		"nDPI/pcap/kerberos-error.pcap":                      {"error < error=response_too_big realm=LINUX.SHELL.COM"},
		"suricata-verify/krb5-kerberoasting/kerberoast.pcap": {"legacy=true realm=OFFENSE.LOCAL service_class=http service_host=dc-mantvydas.offense.local ticket_etype=rc4-hmac"},
		"suricata-verify/krb5-probing/krb.pcap":              {"as_request >", "error < error=preauth_required"},
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		for _, w := range want {
			if !strings.Contains(r.Brief(), w) {
				t.Errorf("%s: no %q in\n%s", file, w, r.Brief())
			}
		}
	}
}

func FuzzStream(f *testing.F) {
	parts := conversation().Sides()
	f.Add(parts[0], parts[1], 40)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.FuzzCut(t, a, b, cut)
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 88}, a)}); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
