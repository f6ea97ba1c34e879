package ldap_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/ldap"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// ber is a value: its tag's byte, and what is in it; long ones have four bytes of
// length, as Windows writes them.
func ber(tag byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	head := []byte{tag, byte(len(body))}
	if len(body) > 127 {
		head = binary.BigEndian.AppendUint32([]byte{tag, 0x84}, uint32(len(body)))
	}
	return append(head, body...)
}

func str(s string) []byte { return ber(4, []byte(s)) }

func message(id int, op byte, parts ...[]byte) []byte {
	return ber(0x30, ber(2, []byte{byte(id)}), ber(op, parts...))
}

func bind(name, password string) []byte {
	return message(1, 0x60, ber(2, []byte{3}), str(name), ber(0x80, []byte(password)))
}

func saslBind(mechanism, token string) []byte {
	return message(1, 0x60, ber(2, []byte{3}), str(""), ber(0xa3, str(mechanism), str(token)))
}

func result(op byte, code int, more ...[]byte) []byte {
	return message(1, op, append([][]byte{ber(10, []byte{byte(code)}), str(""), str("CANARY-ALFA")}, more...)...)
}

func search(base string, filter []byte) []byte {
	return message(2, 0x63, str(base), ber(10, []byte{0}), ber(10, []byte{0}), ber(2, []byte{0}), ber(2, []byte{0}), ber(1, []byte{0}), filter, ber(0x30, str("CANARY-ALFA")))
}

func present(name string) []byte      { return ber(0x87, []byte(name)) }
func equal(name, value string) []byte { return ber(0xa3, str(name), str(value)) }
func entry(dn string, attributes ...[]byte) []byte {
	return message(2, 0x64, str(dn), ber(0x30, attributes...))
}

func attribute(name string, values ...string) []byte {
	var list [][]byte
	for _, v := range values {
		list = append(list, str(v))
	}
	return ber(0x30, str(name), ber(0x31, list...))
}

var dse = entry("", attribute("defaultNamingContext", "DC=ward,DC=example"), attribute("rootDomainNamingContext", "DC=example"), attribute("dnsHostName", "DC1.ward.example"),
	attribute("serverName", "CN=DC1,CN=Servers,CN=Main-Building,CN=Sites,CN=Configuration,DC=example"), attribute("domainControllerFunctionality", "7"), attribute("domainFunctionality", "6"),
	attribute("supportedSASLMechanisms", "GSSAPI", "GSS-SPNEGO", "CANARY"), attribute("vendorVersion", "389-Directory/2.3"), attribute("CANARY-ALFA", "PHI-0001-CANARY"), attribute("currentTime", "CANARY-ALFA"))

func conversation() dissecttest.Conversation {
	var c dissecttest.Conversation
	say := func(side int, b ...[]byte) { c = append(c, dissecttest.Chunk{Side: side, Data: slices.Concat(b...)}) }
	say(0, search("", present("objectClass")))
	say(1, dse, result(0x65, 0))
	say(0, bind("cn=jcanaryuser,ou=CANARY-ALFA,dc=example", "canarypassword"))
	say(1, result(0x61, 49))
	say(0, bind(`WARD\Administrator`, "canarypassword"))
	say(1, result(0x61, 0))
	say(0, search("ou=CANARY-ALFA", equal("cn", "PHI-0001-CANARY")))
	say(1, entry("cn=CANARY-ALFA,dc=example", attribute("mail", "PHI-0001-CANARY"), attribute("photo", strings.Repeat("CANARY-ALFA", 100))), result(0x65, 0))
	say(0, message(3, 0x66, str("cn=CANARY-ALFA"), ber(0x30)))
	say(1, result(0x67, 50))
	say(0, message(4, 0x42))
	return c
}

var secrets = []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser", "canarypassword"}

