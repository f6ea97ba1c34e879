package imap_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/imap"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func TestRecognise(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want dissector.Verdict
	}{
		{"* OK Dovecot ready.\r\n", dissector.Yes},
		{"* OK Dove", dissector.More},
		{"* NO\r\n", dissector.No},
		{"a001 LOGIN x y\r\n", dissector.Yes},
		{"A1 CAPABILITY\r\n", dissector.Yes},
		{"a001 LOG", dissector.More},
		{"a001 HELLO\r\n", dissector.No},
		{"LOGIN x\r\n", dissector.No},
		{"a1", dissector.More},
		{"GET / HTTP/1.1\r\n", dissector.No},
		{"* OK " + strings.Repeat("x", 600), dissector.No},
	} {
		if got := imap.Protocol.Recognise([]byte(tc.in), false); got != tc.want {
			t.Errorf("%q: %d, want %d", tc.in, got, tc.want)
		}
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

var secrets = []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser", "canarypassword", "canary@example.org"}

var session = []string{
	"S: * OK [CAPABILITY IMAP4rev1 STARTTLS CANARY-ALFA] Dovecot at imap.ward.example.org ready, CANARY-ALFA",
	`C: a1 ID ("name" "Infuser" "version" "2.1" "os" "VxWorks" "vendor" "canary@example.org" "contact" "CANARY-ALFA")`, `S: * ID ("name" "Dovecot" "support-url" "PHI-0001-CANARY")`, "S: a1 OK ID CANARY-ALFA",
	"C: a2 LOGIN jcanaryuser canarypassword", "S: a2 NO jcanaryuser?", `C: a3 LOGIN "root" "canarypassword"`, "S: a3 OK CANARY-ALFA",
	"C: a4 AUTHENTICATE PLAIN", "S: + ", "C: " + b64("\x00jcanaryuser\x00canarypassword"), "S: a4 NO", "C: a5 LOGIN {11}", "S: + go", "C: jcanaryuser {14}", "S: + go", "C: canarypassword", "S: a5 OK",
	"C: a6 SELECT CANARY-ALFA", "S: * 1 EXISTS", "S: a6 OK", "C: a7 FETCH 1 BODY[]", "S: * 1 FETCH (BODY[] {30}", "S: Subject: CANARY-ALFA PHI-0001", "S: )", "S: a7 OK",
	"C: a8 IDLE", "S: + idling", "C: DONE", "S: a8 OK", "C: CANARY-ALFA", "C: a9 CANARY-ALFA x", "S: a9 BAD", "C: a10 LOGOUT", "S: * BYE CANARY-ALFA", "S: a10 OK",
}

func TestSession(t *testing.T) {
	r := dissecttest.EveryCut(t, dissecttest.Lines(session...))
	want := `imap banner < banner=Dovecot ready hostname=imap.ward.example.org software=Dovecot
imap id > os=VxWorks software=Infuser software_version=2.1
imap id < software=Dovecot
imap login > account=other cleartext_credential=user_pass outcome=failure
imap login > account=administrator cleartext_credential=user_pass outcome=success
imap login > account=other cleartext_credential=plain mechanism=plain outcome=failure
imap login > cleartext_credential=user_pass outcome=success
imap session > commands=AUTHENTICATE:1|FETCH:1|ID:1|IDLE:1|LOGIN:3|LOGOUT:1|SELECT:1|other:1 logins=4 logins_failed=2
`
	dissecttest.Says(t, r, "imap", want)
}

func TestCanaries(t *testing.T) {
	dissecttest.NoLeak(t, secrets, dissecttest.Lines(session...))
	dissecttest.PlantedTalks(t, "imap", 9999, secrets, dissecttest.Lines(session...))
}

// nDPI's captures.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/imap-starttls.pcap")))
	if len(r.Of("tls", "client_hello")) != 1 || r.Of("imap", "session")[0].Attributes.Get("upgraded") != "tls" || !slices.Contains(r.Flows[0].Inner, "tls") {
		t.Error(r.Brief())
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/imap.pcap")))
	if f := r.Of("imap", "login"); len(f) != 1 || f[0].Attributes.Get("outcome") != "success" {
		t.Error(r.Brief())
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
	f.Add([]byte(a.String()), []byte(b.String()), 40)
	f.Fuzz(dissecttest.FuzzCut)
}
