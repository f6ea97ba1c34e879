package chat_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/chat"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

const open = "<?xml version='1.0'?><stream:stream to='CANARY-ALFA' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"

func xmpp() dissecttest.Conversation {
	return dissecttest.Conversation{
		{Side: 0, Data: []byte(open)},
		{Side: 1, Data: []byte(open + "<stream:features><mechanisms><mechanism>PLAIN</mechanism></mechanisms></stream:features>")},
		{Side: 0, Data: []byte("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGpjYW5hcnl1c2VyAGNhbmFyeXBhc3N3b3Jk</auth>")},
		{Side: 1, Data: []byte("<success/>")},
		{Side: 0, Data: []byte("<message to='jcanaryuser'><body>CANARY-ALFA</body></message>")},
	}
}

var irc = dissecttest.Lines("C: PASS canarypassword", "C: NICK jcanaryuser", "C: USER jcanaryuser 0 * :CANARY-ALFA", "S: :irc.example.org 001 jcanaryuser :Welcome", "C: JOIN #CANARY-ALFA", "S: :a!b@c PRIVMSG #x :CANARY-ALFA")

func TestConversations(t *testing.T) {
	r := dissecttest.EveryCut(t, xmpp())
	if r.Brief() != "xmpp login > cleartext_credential=plain mechanism=plain\n" || r.Flows[0].Protocol != "xmpp" {
		t.Errorf("%+v %s", r.Flows[0], r.Brief())
	}
	dissecttest.NoLeak(t, []string{"CANARY-ALFA", "jcanaryuser"}, xmpp())
	r = dissecttest.EveryCut(t, irc)
	if r.Brief() != "irc login > cleartext_credential=user_pass\n" || r.Flows[0].Protocol != "irc" {
		t.Errorf("%+v %s", r.Flows[0], r.Brief())
	}
	dissecttest.NoLeak(t, []string{"CANARY-ALFA", "jcanaryuser", "canarypassword"}, irc)
	dissecttest.PlantedTalks(t, "chat", 9999, []string{"CANARY-ALFA", "jcanaryuser", "canarypassword"}, xmpp(), irc)
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{
		"NICK a\r\nUSER a b c :d\r\n": dissector.Yes, "CAP LS\r\nNICK a\r\n": dissector.More, "NI": dissector.More, "NICK\r\nUSER a b c :d\r\n": dissector.More, ":irc.a.b NOTICE AUTH :*** Looking up\r\n": dissector.Yes, ":irc.a.b 001 n :x\r\n": dissector.Yes,
		":irc 001 n :x\r\n": dissector.No, "USER a\r\nPASS b\r\n": dissector.More, "HELLO\r\n": dissector.No, "": dissector.More,
	} {
		if got := chat.IRC.Recognise([]byte(in), false); got != want {
			t.Errorf("irc %q: %d, want %d", in, got, want)
		}
	}
	for in, want := range map[string]dissector.Verdict{
		open: dissector.Yes, open[:30]: dissector.More, "<?xml version='1.0'?><HEL.R01>": dissector.No, "<stream:stream xmlns='x'>": dissector.No, "<html>": dissector.No, "<iq type='set' id='1' to='a'>": dissector.No,
	} {
		if got := chat.XMPP.Recognise([]byte(in), false); got != want {
			t.Errorf("xmpp %q: %d, want %d", in, got, want)
		}
	}
	if chat.XMPP.Recognise([]byte("<iq type='set' id='1' to='a'>"), true) != dissector.Yes {
		t.Error("midstream")
	}
}

// nDPI's, Malcolm's, Arkime's and Zeek's captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]map[string]int{
		"nDPI/pcap/jabber.pcap": {"xmpp": 7}, "malcolm-artifacts/pcap/protocols/IRC.pcap": {"irc": 4}, "arkime/pcap/irc.pcap": {"irc": 1}, "zeek/Traces/irc-basic.pcap": {"irc": 1},
	} {
		got := map[string]int{}
		for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file))).Flows {
			if f.By == "content" {
				got[f.Protocol]++
			}
		}
		for p, n := range want {
			if got[p] != n {
				t.Errorf("%s: %d of %s, want %d", file, got[p], p, n)
			}
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(open+"<auth mechanism='PLAIN'>"), []byte(open), 50)
	f.Add([]byte("NICK a\r\nUSER a b c :d\r\nPASS x\r\n"), []byte(":a.b 001 c :d\r\n"), 9)
	f.Fuzz(dissecttest.FuzzCut)
}
