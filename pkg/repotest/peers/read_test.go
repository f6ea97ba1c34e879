package peers

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// written is a folder with these files.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNDPIFlow(t *testing.T) {
	for _, tc := range []struct{ line, ends, proto, confidence, field, value string }{
		{
			"\t1\tTCP 192.168.1.128:48160 <-> 3.120.8.226:443 [proto: 91.119/TLS.Facebook][IP: 0/Unknown][Encrypted][Confidence: DPI][DPI packets: 6][cat: Web/5][12 pkts/1500 bytes <-> 8 pkts/4000 bytes][Hostname/SNI: a.example][JA4: t13d1516h2_8daaf6152771_e5627efa2ab1]",
			"tcp 3.120.8.226:443 192.168.1.128:48160", "TLS Facebook ", "DPI", "Hostname/SNI", "a.example",
		},
		{
			"\t2\tUDP [fe80::1]:5353 -> [ff02::fb]:5353 [proto: VXLAN:8/MDNS][Confidence: Match by port][1 pkts/100 bytes -> 0 pkts/0 bytes]",
			"udp [fe80::1]:5353 [ff02::fb]:5353", "MDNS  VXLAN", "Match by port", "Hostname/SNI", "",
		},
		{
			"\t3\tICMP 10.0.0.2:0 <-> 10.0.0.1:0 [proto: 81/ICMP][Confidence: DPI][1 pkts/98 bytes <-> 1 pkts/98 bytes]",
			"icmp 10.0.0.1:0 10.0.0.2:0", "ICMP  ", "DPI", "JA4", "",
		},
		{
			"\t4\tAH 10.0.0.2:0 -> 10.0.0.1:0 [VLAN: 7][proto: 79/IPSec][Confidence: DPI][3 pkts/98 bytes -> 0 pkts/0 bytes]",
			"51 10.0.0.1:0 10.0.0.2:0", "IPSec  ", "DPI", "JA4", "",
		},
	} {
		f := ndpiFlow(tc.line)
		if f == nil {
			t.Errorf("no flow: %s", tc.line)
			continue
		}
		if got := f.Master + " " + f.Sub + " " + f.Tunnel; f.Ends.String() != tc.ends || got != tc.proto || f.Confidence != tc.confidence || f.Fields[tc.field] != tc.value {
			t.Errorf("%s: %s, %q, %s, %q", tc.line, f.Ends, got, f.Confidence, f.Fields[tc.field])
		}
	}
	for _, line := range []string{"", "Guessed flow protos: 0", "\t1\tTCP nobody -> 10.0.0.1:80 [proto: 7/HTTP]"} {
		if f := ndpiFlow(line); f != nil {
			t.Errorf("%q is no flow: %+v", line, f)
		}
	}
	f := ndpiFlow("\t1\tTCP 10.0.0.2:48160 <-> 10.0.0.1:443 [proto: 91/TLS][Confidence: DPI][12 pkts/1500 bytes <-> 8 pkts/4000 bytes]")
	if f.Packets != [2]uint64{12, 8} || f.Src != "10.0.0.2:48160" {
		t.Errorf("%+v", f)
	}
}

func TestNDPIJA4(t *testing.T) {
	const ours = "t13i1516h2_8daaf6152771_e5627efa2ab1"
	for theirs, want := range map[string]bool{
		"t13d1516h2_8daaf6152771_e5627efa2ab1": true,  // no SNI
		"t13i1516ht_8daaf6152771_e5627efa2ab1": true,  // of http/1.1
		"t12i1516h2_8daaf6152771_e5627efa2ab1": false, // another version
		"t13i1517h2_8daaf6152771_e5627efa2ab1": false,
		"t13i1516h2_8daaf6152772_e5627efa2ab1": false,
		"t13i1516h2_8daaf6152771_e3b0c44298fc": false, // ours has extensions
		"short":                                false,
	} {
		if got := ndpiJA4(ours, theirs); got != want {
			t.Errorf("%s: %v", theirs, got)
		}
	}
	if !ndpiJA4("t10i090000_8daaf6152771_000000000000", "t10i090000_8daaf6152771_e3b0c44298fc") || ndpiJA4("t13d1516h2_8daaf6152771_e5627efa2ab1", "t13i1516h2_8daaf6152771_e5627efa2ab1") {
		t.Error("without extensions; without SNI there, with SNI here")
	}
}