func TestConversation(t *testing.T) {
	r := dissecttest.EveryCut(t, conversation())
	want := `ldap root_dse < computer_name=DC1 dns_computer_name=dc1.ward.example dns_domain=ward.example dns_forest=example functional_level=2012 R2 mechanisms=gssapi|spnego|other os_version=2016 site=Main-Building software_version=389-Directory/2.3
ldap bind > account=other cleartext_credential=bind mechanism=simple outcome=failure
ldap bind > account=administrator cleartext_credential=bind mechanism=simple outcome=success
ldap session > logins=2 logins_failed=1 operations=bind:2|modify:1|search:2|unbind:1
`
	dissecttest.Says(t, r, "ldap", want)
}

func TestCanaries(t *testing.T) {
	dissecttest.NoLeak(t, secrets, conversation())
	dissecttest.PlantedTalks(t, "ldap", 9999, secrets, conversation())
}

func TestBinds(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		in         [][]byte
	}{
		{"anonymous", "bind > account=anonymous mechanism=simple outcome=success", [][]byte{bind("", ""), result(0x61, 0)}},
		{"without a password", "bind > account=other mechanism=simple outcome=success", [][]byte{bind("jdoe@ward.example", ""), result(0x61, 0)}},
		{"no answer", "bind > account=administrator cleartext_credential=bind mechanism=simple outcome=unknown", [][]byte{bind("admin", "x")}},
		{"SASL in two steps", "bind > legacy=true mechanism=cram_md5 outcome=success", [][]byte{saslBind("CRAM-MD5", ""), result(0x61, 14), saslBind("CRAM-MD5", "canary"), result(0x61, 0)}},
		{"SASL PLAIN", "bind > account=administrator cleartext_credential=plain mechanism=plain outcome=failure", [][]byte{saslBind("PLAIN", "\x00root\x00canary"), result(0x61, 49)}},
	} {
		var c dissecttest.Conversation
		for i, b := range tc.in {
			c = append(c, dissecttest.Chunk{Side: i % 2, Data: b})
		}
		if r := dissecttest.EveryCut(t, c); !strings.HasPrefix(r.Brief(), "ldap "+tc.want+"\n") {
			t.Errorf("%s: %s", tc.name, r.Brief())
		}
	}
	// Behind SASL's protection nothing is read.
	c := dissecttest.Conversation{{Side: 0, Data: saslBind("GSSAPI", "x")}, {Side: 1, Data: result(0x61, 0)}, {Side: 0, Data: []byte{0, 0, 0, 9, 5, 4, 6, 0xff}}}
	if r := dissecttest.EveryCut(t, c); !strings.Contains(r.Brief(), "session > logins=1 logins_failed=0 operations=bind:1 upgraded=sasl") {
		t.Error(r.Brief())
	}
}

// name is a name of DNS without compression.
func name(s string) (b []byte) {
	for _, l := range strings.Split(s, ".") {
		if l != "" {
			b = append(append(b, byte(len(l))), l...)
		}
	}
	return append(b, 0)
}

func netlogon() string {
	b := slices.Concat([]byte{23, 0, 0, 0}, binary.LittleEndian.AppendUint32(nil, 0x1fd), make([]byte, 16), name("example"), name("ward.example"))
	at := len(b)
	b = slices.Concat(b, []byte{3, 'd', 'c', '1', 0xc0, byte(24 + 9)}, name("WARD"), name("DC1"), name("jcanaryuser"), name("Main-Building"), []byte{0xc0, byte(at + 6 + 6 + 5 + 13)}, []byte{5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	return string(b)
}

func TestNetlogon(t *testing.T) {
	ask := search("", ber(0xa0, equal("DnsDomain", "ward.example"), equal("Host", "WS7"), equal("User", "jcanaryuser"), equal("NtVer", "\x16\x00\x00\x00")))
	reply := slices.Concat(entry("", attribute("Netlogon", netlogon())), result(0x65, 0))
	list := []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 40001}, ask), dissecttest.Datagram(1, [2]uint16{40000, 40001}, reply)}
	r := dissecttest.Play(dissect.Config{}, list)
	want := `ldap netlogon_ping > computer_name=WS7 dns_domain=ward.example
ldap netlogon < computer_name=DC1 dns_computer_name=dc1.ward.example dns_domain=ward.example dns_forest=example netbios_domain=WARD services=pdc|gc|ldap|ds|kdc|timeserv|closest|writable site=Main-Building
ldap site > site=Main-Building
`
	if r.Brief() != want || r.Flows[0].Protocol != "ldap" {
		t.Errorf("got\n%swant\n%s", r.Brief(), want)
	}
	s := canary.New(secrets)
	for i := range reply {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(1, [2]uint16{40000, 389}, reply[:i])})
		if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
			t.Fatal(hits, r.Panics)
		}
	}
}

