package smtp_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/smtp"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func TestRecognise(t *testing.T) {
	for _, tc := range []struct {
		in        string
		midstream bool
		want      dissector.Verdict
	}{
		{"220 mail.example.org ESMTP Postfix\r\n", false, dissector.Yes},
		{"220-mail.example.org\r\n220 ESMTP\r\n", false, dissector.Yes},
		{"220 mail", false, dissector.More},
		{"220 ready\r\n", false, dissector.More},
		{"220 FTP ready\r\n", false, dissector.No},
		{"554 mail.example.org SMTP no\r\n", false, dissector.Yes},
		{"554 no\r\n", false, dissector.No},
		{"250 ok\r\n", false, dissector.No},
		{"ehlo ws7\r\n", false, dissector.Yes},
		{"EHLO\r\n", false, dissector.Yes},
		{"EH", false, dissector.More},
		{"EHLO" + strings.Repeat("x", 600), false, dissector.No},
		{"MAIL FROM:<a@b>\r\n", true, dissector.Yes},
		{"MAIL FROM:<a@b>\r\n", false, dissector.No},
		{"RCPT TO:", true, dissector.More},
		{"HELO \x00\r\n", false, dissector.No},
		{"GET / HTTP/1.1\r\n", false, dissector.No},
	} {
		if got := smtp.Protocol.Recognise([]byte(tc.in), tc.midstream); got != tc.want {
			t.Errorf("%q: %d, want %d", tc.in, got, tc.want)
		}
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

var secrets = []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser", "canarypassword", "canary@example.org"}

// session has what must not leave in every free place.
func session() []string {
	return []string{
		"S: 220 mx1.example.org ESMTP Postfix CANARY-ALFA (Ubuntu)", "C: EHLO WS7.example.org CANARY-ALFA",
		"S: 250-mx1.example.org greets CANARY-ALFA", "S: 250-STARTTLS", "S: 250-AUTH PLAIN LOGIN CANARY-ALFA", "S: 250-CANARY-ALFA", "S: 250 SIZE 1000",
		"C: AUTH LOGIN", "S: 334 " + b64("Username:"), "C: " + b64("jcanaryuser"), "S: 334 " + b64("Password:"), "C: " + b64("canarypassword"), "S: 535 5.7.8 CANARY-ALFA",
		"C: AUTH PLAIN " + b64("\x00root\x00canarypassword"), "S: 235 2.7.0 jcanaryuser",
		"C: MAIL FROM:<canary@example.org>", "S: 250 ok", "C: RCPT TO:<jcanaryuser@example.org>", "S: 250 ok", "C: RCPT TO:<PHI-0001-CANARY@example.org>", "S: 250 ok",
		"C: DATA", "S: 354 go on", "C: From: CANARY-ALFA <canary@example.org>", "C: Subject: CANARY-ALFA", "C: X-Mailer: Infuser 2.1", "C: User-Agent: canary@example.org", "C: ",
		"C: CANARY-ALFA", "C: X-Mailer: CANARY-ALFA", "C: AUTH PLAIN " + b64("\x00jcanaryuser\x00canarypassword"), "C: .", "S: 250 2.0.0 Ok: queued as PHI-0001-CANARY",
		"C: BDAT 13 LAST", "C: CANARY-ALFA", "S: 250 ok", "C: CANARY-ALFA", "S: 500 what?", "C: QUIT", "S: 221 CANARY-ALFA",
	}
}

func TestSession(t *testing.T) {
	r := dissecttest.EveryCut(t, dissecttest.Lines(session()...))
	want := `smtp banner < banner=ESMTP Postfix Ubuntu hostname=mx1.example.org os=Ubuntu software=Postfix
smtp ehlo > hostname=ws7.example.org
smtp features < features=STARTTLS|AUTH|SIZE hostname=mx1.example.org mechanisms=plain|login|other
smtp login > account=other cleartext_credential=login mechanism=login outcome=failure
smtp login > account=administrator cleartext_credential=plain mechanism=plain outcome=success
smtp mail > user_agent=Infuser 2.1
smtp session > logins=2 logins_failed=1 messages=2 messages_accepted=2 recipients=2
`
	dissecttest.Says(t, r, "smtp", want)
}

func TestCanaries(t *testing.T) {
	dissecttest.NoLeak(t, secrets, dissecttest.Lines(session()...))
	dissecttest.PlantedTalks(t, "smtp", 9999, secrets, dissecttest.Lines(session()...))
}

// What a server refuses, what it does not answer, and messages that never end.
func TestOdd(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		text       []string
	}{
		{"DATA is refused", "smtp session > messages=0 messages_accepted=0 recipients=0\n", []string{"C: MAIL FROM:<a@b>", "S: 250 ok", "C: DATA", "S: 503 no", "C: X-Mailer: x", "S: 500 no"}},
		{"a login without an answer", "smtp login > cleartext_credential=plain mechanism=plain outcome=unknown\nsmtp session > logins=1 logins_failed=0 messages=0 messages_accepted=0 recipients=0\n", []string{"C: AUTH PLAIN"}},
		{"a login that is given up", "smtp login > account=empty cleartext_credential=login mechanism=login outcome=failure\nsmtp session > logins=1 logins_failed=1 messages=0 messages_accepted=0 recipients=0\n", []string{"C: AUTH LOGIN", "S: 334 ", "C: *", "S: 501 cancelled"}},
		{"an open message", "smtp session > messages=0 messages_accepted=0 recipients=0\n", []string{"C: MAIL FROM:<a@b>", "S: 250 ok", "C: DATA", "S: 354 go", "C: a", "C: b"}},
		{"a message in chunks", "smtp mail > user_agent=Pump 2\nsmtp session > messages=1 messages_accepted=0 recipients=0\n", []string{"C: BDAT 9", "C: Subject", "S: 250 ok", "C: BDAT 36 LAST", "C: : x\r\nX-Mailer: Pump 2\r\n\r\nX-Mailer:"}},
		{"a size that lies", "smtp session > messages=0 messages_accepted=0 recipients=0\n", []string{"C: MAIL FROM:<a@b>", "S: 250 ok", "C: BDAT 99999999999999999999 LAST", "S: 501 no", "C: BDAT 4000000000", "C: x"}},
	} {
		r := dissecttest.EveryCut(t, dissecttest.Lines(append([]string{"S: 220 SMTP", "C: HELO [10.1.2.3]", "S: 250 ok"}, tc.text...)...))
		if want := "smtp banner <\nsmtp helo >\n" + tc.want; r.Brief() != want {
			t.Errorf("%s: got\n%swant\n%s", tc.name, r.Brief(), want)
		}
	}
}

// The peers' captures: TLS after STARTTLS, NTLM inside of AUTH.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/suricata-verify/smtp-startssl/input.pcap")))
	if len(r.Of("tls", "client_hello")) != 1 || len(r.Of("tls", "server_hello")) != 1 || r.Of("smtp", "session")[0].Attributes.Get("upgraded") != "tls" {
		t.Error(r.Brief())
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/smtp.pcap")))
	if f := r.Of("smtp", "session"); len(f) != 1 || f[0].Attributes.Get("recipients") != "30" {
		t.Error(r.Brief())
	}
}

func FuzzStream(f *testing.F) {
	var a, b strings.Builder
	for _, l := range session() {
		if l[0] == 'C' {
			a.WriteString(l[3:] + "\r\n")
		} else {
			b.WriteString(l[3:] + "\r\n")
		}
	}
	f.Add([]byte(a.String()), []byte(b.String()), 40)
	f.Add([]byte("EHLO x\r\nBDAT 3\r\nabcSTARTTLS\r\n\x16\x03\x01"), []byte("220 SMTP\r\n220 go\r\n"), 3)
	f.Fuzz(dissecttest.FuzzCut)
}
