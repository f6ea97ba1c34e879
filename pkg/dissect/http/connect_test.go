package http_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// What is beyond the proxy is not told of it ("-" is nobody), whatever is asked for.
func TestConnect(t *testing.T) {
	const (
		connect = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
		granted = "HTTP/1.1 200 Yes\r\nServer: proxy\r\n\r\n"
		asked   = "http request > host=a http_version=1.1 method=CONNECT\nhttp response < http_version=1.1 server=proxy status=200\n"
	)
	serverHello := "\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + strings.Repeat("r", 32) + "\x00\x13\x01\x00"
	for name, tc := range map[string]struct {
		parts       []string
		inner, want string
	}{
		"TLS": {
			[]string{connect, granted, hello, serverHello},
			"tls", "tls client_hello > ja3=ea1e247991e541e39bf918cb7cfa5139 ja4=t12i010000_0f2cb44170f4_000000000000 tls_version=1.2 tls_versions=1.2 via=http_connect\n" +
				"tls server_hello - cipher=TLS_AES_128_GCM_SHA256 ja3s=e8c07683aecf9b16e8e33f10a5161e4e tls_version=1.2 via=http_connect\n",
		},
		"in clear": {
			[]string{connect, granted, "GET /Canarella HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP/1.1 200 OK\r\nServer: far\r\nContent-Length: 0\r\n\r\n"},
			"http", "http request > host=b http_version=1.1 method=GET via=http_connect\nhttp response - http_version=1.1 server=far status=200 via=http_connect\n",
		},
		"one in another": {
			[]string{connect, granted, connect, strings.Replace(granted, "proxy", "far", 1), hello, serverHello},
			"http", "http request > host=a http_version=1.1 method=CONNECT via=http_connect\nhttp response - http_version=1.1 server=far status=200 via=http_connect\n",
		},
		"SSH": {
			[]string{connect, granted, "SSH-2.0-Client_1\r\n", "SSH-2.0-Server_2\r\n"},
			"ssh", "ssh banner > software=Client_1 ssh_version=2.0 via=http_connect\nssh banner - software=Server_2 ssh_version=2.0 via=http_connect\n",
		},
		"anything else": {[]string{connect, granted, "Canarella\r\n", "Canarella\r\n", hello, serverHello}, "", ""},
	} {
		r := dissecttest.EveryCut(t, say(tc.parts...))
		if got := strings.Join(r.Flows[0].Inner, " "); r.Brief() != asked+tc.want || got != tc.inner || r.Flows[0].Protocol != "http" {
			t.Errorf("%s: %s, got\n%swant\n%s", name, got, r.Brief(), asked+tc.want)
		}
	}
}

// Arkime's session of the capture, of which we told the client's side alone.
func TestConnectCapture(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/arkime/pcap/https-connect.pcap")))
	for attribute, want := range map[string]string{
		"ja3s": "b7bd51222a09f3ad66a340710ae9c01a", "cipher": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "certificate_serial": "048d398cbd9d68c87e1ba3ec99c2b07d",
	} {
		found := false
		for _, f := range r.Facts {
			found = found || f.Attributes.Get(attribute) == want && f.Subject == dissect.Subject{Side: dissect.Other} && f.Attributes.Get("via") == "http_connect"
		}
		if !found {
			t.Errorf("no %s=%s of nobody in\n%s", attribute, want, r.Text())
		}
	}
}