const connLog = "#separator \\x09\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\torig_pkts\tresp_pkts\n#types\ttime\n" +
	"1.0\tC1\t10.0.0.9\t1025\t10.0.0.1\t80\ttcp\thttp\t5\t4\n2.0\tC2\tfe80::2\t135\tfe80::1\t136\ticmp\t-\t1\t(empty)\n#close\n"

func TestReadLog(t *testing.T) {
	dir := written(t, map[string]string{
		"conn.log": connLog,
		"cut.log":  "ts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\n1\t10.0.0.9\t1025\t10.0.0.1\t80\n",
		"free.log": "a sentence\n",
	})
	l, err := ReadLog(filepath.Join(dir, "conn.log"))
	if err != nil {
		t.Fatal(err)
	}
	rows := l.Rows()
	if len(rows) != 2 || !l.Has("service") || l.Has("nothing") || rows[0].Get("service") != "http" || rows[1].Get("service")+rows[1].Get("resp_pkts")+rows[0].Get("nothing") != "" {
		t.Errorf("%+v", l)
	}
	for i, want := range []string{"tcp 10.0.0.1:80 10.0.0.9:1025", "icmp6 [fe80::1]:0 [fe80::2]:0"} {
		if e, _, ok := rows[i].ends(""); !ok || e.String() != want {
			t.Errorf("%s, want %s", e, want)
		}
	}
	if l, err = ReadLog(filepath.Join(dir, "cut.log")); err != nil || len(l.Rows()) != 1 {
		t.Errorf("%+v %v", l, err)
	} else if e, src, ok := l.Rows()[0].ends("udp"); !ok || e.Transport != "udp" || src.String() != "10.0.0.9:1025" {
		t.Errorf("%s %s %v", e, src, ok)
	}
	if l, err = ReadLog(filepath.Join(dir, "free.log")); err != nil || len(l.Rows()) != 0 {
		t.Errorf("%+v %v", l, err)
	}
	if _, err = ReadLog(filepath.Join(dir, "none.log")); err == nil {
		t.Error("no file, no error")
	}
	for path, want := range map[string]string{"a/conn.log": "conn", "a/tls-12.ssl.log": "ssl", "a/krb.ldap.log": "ldap", "a/ssl-all.log": "ssl", "a/http.log.cut": "http", "a/http.log.1": "http", "a/conn.cut": "conn"} {
		if got := (&Log{Path: path}).Name(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// A folder of captures with a result of each peer's.
var everyPeer = map[string]string{
	"zeek/TRACE_TO_BASELINE.csv": "trace,tests,baselines\na.pcap,1,b/conn.log b/gone.log b/x.log.json\nshort\n",
	"zeek/b/conn.log":            connLog,
	"zeek/Traces/a.pcap":         "",
	"nDPI/result/a.pcap.out":     "\t1\tTCP 10.0.0.9:1025 <-> 10.0.0.1:80 [proto: 7/HTTP][Confidence: DPI][5 pkts/1 bytes <-> 4 pkts/1 bytes][User-Agent: curl/8]\n",
	"nDPI/pcap/a.pcap":           "",
	"nDPI/result/gone.pcap.out":  "",
	"arkime/pcap/a.test": `{"sessions3":[{"body":{"ipProtocol":6,"source":{"ip":"10.0.0.9","port":1025,"packets":5},"destination":{"ip":"10.0.0.1","port":80,"packets":4},
		"network":{"community_id":"1:x"},"http":{"host":["a.example:80"],"useragent":["curl/8"]},"dns":[{"queryHost":"www.a.example","qt":"A","status":"NOERROR"}],
		"cert":[{"serial":"00ab","subjectCN":["Name"],"notBefore":0,"notAfter":1000}]}}]}`,
	"arkime/pcap/a.pcapng":                              "",
	"suricata-verify/t/test.yaml":                       "checks:\n- filter:\n    count: 1\n    match:\n      event_type: http\n      http.hostname: a.example\n      tls.version: TLS 1.2\n- filter:\n    count: 0\n    match:\n      http.hostname: never.example\n",
	"suricata-verify/t/input.pcap":                      "",
	"suricata-verify/bad/test.yaml":                     "checks: [",
	"ja4/python/test/testdata/a.json":                   `[{"src":"10.0.0.9","srcport":"1025","dst":"10.0.0.1","dstport":"443","JA4.1":"t13d1516h2_8daaf6152771_e5627efa2ab1","domain":"a.example"},{"src":"10.0.0.9"}]`,
	"ja4/rust/ja4/src/snapshots/ja4__insta@b.pcap.snap": "---\nsource: x\n---\n- stream: 0\n  transport: udp\n  src: 10.0.0.9\n  dst: 10.0.0.1\n  src_port: 1025\n  dst_port: 443\n  tls_server_name: a.example\n  ja4: q13d0310h3_55b375c5d22e_cd85d2d88918\n",
	"ja4/pcap/a": "",
	"icsnpp/modbus/tests/Baseline/x/modbus.log":   "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tfunc\n1\tC\t10.0.0.9\t1025\t10.0.0.1\t502\tREAD_COILS\n",
	"icsnpp/modbus/tests/traces/a.pcap":           "",
	"icsnpp/modbus/tests/Baseline/x/empty.log":    "#fields\tts\n",
	"zeek-community-id/baseline/placeholder.text": "",
}

func TestRead(t *testing.T) {
	x, err := Read(written(t, everyPeer))
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Zeek) != 1 || x.Zeek[0].Capture != "zeek/Traces/a.pcap" || len(x.ICSNPP) != 1 || x.ICSNPP[0].Capture != "icsnpp/modbus" || len(x.NDPI) != 2 || len(x.Arkime) != 1 {
		t.Errorf("%+v", x)
	}
	if len(x.Suricata) != 1 || x.Suricata[0].Capture != "suricata-verify/t/input.pcap" || len(x.Suricata[0].Checks) != 2 || x.Suricata[0].Checks[1].Count != 0 {
		t.Errorf("%+v", x.Suricata)
	}
	if len(x.FoxIO) != 2 || x.FoxIO[0].Ends.Transport != "tcp" || x.FoxIO[1].Ends.Transport != "udp" || x.FoxIO[1].Capture != "ja4/pcap/b.pcap" || x.FoxIO[0].Name != "a.example" {
		t.Errorf("%+v", x.FoxIO)
	}
	list, err := x.Captures()
	if want := "arkime/pcap/a.pcapng icsnpp/modbus/tests/traces/a.pcap ja4/pcap/a nDPI/pcap/a.pcap suricata-verify/t/input.pcap zeek/Traces/a.pcap"; strings.Join(list, " ") != want || err != nil {
		t.Errorf("%s, want %s; %v", list, want, err)
	}
	if x, err = Read(t.TempDir()); err == nil {
		t.Errorf("an empty folder has no list of Zeek's: %+v", x)
	}
}

func TestArkime(t *testing.T) {
	dir := written(t, everyPeer)
	list, err := Arkime(filepath.Join(dir, "arkime", "pcap", "a.test"))
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	x := &list[0]
	e, src, ok := x.ends()
	if !ok || e.String() != "tcp 10.0.0.1:80 10.0.0.9:1025" || src.Port() != 1025 {
		t.Errorf("%s %s %v", e, src, ok)
	}
	for path, want := range map[string]string{"http.host": "a.example:80", "http.useragent": "curl/8", "http.none": "", "none.none": "", "source.port": "1025"} {
		if got := strings.Join(x.values(path), " "); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// What each word of a peer's is in ours, "" for what is not compared.
func TestWords(t *testing.T) {
	for _, tc := range []struct {
		name    string
		convert func(string) string
		pairs   []string
	}{
		{"dnsCode", dnsCode, []string{"NoError", "NOERROR"}},
		{"snmpVersion", snmpVersion, []string{"2", "2c", "3", "3"}},
		{"snmpKind", snmpKind, []string{"GetNextRequest", "get_next", "get_request", "get", "get_response", "response", "SNMPv2-Trap", "trap", "trap_v1", "trap"}},
		{"snmpLevel", snmpLevel, []string{"authPriv", "auth_priv", "none", ""}},
		{"zeekModbus", zeekModbus, []string{"READ_COILS", "read_coils", "READ_COILS_EXCEPTION", "read_coils", "unknown-29", "29", "unknown-1", "read_coils", "unknown-200", "", "PROGRAM_484", "13"}},
		{"plainVendor", plainVendor, []string{"Acme, Inc. (formerly Other)", "Acme Inc.", "Unknown (9)", ""}},
		{"zeekTLSVersion", zeekTLSVersion, []string{"TLSv12", "1.2", "SSLv3", "ssl3", "DTLSv12", ""}},
		{"sha256Of", sha256Of, []string{strings.Repeat("a", 64) + ",b", strings.Repeat("a", 64), strings.Repeat("a", 40), ""}},
		{"hostName", hostName, []string{"A.example:8080", "a.example", "a.example", "a.example", "[fe80::1]", "[fe80::1]"}},
		{"zeekName", zeekName, []string{"Server4:443", "server4"}},
		{"zeekType", zeekType, []string{"query-99", "TYPE99", "*", "ANY", "A", "A"}},
		{"zeekBytes", zeekBytes, []string{`\x13\x0a`, "130a", "text", "text"}},
		{"sshSoftware", sshSoftware, []string{"SSH-2.0-OpenSSH_5.9p1 Debian", "OpenSSH_5.9p1", "nonsense", ""}},
		{"seconds", seconds, []string{"3600.000000", "3600", "7", "7"}},
		{"suricataDialect", suricataDialect, []string{"3.11", "3.1.1", "unknown", "", "NT LM 0.12", "NT LM 0.12"}},
		{"suricataTLSVersion", suricataTLSVersion, []string{"TLS 1.3", "1.3", "UNDETERMINED", ""}},
		{"mailName", mailName, []string{"[10.0.0.1]", "", "localhost", "", "PC7.example", "pc7.example"}},
		{"serviceClass", serviceClass, []string{"HTTP/server.example", "http"}},
		{"kerberosError", kerberosError, []string{"KDC_ERR_PREAUTH_REQUIRED", "preauth_required", "KRB_ERR_GENERIC", "generic"}},
		{"account", account, []string{"<unknown>", "", "root", "administrator", "anonymous", "anonymous"}},
		{"syslogWord", syslogWord, []string{"UNSPECIFIED", "", "LOCAL7", "local7"}},
		{"zeekTrue", zeekTrue, []string{"T", "true", "F", ""}},
		{"md5Of", md5Of, []string{"", "d41d8cd98f00b204e9800998ecf8427e"}},
		{"domain", domain, []string{"www.A.example", "a.example", "localhost", "", "a.b c", ""}},
	} {
		for i := 0; i < len(tc.pairs); i += 2 {
			if got := tc.convert(tc.pairs[i]); got != tc.pairs[i+1] {
				t.Errorf("%s(%q): %q, want %q", tc.name, tc.pairs[i], got, tc.pairs[i+1])
			}
		}
	}
	if got := strings.Join(counted([]string{"read_coils:12", "plain", "a:b:3"}), " "); got != "read_coils plain a:b:3" {
		t.Errorf("counted: %s", got)
	}
	for _, tc := range []struct{ master, sub, transport, want string }{
		{"TLS", "", "tcp", "tls"}, {"SOAP", "", "udp", "ws_discovery"}, {"NetBIOS", "SMBv1", "tcp", "netbios smb smb netbios"}, {"New-Name", "", "tcp", "new_name"}, {"TLS", "HTTP", "tcp", "tls"},
	} {
		if got := strings.Join(NDPINames(tc.master, tc.sub, tc.transport), " "); got != tc.want {
			t.Errorf("%s.%s: %s, want %s", tc.master, tc.sub, got, tc.want)
		}
	}
}

// All peers agree with a flow and facts that say the same, and all differences are
// found where nothing does.
func TestCompare(t *testing.T) {
	x, err := Read(written(t, everyPeer))
	if err != nil {
		t.Fatal(err)
	}
	captures, err := x.Captures()
	if err != nil {
		t.Fatal(err)
	}
	ends := func(port uint16) (Ends, netip.AddrPort) {
		src := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), 1025)
		return EndsOf("tcp", src, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), port)), src
	}
	good := func(capture string) (*Observed, error) {
		var flows []*Flow
		var facts []*Fact
		add := func(port uint16, protocol, kind string, pairs ...string) {
			e, src := ends(port)
			if !slices.ContainsFunc(flows, func(f *Flow) bool { return f.Ends == e }) {
				flows = append(flows, &Flow{Ends: e, Src: src, Packets: [2]uint64{5, 4}, Protocol: protocol, By: "content", CommunityID: "1:x"})
			}
			f := &Fact{Ends: e, Protocol: protocol, Kind: kind, Attributes: map[string][]string{Kind: {kind}}}
			for i := 0; i < len(pairs); i += 2 {
				f.Attributes[pairs[i]] = strings.Split(pairs[i+1], "|")
			}
			facts = append(facts, f)
		}
		add(80, "http", "request", "host", "a.example", "user_agent", "curl/8")
		add(80, "dns", "query", "name_len", "13", "domain", "a.example", "qtype", "A", "rcode", "NOERROR")
		add(80, "tls", "certificate", "certificate_serial", "ab", "certificate_subject", "NAME", "certificate_not_before", "1970-01-01T00:00:00Z", "certificate_not_after", "1970-01-01T00:00:01Z")
		add(80, "tls", "server_hello", "tls_version", "1.2")
		add(443, "tls", "client_hello", "ja4", "t13d1516h2_8daaf6152771_e5627efa2ab1", "sni", "a.example")
		add(502, "modbus", "transactions", "functions", "read_coils:3|write_single_coil:1")
		return New(capture, flows, facts), nil
	}
	r, err := x.Compare(captures, []string{"http"}, good)
	if err != nil {
		t.Fatal(err)
	}
	peers := map[string]int{}
	for i := range r.Checks {
		c := &r.Checks[i]
		if peers[c.Peer]++; !c.Equal && !strings.Contains(c.Where, "fe80") {
			t.Errorf("%+v", c)
		}
	}
	if got := slices.Sorted(maps.Keys(peers)); strings.Join(got, " ") != "Arkime FoxIO ICSNPP Suricata Zeek nDPI" {
		t.Errorf("compared with %v", peers)
	}
	r, err = x.Compare(captures, []string{"http"}, func(capture string) (*Observed, error) { return New(capture, nil, nil), nil })
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Checks {
		if c := &r.Checks[i]; c.Equal && c.Want != "0" || !c.Equal && !c.Unexplained() {
			t.Errorf("nothing came out, and yet: %+v", c)
		}
	}
	if len(r.Checks) < 10 {
		t.Errorf("%d differences", len(r.Checks))
	}
}
