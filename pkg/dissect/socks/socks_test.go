package socks_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/socks"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func say(list ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, s := range list {
		if s != "" {
			c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(s)})
		}
	}
	return c
}

var (
	request = "\x05\x01\x00\x03\x0fcanary.examples\x01\xbb"
	answer  = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
)

func TestConversations(t *testing.T) {
	var all []dissecttest.Conversation
	for _, tc := range []struct {
		name, want string
		c          dissecttest.Conversation
	}{
		{"version 5", "socks connect > destination_port=443 mechanism=none outcome=success socks_version=5\n", say("\x05\x01\x00", "\x05\x00", request, answer, "canarydata")},
		{
			"with a password", "socks connect > account=administrator cleartext_credential=user_pass destination_port=443 mechanism=user_pass outcome=success socks_version=5\n",
			say("\x05\x02\x00\x02", "\x05\x02", "\x01\x05admin\x0ccanarysecret", "\x01\x00", request, answer),
		},
		{"with a wrong one", "socks connect > account=other cleartext_credential=user_pass mechanism=user_pass outcome=failure socks_version=5\n", say("\x05\x02\x00\x02", "\x05\x02", "\x01\x04jdoe\x0ccanarysecret", "\x01\x01")},
		{"refused", "socks connect > destination_port=443 mechanism=none outcome=failure socks_version=5\n", say("\x05\x01\x00", "\x05\x00", request, "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")},
		{"version 4", "socks connect > account=other destination_port=443 mechanism=none outcome=success socks_version=4\n", say("\x04\x01\x01\xbb\x0a\x01\x02\x03jcanaryuser\x00", "\x00\x5a\x00\x00\x00\x00\x00\x00", "canarydata")},
		{"version 4a", "socks connect > destination_port=443 mechanism=none outcome=failure socks_version=4\n", say("\x04\x01\x01\xbb\x00\x00\x00\x01\x00canary.example\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00")},
	} {
		r := dissecttest.EveryCut(t, tc.c)
		if r.Brief() != tc.want || r.Flows[0].Protocol != "socks" {
			t.Errorf("%s: got\n%swant\n%s", tc.name, r.Brief(), tc.want)
		}
		if strings.Contains(tc.name, "version") {
			dissecttest.NoLeak(t, []string{"canary"}, tc.c)
		}
		all = append(all, tc.c)
	}
	dissecttest.PlantedTalks(t, "socks", 9999, []string{"canary.example", "canarysecret", "jcanaryuser", "canarydata"}, all...)
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{
		"\x05\x01\x00": dissector.More, "\x05\x01\x00" + request: dissector.Yes, "\x05\x00": dissector.No, "\x05\x01\x00\x05\x09": dissector.No, "\x05\x01\x00\x07": dissector.No, "\x04\x01\x01\xbb\x0a\x01\x02\x03\x00": dissector.Yes,
		"\x04\x01\x01\xbb\x0a\x01\x02\x03\x00x": dissector.No, "\x04\x03": dissector.No, "\x04\x01\x00\x00\x0a\x01\x02\x03\x00": dissector.No, "\x04\x01\x01\xbb\x0a\x01\x02\x03\x01\x00": dissector.No, "GET": dissector.No, "\x05\x00\x0b\x03": dissector.No,
	} {
		if got := socks.Protocol.Recognise([]byte(in), false); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// TLS inside of the tunnel, of Arkime's and Zeek's captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/socks-with-ssl.pcap":      "tls client_hello >",
		"zeek/Traces/socks-auth-10080.pcap":    "socks connect > account=other cleartext_credential=user_pass",
		"arkime/pcap/socks-https-example.pcap": "tls client_hello >",
		"nDPI/pcap/socks.pcap":                 "socks connect > destination_port=80 mechanism=none outcome=success socks_version=5",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%s", file, want, r.Brief())
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("\x05\x01\x02\x01\x05admin\x0ccanarysecret"+request), []byte("\x05\x02\x01\x00"+answer), 9)
	f.Fuzz(dissecttest.FuzzCut)
}
