package database_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/database"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var unhex = dissecttest.Hex

const secret = "PHI-CANARY-0001"

// The builders below write one message each.

func mysql(number byte, s string) []byte {
	return append([]byte{byte(len(s)), byte(len(s) >> 8), 0, number}, s...)
}

func greeting(version, capabilities string) []byte {
	return mysql(0, "\x0a"+version+"\x00\x07\x00\x00\x00saltsalt\x00"+string(unhex(capabilities[:4]))+"\x08\x02\x00"+string(unhex(capabilities[4:]))+"\x15"+strings.Repeat("\x00", 10)+"salt of 12..\x00caching_sha2_password\x00")
}

func pg(kind byte, s string) []byte {
	n := binary.BigEndian.AppendUint32(nil, uint32(4+len(s)))
	if kind == 0 {
		return append(n, s...)
	}
	return append(append([]byte{kind}, n...), s...)
}

func tds(kind byte, b []byte) []byte {
	n := 8 + len(b)
	return append([]byte{kind, 1, byte(n >> 8), byte(n), 0, 0, 1, 0}, b...)
}

func wide(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// login7 is a LOGIN7 with computer, user, password and program.
func login7(host, user, password, app string) []byte {
	fixed := make([]byte, 94)
	copy(fixed[4:], unhex("04000074"))
	copy(fixed[72:], unhex("0200000000aa"))
	data := []byte(nil)
	for _, x := range []struct {
		at int
		s  string
	}{{36, host}, {40, user}, {44, password}, {48, app}, {52, secret}, {60, "ODBC"}, {68, secret}} {
		binary.LittleEndian.PutUint16(fixed[x.at:], uint16(94+len(data)))
		binary.LittleEndian.PutUint16(fixed[x.at+2:], uint16(len(x.s)))
		data = append(data, wide(x.s)...)
	}
	binary.LittleEndian.PutUint32(fixed, uint32(94+len(data)))
	return tds(0x10, append(fixed, data...))
}

func prelogin(version string, encryption byte) []byte {
	return tds(0x12, append(append(unhex("00 000b 0006 01 0011 0001 ff"), unhex(version)...), encryption))
}

func tns(kind byte, b []byte) []byte {
	n := 8 + len(b)
	return append([]byte{byte(n >> 8), byte(n), 0, 0, kind, 0, 0, 0}, b...)
}

func connect(s string) []byte {
	return tns(1, append(unhex("013b 012c 0000 2000 7fff 7f08 0000 0100 0000 0022 00000000 0000"), s...))
}

func TestEverything(t *testing.T) {
	var all []dissecttest.Conversation
	loginAck := append([]byte{0xad}, func() []byte {
		b := append(unhex("01 74000004 14"), wide("Microsoft SQL Server")...)
		b = append(b, 15, 0, 0x10, 0x3c)
		return append(binary.LittleEndian.AppendUint16(nil, uint16(len(b))), b...)
	}()...)
	for _, tc := range []struct {
		name, protocol string
		c              dissecttest.Conversation
		want           string
	}{
		{
			"mysql", "mysql", dissecttest.Talk(
				[2][]byte{nil, greeting("8.0.36", "ffff ffdf")},
				[2][]byte{mysql(1, string(unhex("8da2ff01 00000001 2d"))+strings.Repeat("\x00", 23)+"root\x00\x04hash"+secret+"\x00caching_sha2_password\x00\x2f\x03_os\x05Linux\x0cprogram_name\x0e/usr/bin/mysql\x01x"+secret), nil},
				[2][]byte{mysql(0, "\x03select "+secret), nil},
			),
			`server_greeting 1 {"auth":"caching_sha2_password","product":"MySQL","role":"server","software_version":"8.0.36","tls":"offered"}
login 0 {"account":"administrator","auth":"caching_sha2_password","os":"Linux","program":"mysql","role":"client","tls":"none"}`,
		},
		{
			"mariadb with TLS", "mysql", dissecttest.Talk([2][]byte{nil, greeting("5.5.5-10.6.12-MariaDB", "ffff ffdf")}, [2][]byte{mysql(1, string(unhex("85aeff19 00000001 2d"))+strings.Repeat("\x00", 23)), nil}, [2][]byte{[]byte("\x16\x03\x01"), nil}),
			`server_greeting 1 {"auth":"caching_sha2_password","product":"MariaDB","role":"server","software_version":"10.6.12-MariaDB","tls":"offered"}
login 0 {"role":"client","tls":"used"}`,
		},
		{"mysql refuses", "mysql", dissecttest.Talk([2][]byte{nil, mysql(0, "\xff\x6a\x04Host '"+secret+"' is not allowed to connect to this server")}), `server_greeting 1 {"refused":"true","role":"server"}`},
		{
			"postgresql", "postgresql", dissecttest.Talk(
				[2][]byte{pg(0, string(unhex("04d2162f"))), []byte("N")},
				[2][]byte{pg(0, "\x00\x03\x00\x00user\x00"+secret+"\x00database\x00"+secret+"\x00application_name\x00psql\x00\x00"), pg('R', "\x00\x00\x00\x03")},
				[2][]byte{pg('p', secret+"\x00"), append(pg('R', "\x00\x00\x00\x00"), append(pg('S', "TimeZone\x00"+secret+"\x00"), pg('S', "server_version\x0013.7\x00")...)...)},
				[2][]byte{nil, pg('Z', "I")}, [2][]byte{pg('Q', "select "+secret+"\x00"), nil},
			),
			`server_greeting 1 {"role":"server","tls":"refused"}
login 0 {"account":"other","program":"psql","role":"client"}
authentication 1 {"auth":"cleartext","role":"server"}
login 0 {"cleartext_credential":"user_pass","role":"client"}
server 1 {"product":"PostgreSQL","role":"server","software_version":"13.7"}`,
		},
		{"postgresql with TLS", "postgresql", dissecttest.Talk([2][]byte{pg(0, string(unhex("04d2162f"))), []byte("S")}, [2][]byte{[]byte("\x16\x03\x01"), nil}), `server_greeting 1 {"role":"server","tls":"used"}`},
		{
			"tds", "tds", dissecttest.Talk(
				[2][]byte{prelogin("0b000c38 0000", 0), tds(4, prelogin("0f00103c 0000", 2)[8:])},
				[2][]byte{login7("WS-7", "sa", secret, `C:\Apps\Lab.exe`), tds(4, append(unhex("e3 0400 01 00 00 00"), loginAck...))},
				[2][]byte{tds(1, wide("select "+secret)), nil},
			),
			`prelogin 0 {"encryption":"login_only","role":"client","software_version":"11.0.3128"}
prelogin 1 {"encryption":"not_supported","product":"Microsoft SQL Server","role":"server","software_version":"15.0.4156"}
login 0 {"account":"administrator","auth":"sql","cleartext_credential":"user_pass","computer_name":"WS-7","library":"ODBC","mac":"02:00:00:00:00:aa","program":"Lab.exe","role":"client","tds_version":"7.4"}
server 1 {"product":"Microsoft SQL Server","role":"server","software_version":"15.0.4156"}`,
		},
		{
			"tds with TLS", "tds", dissecttest.Talk([2][]byte{prelogin("0b000c38 0000", 1), tds(4, prelogin("0f00103c 0000", 1)[8:])}, [2][]byte{tds(0x12, unhex("16 0301 0005 01")), nil}),
			`prelogin 0 {"encryption":"on","role":"client","software_version":"11.0.3128"}
prelogin 1 {"encryption":"on","product":"Microsoft SQL Server","role":"server","software_version":"15.0.4156"}`,
		},
		{
			"oracle", "oracle", dissecttest.Talk(
				[2][]byte{connect("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + secret + ")(CID=(PROGRAM=C:\\x\\sqlplus.exe@WS)(HOST=WS-7)(USER=" + secret + "))))"), tns(4, []byte("\x22\x00\x00\x33(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=12514)..."))},
				[2][]byte{connect("(DESCRIPTION=(CONNECT_DATA=(COMMAND=status)))"), tns(2, unhex("013a 0001 2000 ffff 0100 0000 0000 0000"))},
			),
			`login 0 {"computer_name":"WS-7","program":"sqlplus.exe","role":"client"}
server 1 {"product":"Oracle","refused":"true","role":"server","software_version":"19.0.0.0.0"}
server 1 {"product":"Oracle","role":"server","tns_version":"314"}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dissecttest.SaysWhateverTheCut(t, tc.c, tc.protocol, tc.want)
			dissecttest.KeepsToItself(t, []string{secret}, tc.c)
		})
		all = append(all, tc.c)
	}
	dissecttest.PlantedTalks(t, "database", 9999, []string{secret}, all...)
}

// hello is a TLS hello without extensions: of a client (1) or of a server (2).
func hello(kind byte) []byte {
	head := "\x03\x03" + strings.Repeat("r", 32) + "\x00"
	if kind == 1 {
		return []byte("\x16\x03\x01\x00\x2d\x01\x00\x00\x29" + head + "\x00\x02\x13\x01\x01\x00")
	}
	return []byte("\x16\x03\x03\x00\x2a\x02\x00\x00\x26" + head + "\x13\x01\x00")
}

// What was asked for is TLS's to read, both hellos of it.
func TestUpgraded(t *testing.T) {
	const hellos = "tls client_hello > ja3=ea1e247991e541e39bf918cb7cfa5139 ja4=t12i010000_0f2cb44170f4_000000000000 tls_version=1.2 tls_versions=1.2\n" +
		"tls server_hello < cipher=TLS_AES_128_GCM_SHA256 ja3s=e8c07683aecf9b16e8e33f10a5161e4e tls_version=1.2\n"
	for protocol, tc := range map[string]struct {
		c    dissecttest.Conversation
		want string
	}{
		"mysql": {
			dissecttest.Talk([2][]byte{nil, greeting("8.0.36", "ffff ffdf")}, [2][]byte{mysql(1, string(unhex("85aeff19 00000001 2d"))+strings.Repeat("\x00", 23)), nil}, [2][]byte{hello(1), hello(2)}),
			"mysql server_greeting < auth=caching_sha2_password product=MySQL software_version=8.0.36 tls=offered\nmysql login > tls=used\n" + hellos,
		},
		"postgresql": { // psql asks for GSSAPI first
			dissecttest.Talk([2][]byte{pg(0, string(unhex("04d21630"))), []byte("N")}, [2][]byte{pg(0, string(unhex("04d2162f"))), []byte("S")}, [2][]byte{hello(1), hello(2)}),
			"postgresql server_greeting < tls=used\n" + hellos,
		},
		"tds": { // a record goes over two packets
			dissecttest.Talk(
				[2][]byte{prelogin("0b000c38 0000", 1), tds(4, prelogin("0f00103c 0000", 1)[8:])},
				[2][]byte{append(tds(0x12, hello(1)[:20]), tds(0x12, hello(1)[20:])...), tds(0x12, hello(2))},
			),
			"tds prelogin > encryption=on software_version=11.0.3128\ntds prelogin < encryption=on product=Microsoft SQL Server software_version=15.0.4156\n" + hellos,
		},
	} {
		r := dissecttest.EveryCut(t, tc.c)
		if r.Brief() != tc.want || r.Flows[0].Protocol != protocol || strings.Join(r.Flows[0].Inner, " ") != "tls" {
			t.Errorf("%s: %v, got\n%swant\n%s", protocol, r.Flows[0].Inner, r.Brief(), tc.want)
		}
	}
}

func TestDamaged(t *testing.T) {
	for name, c := range map[string]dissecttest.Conversation{
		"a PRELOGIN's option beyond its end": dissecttest.Talk([2][]byte{tds(0x12, unhex("00 000b 0006 01 00ff 0001 ff 0b000c38 0000 00")), nil}),
		"a short LOGIN7":                     dissecttest.Talk([2][]byte{prelogin("0b000c38 0000", 0), prelogin("0b000c38 0000", 0)}, [2][]byte{tds(0x10, make([]byte, 40)), nil}),
	} {
		r := dissecttest.Play(dissect.Config{}, c.Segments(true))
		if r.Counters["tds_malformed"] != 1 || len(r.Panics) > 0 {
			t.Errorf("%s: %v %v", name, r.Counters, r.Panics)
		}
	}
	r := dissecttest.Play(dissect.Config{}, dissecttest.Talk([2][]byte{login7("someone", "SOMEONE", "", "app"), nil}).Segments(true))
	if f := r.Of("tds", "login"); len(f) != 1 || f[0].Attributes.Get("computer_name") != "" || r.Counters["tds_name_withheld"] != 1 {
		t.Error(dissecttest.Said(r), r.Counters)
	}
}

// What each knows is cut anywhere the same, and anything else is refused.
func TestRecognise(t *testing.T) {
	for _, p := range []*dissector.Protocol{&database.TDS, &database.MySQL, &database.PostgreSQL, &database.Oracle} {
		for _, s := range []string{"GET / HTTP/1.1\r\n\r\n", "220 mail ESMTP\r\n\r\n", "\x00\x00\x00\x54\xffSMBr\x00\x00\x00\x00\x18\x43\xc8\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("\x00", 40), strings.Repeat("\xff", 40)} {
			if v := p.Recognise([]byte(s), false); v == dissector.Yes {
				t.Errorf("%q is taken for %s", s, p.Name)
			}
		}
	}
}

// TestCaptures pins what Wireshark 4.0 shows in the peers' captures: versions,
// programs, ways to sign on.
func TestCaptures(t *testing.T) {
	root := repotest.Shared(t, "captures")
	for _, tc := range []struct{ capture, want string }{
		{"nDPI/pcap/mysql.pcapng", `"software_version":"10.6.12-MariaDB-0ubuntu0.22.04.1"`},
		{"nDPI/pcap/mysql.pcapng", `"software_version":"8.0.36"`},
		{"zeek/Traces/mysql/mysql8-navicat-login-failed.pcap", `"library_version":"3.2.3","os":"Windows"`},
		{"zeek/Traces/mysql/tls-13-amazon-rds.pcap", `"tls":"used"`},
		{"zeek/Traces/mysql/tls-13-amazon-rds.pcap", `"tls_version":"1.3"`},
		{"arkime/pcap/mysql-tls.pcap", `"ja4":"t11i220200_fd01a07dbaa1_33a13ba74d1c"`},
		{"arkime/pcap/mysql-tls.pcap", `"cipher":"TLS_RSA_WITH_AES_256_CBC_SHA","ja3s":"e05da289b42d4cf4dcd64a1e6152aed6"`},
		{"arkime/pcap/mysql-tls.pcap", `"certificate_serial":"02"`},
		{"zeek/Traces/postgresql/psql-aws-ssl-disable.pcap", `"software_version":"13.7"`},
		{"zeek/Traces/postgresql/psql-login.pcap", `"software_version":"14.5 (Debian 14.5-1.pgdg110+1)"`},
		{"zeek/Traces/postgresql/psql-insert-fail-drop-fail.pcap", `"account":"administrator","program":"psql"`},
		{"nDPI/pcap/oracle12.pcapng", `"computer_name":"kali","program":"sqlplus"`},
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/"+tc.capture))
		if !strings.Contains(dissecttest.Said(r), tc.want) || len(r.Panics) > 0 {
			t.Errorf("%s: no %s in\n%s", tc.capture, tc.want, dissecttest.Said(r))
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add(mysql(1, string(unhex("8da2ff01 00000001 2d"))+strings.Repeat("\x00", 23)+"root\x00\x04hash"), greeting("8.0.36", "ffff ffdf"), 9)
	f.Add(pg(0, "\x00\x03\x00\x00user\x00x\x00\x00"), pg('R', "\x00\x00\x00\x03"), 9)
	f.Add(append(prelogin("0b000c38 0000", 0), login7("WS-7", "sa", "x", "app")...), tds(4, prelogin("0f00103c 0000", 2)[8:]), 9)
	f.Add(append(prelogin("0b000c38 0000", 1), tds(0x12, hello(1))...), append(tds(4, prelogin("0f00103c 0000", 1)[8:]), tds(0x12, hello(2))...), 9)
	f.Add(append(pg(0, string(unhex("04d2162f"))), hello(1)...), append([]byte("S"), hello(2)...), 9)
	f.Add(connect("(CID=(PROGRAM=x)(HOST=y))"), tns(4, []byte("\x22\x00\x00\x33(DESCRIPTION=(VSNNUM=318767104))")), 9)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		c := dissecttest.Talk([2][]byte{a, b}, [2][]byte{a, b})
		for _, p := range []string{"tds", "mysql", "postgresql", "oracle"} {
			dissecttest.Fuzz(t, p, c, cut, cut/2)
		}
	})
}