func TestRecognise(t *testing.T) {
	good := bind("a", "b")
	for i := range good {
		if got := ldap.Protocol.Recognise(good[:i], false); got == dissector.No || i < 7 && got != dissector.More {
			t.Errorf("%d bytes: %d", i, got)
		}
	}
	for name, b := range map[string][]byte{
		"SNMP":           ber(0x30, ber(2, []byte{1}), str("public"), ber(0xa0, ber(2, []byte{1}))),
		"Kerberos":       {0x6a, 0x81, 0x90},
		"version 7":      message(1, 0x60, ber(2, []byte{7}), str(""), ber(0x80)),
		"a long id":      ber(0x30, ber(2, make([]byte, 9)), ber(0x60, ber(2, []byte{3}))),
		"an empty id":    ber(0x30, ber(2), ber(0x60, ber(2, []byte{3}))),
		"primitive":      message(1, 0x43, str("a")),
		"a lying length": ber(0x30, ber(2, []byte{1}), []byte{0x60, 0x20, 2, 1, 3}),
		"a huge message": {0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 2, 1, 1},
		"an unbind of 3": message(1, 0x42, []byte{1, 2, 3}),
		"text":           []byte("0123456789"),
	} {
		if got := ldap.Protocol.Recognise(b, false); got != dissector.No {
			t.Errorf("%s: %d", name, got)
		}
	}
}

// A connection is not read for ever.
func TestStops(t *testing.T) {
	var c dissecttest.Conversation
	for range 5000 {
		c = append(c, dissecttest.Chunk{Data: search("x", present("a"))})
	}
	r := dissecttest.Play(dissect.Config{}, c.Segments(true))
	if n := r.Counters["tcp_segments"]; n > 4100 || !strings.Contains(r.Brief(), "incomplete=true") {
		t.Errorf("%d segments: %s", n, r.Brief())
	}
}

// Zeek's ldap.log and Suricata's events of these captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/ldap/aduser1.pcap":              "bind > mechanism=spnego outcome=success",
		"zeek/Traces/ldap/aduser1-ntlm.pcap":         "bind > legacy=true mechanism=ntlm outcome=success",
		"zeek/Traces/ldap/ldap-add.pcap":             "operations=add:2|bind:1|unbind:1",
		"zeek/Traces/ldap/ldap-starttls.pcap":        "upgraded=tls",
		"suricata-verify/ldap-starttls/input.pcap":   "tls server_hello <",
		"zeek/Traces/ldap/sasl-scram-sha-512.pcap":   "bind > mechanism=scram_sha_512 outcome=success",
		"zeek/Traces/ldap/simpleauth-diff-port.pcap": "bind > account=other cleartext_credential=bind mechanism=simple outcome=success",
		"suricata-verify/ldap-bind/ldap.pcap":        "bind > legacy=true mechanism=cram_md5",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%s", file, want, r.Brief())
		}
	}
}

func FuzzStream(f *testing.F) {
	parts := conversation().Sides()
	f.Add(parts[0], parts[1], 40)
	f.Add(search("", ber(0xa0, equal("Host", "WS7"), equal("NtVer", "1"))), slices.Concat(entry("", attribute("Netlogon", netlogon())), result(0x65, 0)), 9)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.FuzzCut(t, a, b, cut)
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 389}, a), dissecttest.Datagram(1, [2]uint16{40000, 389}, b)}); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
