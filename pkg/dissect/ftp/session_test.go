package ftp_test

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// session is a whole session with what must not leave in every free place.
var session = []string{
	"S: 220-CANARY-ALFA's machine", "S: 220 ProFTPD 1.3.5 Server (PHI-0001-CANARY) [10.1.2.4]",
	"C: USER jcanaryuser", "S: 331 Password required for jcanaryuser",
	"C: PASS canarypassword", "S: 530 Login incorrect, jcanaryuser.",
	"C: USER root", "S: 331 Password required", "C: PASS canarypassword", "S: 230-CANARY-ALFA", "S:  all is well", "S: 230 User jcanaryuser logged in",
	"C: SYST", "S: 215 UNIX Type: L8", "C: FEAT", "S: 211-Features:", "S:  AUTH TLS", "S:  MLST CANARY-ALFA*;", "S:  CANARY-ALFA", "S: 211 End",
	"C: CWD /CANARY-ALFA/PHI-0001-CANARY", "S: 250 CANARY-ALFA", "C: PASV", "S: 227 Entering Passive Mode (10,1,2,4,195,80).",
	"C: STOR PHI-0001-CANARY.dcm", "S: 150 Opening CANARY-ALFA", "S: 226 Transfer complete.", "C: CANARY-ALFA command", "S: 500 'CANARY-ALFA': what?", "C: QUIT", "S: 221 Goodbye.",
}

var secrets = []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser", "canarypassword"}

func TestSession(t *testing.T) {
	r := dissecttest.EveryCut(t, dissecttest.Lines(session...))
	want := `ftp banner < banner=ProFTPD 1.3.5 Server software=ProFTPD software_version=1.3.5
ftp login > account=other cleartext_credential=user_pass outcome=failure
ftp login > account=administrator cleartext_credential=user_pass outcome=success
ftp system < os=UNIX
ftp features < features=AUTH TLS|MLST
ftp session > commands=CWD:1|FEAT:1|PASS:2|PASV:1|QUIT:1|STOR:1|SYST:1|USER:2|other:1 logins=2 logins_failed=1
`
	dissecttest.Says(t, r, "ftp", want)
}

func TestCanaries(t *testing.T) {
	dissecttest.NoLeak(t, secrets, dissecttest.Lines(session...))
	dissecttest.PlantedTalks(t, "ftp", 9999, secrets, dissecttest.Lines(session...))
}

// A greeting that could be SMTP's waits for the client's first command.
func TestUndecided(t *testing.T) {
	r := dissecttest.EveryCut(t, dissecttest.Lines("S: 220 ready", "C: USER ftp", "S: 230 Any password will do", "C: QUIT", "S: 221 Bye"))
	if f := r.Of("ftp", "login"); len(f) != 1 || f[0].Attributes.Get("account") != "anonymous" || f[0].Attributes.Get("cleartext_credential") != "" || f[0].Attributes.Get("outcome") != "success" {
		t.Error(r.Text())
	}
	if r := dissecttest.EveryCut(t, dissecttest.Lines("S: 220 ready", "C: EHLO x", "S: 250 x")); r.Flows[0].Protocol == "ftp" {
		t.Error("a mail server's greeting is taken for FTP")
	}
}

// Brute force is told once for each outcome and kind of account, and counted.
func TestBruteForce(t *testing.T) {
	text := []string{"S: 220 FTP"}
	for range 50 {
		text = append(text, "C: USER admin", "S: 331 ?", "C: PASS x", "S: 530 no")
	}
	r := dissecttest.Play(dissect.Config{}, dissecttest.Lines(text...).Segments(true))
	if len(r.Of("ftp", "login")) != 1 || r.Of("ftp", "session")[0].Attributes.Get("logins_failed") != "50" {
		t.Error(r.Text())
	}
}

// A password whose answer was not seen, and one without a name.
func TestUnanswered(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, dissecttest.Lines("S: 220 FTP", "C: USER admin", "S: 331 ?", "C: PASS x").Segments(true))
	if f := r.Of("ftp", "login"); len(f) != 1 || f[0].Attributes.Get("outcome") != "unknown" || f[0].Attributes.Get("account") != "administrator" {
		t.Error(r.Text())
	}
}

