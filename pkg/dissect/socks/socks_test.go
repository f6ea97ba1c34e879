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
	get     = "GET /canarypath HTTP/1.1\r\nHost: pacs.example\r\nUser-Agent: Pump/2\r\nAuthorization: Basic amNhbmFyeXVzZXI6Y2FuYXJ5c2VjcmV0\r\n\r\n" // jcanaryuser:canarysecret
)

// hello is a TLS hello without extensions: of a client (1) or of a server (2).
func hello(kind byte) string {
	head := "\x03\x03" + strings.Repeat("r", 32) + "\x00"
	if kind == 1 {
		return "\x16\x03\x01\x00\x2d\x01\x00\x00\x29" + head + "\x00\x02\x13\x01\x01\x00"
	}
	return "\x16\x03\x03\x00\x2a\x02\x00\x00\x26" + head + "\x13\x01\x00"
}

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
		{
			"HTTP inside", "socks connect > destination_port=443 mechanism=none outcome=success socks_version=5\n" +
				"http request > account=other auth=basic cleartext_credential=basic host=pacs.example http_version=1.1 method=GET user_agent=Pump/2 via=socks\n" +
				"http response - http_version=1.1 server=Archive/3 status=200 via=socks\n",
			say("\x05\x01\x00", "\x05\x00", request, answer, get, "HTTP/1.1 200 OK\r\nServer: Archive/3\r\nContent-Length: 0\r\n\r\n"),
		},
		{
			"TLS inside", "socks connect > destination_port=443 mechanism=none outcome=success socks_version=5\n" +
				"tls client_hello > ja3=ea1e247991e541e39bf918cb7cfa5139 ja4=t12i010000_0f2cb44170f4_000000000000 tls_version=1.2 tls_versions=1.2 via=socks\n" +
				"tls server_hello - cipher=TLS_AES_128_GCM_SHA256 ja3s=e8c07683aecf9b16e8e33f10a5161e4e tls_version=1.2 via=socks\n",
			say("\x05\x01\x00", "\x05\x00", request, answer, hello(1), hello(2)),
		},
		{
			"bound: who comes in is not the proxy", "socks connect > destination_port=443 mechanism=none outcome=success socks_version=5\n" +
				"http request - host=pacs.example http_version=1.1 method=GET via=socks\nhttp response > http_version=1.1 status=204 via=socks\n",
			say("\x05\x01\x00", "\x05\x00", strings.Replace(request, "\x05\x01", "\x05\x02", 1), answer, "", answer, "", "GET / HTTP/1.1\r\nHost: pacs.example\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n"),
		},
		{
			"a proxy that calls its client", "socks connect < destination_port=443 outcome=success socks_version=5\n" +
				"http request < host=pacs.example http_version=1.1 method=GET via=socks\nhttp response - http_version=1.1 status=204 via=socks\n",
			say("NZ\x8d\x08", "\x05\x01\x00", "\x05\x00", request, answer, "GET / HTTP/1.1\r\nHost: pacs.example\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n"),
		},
		{"for datagrams", "socks connect > destination_port=443 mechanism=none outcome=success socks_version=5\n", say("\x05\x01\x00", "\x05\x00", strings.Replace(request, "\x05\x01", "\x05\x03", 1), answer, get)},
		{"Kerberos", "socks connect > destination_port=443 mechanism=gssapi outcome=unknown socks_version=5\n", say("\x05\x02\x00\x01"+request, "\x05\x01", "\x01\x01\x00\x06canary")},
	} {
		r := dissecttest.EveryCut(t, tc.c)
		if r.Brief() != tc.want || r.Flows[0].Protocol != "socks" {
			t.Errorf("%s: got\n%swant\n%s", tc.name, r.Brief(), tc.want)
		}
		if strings.Contains(tc.name, "version") || tc.name == "HTTP inside" {
			dissecttest.NoLeak(t, []string{"canary"}, tc.c)
		}
		all = append(all, tc.c)
	}
	dissecttest.PlantedTalks(t, "socks", 9999, []string{"canary.example", "canarysecret", "jcanaryuser", "canarydata"}, all...)
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{
		"\x05\x01\x00": dissector.More, "\x05\x01\x00" + request: dissector.Yes, "\x05\x00": dissector.No, "\x05\x01\x00\x05\x09": dissector.No, "\x05\x01\x00\x07": dissector.No, "\x04\x01\x01\xbb\x0a\x01\x02\x03\x00": dissector.Yes,
		"\x04\x01\x01\xbb\x0a\x01\x02\x03\x00x": dissector.Yes, "\x04\x01\x01\xbb\x0a\x01\x02\x00\x00": dissector.No, "\x04\x03": dissector.No, "\x04\x01\x00\x00\x0a\x01\x02\x03\x00": dissector.No, "\x04\x01\x01\xbb\x0a\x01\x02\x03\x01\x00": dissector.No, "GET": dissector.No, "\x05\x00\x0b\x03": dissector.No,
	} {
		if got := socks.Protocol.Recognise([]byte(in), false); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// TLS and HTTP inside of the tunnel, of Arkime's and Zeek's captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/socks-with-ssl.pcap":       "tls client_hello >",
		"arkime/pcap/socks4-https.pcap":         "tls server_hello - cipher=TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 ja3s=45c746ac8e66bbaef4f2ebd6e6cd82db tls_version=1.2 via=socks\ntls certificate - ",
		"arkime/pcap/socks-http-pass.pcap":      "http request > host=www.example.com http_version=1.1 method=GET user_agent=curl/7.24.0",
		"arkime/pcap/socks5-http-302-frag.pcap": "http request > host=www.google.com http_version=1.1 method=GET user_agent=Mozilla/5.0",
		"arkime/pcap/socks5-reverse.pcap":       "http request < host=www.google.com http_version=1.1 method=GET user_agent=Mozilla/4.0",
		"zeek/Traces/socks-auth-10080.pcap":     "socks connect > account=other cleartext_credential=user_pass",
		"arkime/pcap/socks-https-example.pcap":  "tls client_hello >",
		"nDPI/pcap/socks.pcap":                  "socks connect > destination_port=80 mechanism=none outcome=success socks_version=5",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%s", file, want, r.Brief())
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("\x05\x01\x00"+request+get), []byte("\x05\x00"+answer+hello(2)), 9)
	f.Add([]byte("\x05\x01\x02\x01\x05admin\x0ccanarysecret"+request), []byte("\x05\x02\x01\x00"+answer), 9)
	f.Fuzz(dissecttest.FuzzCut)
}
