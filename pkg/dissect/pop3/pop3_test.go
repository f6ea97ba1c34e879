package pop3_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/pop3"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func TestRecognise(t *testing.T) {
	for _, tc := range []struct {
		in        string
		midstream bool
		want      dissector.Verdict
	}{
		{"+OK Dovecot ready.\r\n", false, dissector.Yes},
		{"+OK Dovecot", false, dissector.More},
		{"+OK\r\n", false, dissector.No}, // Redis
		{"+OK Dovecot ready.\r\n", true, dissector.No},
		{"CAPA\r\n", false, dissector.Yes},
		{"CAPABILITY\r\n", false, dissector.No},
		{"APOP jdoe c4c9334bac560ecc979e58001b3e22fb\r\n", false, dissector.Yes},
		{"USER a b\r\n", false, dissector.No},
		{"UIDL\r\n", true, dissector.Yes},
		{"UIDL\r\n", false, dissector.No},
		{"U", false, dissector.More},
		{"+OK \x00\x01\r\n", false, dissector.No},
		{"HELO x\r\n", false, dissector.No},
		{"+OK " + strings.Repeat("x", 600), false, dissector.No},
	} {
		if got := pop3.Protocol.Recognise([]byte(tc.in), tc.midstream); got != tc.want {
			t.Errorf("%q: %d, want %d", tc.in, got, tc.want)
		}
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

var secrets = []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser", "canarypassword", "canary@example.org"}

var session = []string{
	"S: +OK Dovecot ready, CANARY-ALFA. <1896.697170952@pop.example.org>", "C: CAPA", "S: +OK", "S: SASL PLAIN", "S: +OK CANARY-ALFA", "S: .",
	"C: USER jcanaryuser", "S: +OK jcanaryuser", "C: PASS canarypassword", "S: -ERR no, jcanaryuser", "C: USER root", "S: +OK", "C: PASS canarypassword", "S: +OK",
	"C: AUTH PLAIN", "S: + ", "C: " + b64("\x00jcanaryuser\x00canarypassword"), "S: -ERR", "C: APOP jcanaryuser c4c9334bac560ecc979e58001b3e22fb", "S: +OK CANARY-ALFA",
	"C: RETR 1", "S: +OK 120 octets", "S: From: canary@example.org", "S: Subject: CANARY-ALFA", "S: ", "S: PASS canarypassword", "S: PHI-0001-CANARY", "S: .",
	"C: PHI-0001-CANARY", "S: -ERR PHI-0001-CANARY?", "C: QUIT", "S: +OK bye CANARY-ALFA",
}

func TestSession(t *testing.T) {
	r := dissecttest.EveryCut(t, dissecttest.Lines(session...))
	want := `pop3 banner < banner=Dovecot ready hostname=pop.example.org software=Dovecot
pop3 login > account=other cleartext_credential=user_pass outcome=failure
pop3 login > account=administrator cleartext_credential=user_pass outcome=success
pop3 login > account=other cleartext_credential=plain mechanism=plain outcome=failure
pop3 login > account=other legacy=true mechanism=apop outcome=success
pop3 session > commands=APOP:1|AUTH:1|CAPA:1|PASS:2|QUIT:1|RETR:1|USER:2|other:1 logins=4 logins_failed=2
`
	dissecttest.Says(t, r, "pop3", want)
}

func TestCanaries(t *testing.T) {
	dissecttest.NoLeak(t, secrets, dissecttest.Lines(session...))
	dissecttest.PlantedTalks(t, "pop3", 9999, secrets, dissecttest.Lines(session...))
}

func TestUnanswered(t *testing.T) {
	r := dissecttest.EveryCut(t, dissecttest.Lines("S: +OK POP3", "C: USER root", "S: +OK", "C: PASS x"))
	if f := r.Of("pop3", "login"); len(f) != 1 || f[0].Attributes.Get("outcome") != "unknown" {
		t.Error(r.Brief())
	}
}

// nDPI's and Zeek's captures.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/pop3_stls.pcap")))
	if len(r.Of("tls", "client_hello")) != 1 || r.Of("pop3", "session")[0].Attributes.Get("upgraded") != "tls" || !slices.Contains(r.Flows[0].Inner, "tls") {
		t.Error(r.Brief())
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/zeek/Traces/pop3/pop3.pcap")))
	if k := r.Kinds(); k["pop3 session"] != 5 || k["pop3 login"] != 3 {
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