// What comes where the control connection announced it is FTP's data.
func TestData(t *testing.T) {
	c := dissecttest.Lines("S: 220 FTP", "C: EPSV", "S: 229 Entering Extended Passive Mode (|||50001|)", "C: PORT 10,1,2,3,195,82", "S: 200 ok")
	r := dissecttest.NewRunner(dissect.Config{})
	list := c.Segments(true)
	for i := range list {
		r.Headers(&list[i])
	}
	client, server := list[0].SrcIP, list[0].DstIP
	data := func(h packet.Headers) {
		h.Transport, h.TCPFlags, h.Payload, h.PayloadLen, h.Packets = proto.TCP, packet.ACK, []byte("any bytes"), 9, 1
		r.Headers(&h)
	}
	data(packet.Headers{EtherType: packet.EtherTypeIPv4, SrcIP: client, DstIP: server, SrcPort: 40001, DstPort: 50001})
	data(packet.Headers{EtherType: packet.EtherTypeIPv4, SrcIP: server, DstIP: client, SrcPort: 20, DstPort: 50002})
	for _, f := range r.Finish().Flows[1:] {
		if f.Protocol != "ftp_data" || f.By != proto.ByContext {
			t.Errorf("%+v", f)
		}
	}
}

// After AUTH TLS the hellos are TLS's.
func TestTLS(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/ftp-start-tls.pcap")))
	if len(r.Of("tls", "client_hello")) != 1 || len(r.Of("tls", "server_hello")) != 1 || len(r.Of("tls", "certificate")) != 1 || !slices.Contains(r.Flows[0].Inner, "tls") {
		t.Error(r.Text())
	}
	if f := r.Of("ftp", "session"); len(f) != 1 || f[0].Attributes.Get("upgraded") != "tls" {
		t.Error(r.Text())
	}
}

// With GridFTP TLS is within the lines, and the session goes on behind its handshake.
// A token of anything else, of which Kerberos' names somebody, is left alone.
func TestTokens(t *testing.T) {
	head := "\x03\x03" + strings.Repeat("r", 32) + "\x00"
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	c := dissecttest.Lines("S: 220 FTP server", "C: AUTH GSSAPI", "S: 334 ADAT must follow",
		"C: ADAT "+encode("\x16\x03\x01\x00\x2d\x01\x00\x00\x29"+head+"\x00\x02\x13\x01\x01\x00"), "S: 335 ADAT="+encode("\x16\x03\x03\x00\x2a\x02\x00\x00\x26"+head+"\x13\x01\x00"),
		"C: ADAT "+encode("\x14\x03\x03\x00\x01\x01"), "S: 235 ADAT="+encode("\x14\x03\x03\x00\x01\x01"), "C: NOOP", "S: 200 fine")
	want := `ftp banner < hostname=x
tls client_hello > ja3=ea1e247991e541e39bf918cb7cfa5139 ja4=t12i010000_0f2cb44170f4_000000000000 tls_version=1.2 tls_versions=1.2
tls server_hello < cipher=TLS_AES_128_GCM_SHA256 ja3s=e8c07683aecf9b16e8e33f10a5161e4e tls_version=1.2
ftp session > commands=ADAT:2|AUTH:1|NOOP:1
`
	want = strings.Replace(want, " hostname=x", "", 1)
	if r := dissecttest.EveryCut(t, c); r.Brief() != want || !slices.Equal(r.Flows[0].Inner, []string{"tls"}) {
		t.Errorf("%v, got\n%swant\n%s", r.Flows[0].Inner, r.Brief(), want)
	}
	c = dissecttest.Lines("S: 220 FTP server", "C: AUTH GSSAPI", "S: 334 ADAT must follow", "C: ADAT "+encode("`\x82\x01jcanaryuser"), "S: 235 ADAT="+encode("jcanaryuser"), "C: ADAT !", "S: 501 jcanaryuser")
	dissecttest.NoLeak(t, []string{"jcanaryuser"}, c)
	if r := dissecttest.EveryCut(t, c); r.Brief() != "ftp banner <\nftp session > commands=ADAT:2|AUTH:1\n" || len(r.Flows[0].Inner) > 0 {
		t.Error(r.Brief())
	}
	// Zeek's ssl.log of the capture.
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/zeek/Traces/globus-url-copy.pcap")))
	for attribute, want := range map[string]string{
		"tls_version": "1.0", "cipher": "TLS_RSA_WITH_AES_256_CBC_SHA", "certificate_sha256": "5d3015916579d36adff0d813c94ab4354cd9ed3d23646b40e4d137b79c77c860",
	} {
		if !slices.ContainsFunc(r.Facts, func(f dissecttest.Fact) bool { return f.Attributes.Get(attribute) == want && f.DstPort == 2811 }) {
			t.Errorf("no %s=%s in\n%s", attribute, want, r.Brief())
		}
	}
}

// Segments that are lost cost their lines and no more; what is no FTP at all ends.
func TestBroken(t *testing.T) {
	for name, text := range map[string][]string{
		"long line":     {"S: 220 FTP", "C: USER " + strings.Repeat("a", 5000), "S: 331 ?"},
		"no code":       {"S: 220 FTP", "S: hello", "S: 331 ?"},
		"endless text":  {"S: 220-FTP", "S: " + strings.Repeat("a", 900), "S: " + strings.Repeat("b", 900), "S: 220 end"},
		"only replies":  {"S: 220 FTP", "S: 230 ok", "S: 530 no"},
		"many commands": slices.Repeat([]string{"C: NOOP"}, 40),
	} {
		t.Run(name, func(t *testing.T) {
			dissecttest.EveryCut(t, dissecttest.Lines(append([]string{"S: 220 FTP"}, text...)...))
		})
	}
}

// What the peers say of these captures: Zeek's ftp.log and conn.log, nDPI's result.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/ftp/bruteforce.pcap":         `30 login 30 banner`,
		"zeek/Traces/ftp/ipv6.pcap":               `1 login 1 banner`,
		"nDPI/pcap/ftp.pcap":                      `1 login 1 banner`,
		"nDPI/pcap/ftp_failed.pcap":               `1 login 1 banner`,
		"mmt-dpi/pcaps/ftp_login_fail.pcap":       `3 login 3 banner`,
		"suricata-verify/ftp-epsv/input.pcap":     `1 login 1 banner`,
		"zeek/Traces/ftp/ipv6-retr-samba.pcap":    `1 login 1 banner`,
		"zeek/Traces/ftp/bigtransfer.pcap":        `1 login 1 banner`,
		"zeek/Traces/ftp/fake-long-commands.pcap": `2 login 1 banner`,
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		kinds := r.Kinds()
		if got := strings.Join([]string{strconv.Itoa(kinds["ftp login"]), "login", strconv.Itoa(kinds["ftp banner"]), "banner"}, " "); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}

func FuzzStream(f *testing.F) {
	var a, b strings.Builder
	for _, l := range session {
		if l[0] == 'C' {
			a.WriteString(l[3:] + "\r\n")
		} else {
			b.WriteString(l[3:] + "\r\n")
		}
	}
	f.Add(a.String(), b.String(), 40)
	f.Add("AUTH GSSAPI\r\nADAT FgMBAC0BAAApAwM=\r\nADAT !\r\n", "220 FTP\r\n334 x\r\n335 ADAT=FgMDACoCAAAmAwM=\r\n335-ADAT=\r\n", 3)
	f.Add("PORT 1,2,3,4,5,6\r\nEPRT |2|::1|7|\r\n", "220 FTP\r\n229 x (|||7|)\r\n227 1,2,3,4,5,6\n", 3)
	f.Fuzz(func(t *testing.T, a, b string, cut int) {
		dissecttest.FuzzCut(t, []byte(a), []byte(b), cut)
	})
}
