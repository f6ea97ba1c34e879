package http_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// say alternates between the sides, the client first.
func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, p := range parts {
		if p != "" {
			c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(p)})
		}
	}
	return c
}

func play(parts ...string) *dissecttest.Result {
	return dissecttest.Play(dissect.Config{}, say(parts...).Segments(true))
}

const (
	get   = "GET /patients/4711?name=x HTTP/1.1\r\nHost: PACS.example.org:8080\r\nUser-Agent: CT/1.2\r\n\r\n"
	ok    = "HTTP/1.1 200 OK\r\nServer: IIS/10\r\nContent-Type: Text/HTML; charset=x\r\nContent-Length: 5\r\n\r\nhello"
	post  = "POST /x HTTP/1.1\r\nHost: a\r\nUser-Agent: u\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;ext=1\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
	empty = "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 0\r\n\r\n"
)

// lines gives each fact as "kind side attribute=value ...".
func lines(r *dissecttest.Result) []string {
	var out []string
	for _, f := range r.Facts {
		s := fmt.Sprintf("%s %d", f.Kind, f.Subject.Side)
		for _, a := range f.Attributes {
			if v := f.Attributes.List(a.Name); v != nil {
				s += " " + a.Name + "=" + strings.Join(v, ",")
			} else if a.Name != "role" && a.Name != "http_version" {
				s += " " + a.Name + "=" + f.Attributes.Get(a.Name)
			}
		}
		out = append(out, s)
	}
	return out
}

func TestMessages(t *testing.T) {
	for _, tc := range []struct {
		name  string
		parts []string
		want  []string
	}{
		{"one of each", []string{get, ok}, []string{
			"request 0 host=pacs.example.org method=GET user_agent=CT/1.2",
			"response 1 content_type=html server=IIS/10 status=200",
		}},
		{"the same again is counted only", []string{get, ok, get, ok, get, "HTTP/1.1 404 No\r\nServer: IIS/10\r\nContent-Length: 0\r\n\r\n"}, []string{
			"request 0 host=pacs.example.org method=GET user_agent=CT/1.2",
			"response 1 content_type=html server=IIS/10 status=200",
			"transactions 0 methods=GET:3 statuses=200:2,404:1",
		}},
		{"pipelined, with bodies", []string{post + get, empty + ok}, []string{
			"request 0 host=a method=POST user_agent=u", "request 0 host=pacs.example.org method=GET user_agent=CT/1.2",
			"response 1 server=s status=200", "response 1 content_type=html server=IIS/10 status=200",
			"transactions 0 methods=GET:1,POST:1 statuses=200:2",
		}},
		{"HEAD, 204, 304 have no body", []string{
			"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n" + get,
			"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nHTTP/1.1 204 No\r\n\r\nHTTP/1.1 304 Not\r\nContent-Length: 77\r\n\r\n" + ok,
		}, []string{
			"request 0 method=HEAD", "request 0 host=pacs.example.org method=GET user_agent=CT/1.2", "response 1 status=200",
			"response 1 content_type=html server=IIS/10 status=200", "transactions 0 methods=GET:3,HEAD:1 statuses=200:2,204:1,304:1",
		}},
		{"100 is not the response", []string{"PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "abc", ok}, []string{
			"request 0 host=a method=PUT", "response 1 content_type=html server=IIS/10 status=200",
		}},
		{"a body until the connection ends", []string{get, "HTTP/1.0 200 OK\r\nServer: old\r\n\r\nHTTP/1.1 200 OK\r\nServer: not me\r\n\r\n"}, []string{
			"request 0 host=pacs.example.org method=GET user_agent=CT/1.2", "response 1 server=old status=200",
		}},
		{"a body that looks like a request", []string{"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 42\r\n\r\nGET / HTTP/1.1\r\nHost: not.asked.for.it\r\n\r\n" + get}, []string{
			"request 0 host=a method=POST", "request 0 host=pacs.example.org method=GET user_agent=CT/1.2", "transactions 0 methods=GET:1,POST:1",
		}},
		{"bare line feeds", []string{"GET / HTTP/1.0\nHost: a\nUser-Agent: u\n\n"}, []string{"request 0 host=a method=GET user_agent=u"}},
		{"a server that speaks first", []string{"", ok}, []string{"response 1 content_type=html server=IIS/10 status=200"}},
		{"an address", []string{"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n\r\n"}, []string{"request 0 host=2001:db8::1 method=GET"}},
		{"no host that could be one", []string{"GET / HTTP/1.1\r\nHost: a b@c\r\n\r\n"}, []string{"request 0 method=GET"}},
		{"absolute form", []string{"GET http://user:pw@proxy.example/x HTTP/1.1\r\nHost: proxy.example\r\n\r\n"}, []string{"request 0 host=proxy.example method=GET"}},
		{"an unknown method later", []string{get + "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n"}, []string{
			"request 0 host=pacs.example.org method=GET user_agent=CT/1.2", "request 0 host=a method=other", "transactions 0 methods=GET:1,other:1",
		}},
		{"wants a password", []string{get, "HTTP/1.1 401 No\r\nServer: s\r\nWWW-Authenticate: Basic realm=\"Infusion gateway\"\r\nContent-Length: 0\r\n\r\n"}, []string{
			"request 0 host=pacs.example.org method=GET user_agent=CT/1.2", "response 1 auth=basic realm=Infusion gateway server=s status=401",
		}},
		{"gives one", []string{"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWRtaW46c2VjcmV0\r\n\r\n"}, []string{"request 0 account=administrator auth=basic cleartext_credential=basic host=a method=GET"}},
		{"of somebody", []string{"GET / HTTP/1.1\r\nHost: a\r\nauthorization: basic amRvZTpzZWNyZXQ=\r\n\r\n"}, []string{"request 0 account=other auth=basic cleartext_credential=basic host=a method=GET"}},
		{"bearer", []string{"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abc.def\r\n\r\n"}, []string{"request 0 auth=bearer cleartext_credential=bearer host=a method=GET"}},
		{"a mail address", []string{"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: bot (alfa@example.org)\r\n\r\n"}, []string{"request 0 host=a method=GET"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.parts...)
			if got := lines(r); !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s\n%v", strings.Join(got, "\n"), strings.Join(tc.want, "\n"), r.Counters)
			}
			if f := r.Flows[0]; f.Protocol != "http" || f.By != proto.ByContent || len(r.Panics) > 0 {
				t.Errorf("%+v %v", f, r.Panics)
			}
		})
	}
}

func TestInner(t *testing.T) {
	for _, tc := range []struct {
		parts []string
		want  string
	}{
		{[]string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00"}, "[h2c]"},
		{[]string{"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\r\n", "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n\x81\x05GET / HTTP/1.1\r\n\r\n"}, "[websocket]"},
		{[]string{"POST /ipp HTTP/1.1\r\nHost: a\r\nContent-Type: application/ipp\r\nContent-Length: 0\r\n\r\n"}, "[ipp]"},
		{[]string{get, "HTTP/1.1 200 OK\r\nContent-Type: Application/FHIR+json\r\nContent-Length: 0\r\n\r\n"}, "[fhir]"},
		{[]string{get, "HTTP/1.1 200 OK\r\nContent-Type: multipart/related; type=\"application/dicom\"\r\nContent-Length: 0\r\n\r\n"}, "[dicomweb]"},
		{[]string{"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "HTTP/1.1 200 Yes\r\n\r\n", hello, "\x15\x03\x03\x00\x02\x02\x28"}, "[tls]"},
		{[]string{"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", hello}, "[]"},
	} {
		r := play(tc.parts...)
		if got := fmt.Sprint(r.Flows[0].Inner); got != tc.want || r.Flows[0].Protocol != "http" {
			t.Errorf("%q: %s %s, want %s", tc.parts, r.Flows[0].Protocol, got, tc.want)
		}
		if n := len(r.Of("tls", "client_hello")); (n == 1) != (tc.want == "[tls]") {
			t.Errorf("%q: %d hellos", tc.parts, n)
		}
	}
}

// hello is a TLS ClientHello without extensions.
var hello = "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x13\x01\x01\x00"

// NTLM in the headers tells of both computers, and of nobody's name.
func TestNTLM(t *testing.T) {
	// Type 1 of a client of build 6.1.7601, type 2 of a server named PACS1 in the domain WARD.
	const type1 = "TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw=="
	name := func(s string) string { return strings.Join(strings.Split(s, ""), "\x00") + "\x00" }
	type2 := "NTLMSSP\x00\x02\x00\x00\x00\x08\x00\x08\x00\x38\x00\x00\x00\x01\x00\x80\x02challeng" + strings.Repeat("\x00", 8) + "\x12\x00\x12\x00\x40\x00\x00\x00\x0a\x00\x61\x4a\x00\x00\x00\x0f" +
		name("WARD") + "\x01\x00\x0a\x00" + name("PACS1") + "\x00\x00\x00\x00"
	for _, scheme := range []string{"NTLM", "Negotiate"} {
		r := play("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: "+scheme+" "+type1+"\r\n\r\n",
			"HTTP/1.1 401 No\r\nWWW-Authenticate: "+scheme+" "+base64.StdEncoding.EncodeToString([]byte(type2))+"\r\nContent-Length: 0\r\n\r\n")
		want := []string{
			"request 0 auth=" + strings.ToLower(scheme) + " host=a method=GET", "ntlm_negotiate 0 os_version=6.1.7601",
			"response 1 auth=" + strings.ToLower(scheme) + " status=401", "ntlm_challenge 1 computer_name=PACS1 os_version=10.0.19041 target_name=WARD",
		}
		if got := lines(r); !slices.Equal(got, want) || fmt.Sprint(r.Flows[0].Inner) != "[ntlm]" {
			t.Errorf("got\n%s\nwant\n%s\n%v", strings.Join(got, "\n"), strings.Join(want, "\n"), r.Counters)
		}
	}
}

func TestBroken(t *testing.T) {
	for _, tc := range []struct {
		name, text, counter string
	}{
		{"a line of 20 KB", "GET / HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("x", 20000) + "\r\nUser-Agent: u\r\n\r\n", "http_line_long"},
		{"1,000 lines", "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 1000) + "\r\n", "http_head_long"},
		{"negative length", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "http_length_malformed"},
		{"two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "http_length_malformed"},
		{"huge length", "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", "http_length_malformed"},
		{"a chunk's size", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "http_chunk_malformed"},
		{"a chunk of 2^64", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", "http_chunk_malformed"},
		{"a chunk that is longer", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "http_chunk_malformed"},
		{"cruft after", get + "cruft\r\n", "http_malformed"},
		{"not base64", "GET / HTTP/1.1\r\nAuthorization: NTLM %%%\r\n\r\n", "http_token_malformed"},
		{"a mail address", "GET / HTTP/1.1\r\nUser-Agent: a@b\r\n\r\n", "http_user_agent_withheld"},
		{"30 hosts", func() string {
			s := ""
			for i := range 30 {
				s += fmt.Sprintf("GET / HTTP/1.1\r\nHost: h%d\r\n\r\n", i)
			}
			return s
		}(), "http_values_skipped"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.text)
			if r.Counters[tc.counter] == 0 || len(r.Panics) > 0 || r.Flows[0].Protocol != "http" {
				t.Errorf("%v %v %+v", r.Counters, r.Panics, r.Flows[0])
			}
			if n := len(r.Facts); n > 17 {
				t.Errorf("%d facts", n)
			}
		})
	}
	// What stands between damage is found again.
	r := play(get + "cruft\r\n\x00\x01\r\n" + "POST /x HTTP/1.1\r\nHost: b\r\n\r\n")
	if len(r.Of("http", "request")) != 2 {
		t.Error(r.Text())
	}
}

func TestNotHTTP(t *testing.T) {
	for _, s := range []string{"GETX / HTTP/1.1\r\n", "OPTIONS rtsp://a RTSP/1.0\r\n", "OPTIONS sip:a SIP/2.0\r\n", "GET / FTP/1.1\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 abc\r\n\r\n", "220 ftp\r\n", "PRI * HTTP/3"} {
		if r := play(s); r.Flows[0].Protocol == "http" && r.Flows[0].By == proto.ByContent {
			t.Errorf("%q is taken for HTTP", s)
		}
	}
}

// A path of 900 bytes, and a first segment that ends inside of the method.
func TestRecognised(t *testing.T) {
	long := "GET /" + strings.Repeat("a", 2000) + " HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, cut := range []int{1, 3, 4, 5, 100, 600, 1500} {
		r := dissecttest.Play(dissect.Config{}, say(long).Cut(cut).Segments(true))
		if len(r.Of("http", "request")) != 1 {
			t.Errorf("cut at %d: %s", cut, r.Text())
		}
	}
}

// Missing bytes of a body are stepped over; of a head they cost its message.
func TestGaps(t *testing.T) {
	body := strings.Repeat("x", 3000)
	c := say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n" + body + get + "GET / HTTP/1.1\r\nHost: c\r\n\r\n")
	head := strings.Index(string(c[0].Data), "x")
	for _, tc := range []struct {
		from, to int
		want     string
	}{
		{head + 100, head + 1500, "a pacs.example.org c"},
		{head + 2900, head + 3010, "a c"},
		{20, 30, "c"}, // the body has no line end, so that the next request is one line with it
	} {
		list := c.Cut(tc.from, tc.to).Segments(true)
		list = slices.Delete(list, 3, 4)
		r := dissecttest.Play(dissect.Config{}, list)
		var hosts []string
		for _, f := range r.Of("http", "request") {
			hosts = append(hosts, f.Attributes.Get("host"))
		}
		if got := strings.Join(hosts, " "); got != tc.want {
			t.Errorf("without %d to %d: %s, want %s", tc.from, tc.to, got, tc.want)
		}
	}
}

// A connection that has said what it has to say is not read to its end, wherever
// it is cut.
func TestStops(t *testing.T) {
	big := "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 8000000\r\n\r\n" + strings.Repeat("x", 8000000)
	for _, cut := range []int{1000, 1460, 65000} {
		var offsets []int
		for i := cut; i < len(big); i += cut {
			offsets = append(offsets, len(get)+i)
		}
		c := say(get, big, get).Cut(offsets...)
		r := dissecttest.Play(dissect.Config{}, c.Segments(true))
		if n := int(r.Counters["tcp_segments"]); n > len(c)/4 || len(r.Facts) != 2 {
			t.Errorf("%d of %d segments\n%s", n, len(c), r.Text())
		}
	}
	var many []string
	for range 1000 {
		many = append(many, get, empty)
	}
	r := play(many...)
	if n := r.Counters["tcp_segments"]; n != 511 {
		t.Errorf("%d segments", n)
	}
	f := r.Of("http", "transactions")
	if len(f) != 1 || f[0].Attributes.Get("incomplete") != "true" || fmt.Sprint(f[0].Attributes.List("methods")) != "[GET:256]" {
		t.Error(r.Text())
	}
}

// Requests like those before cost no allocation.
func TestNothingIsAllocated(t *testing.T) {
	e := dissect.New(dissect.Config{Key: dissecttest.Key, Emit: func(*dissect.Packet, *dissect.Fact) {}})
	var f dissect.Flow
	list := say(get, ok, get, ok).Segments(true)
	for i := range list[:6] {
		e.Packet(&dissect.Packet{Headers: &list[i], Flow: &f, FromSrc: list[i].SrcPort == list[0].SrcPort})
	}
	seq := [2]uint32{list[6].Seq, list[6].Ack}
	var h [2]packet.Headers
	h[0], h[1] = list[2], list[3]
	p := [2]dissect.Packet{{Headers: &h[0], Flow: &f, FromSrc: true}, {Headers: &h[1], Flow: &f}}
	if n := testing.AllocsPerRun(100, func() {
		for i := range h {
			h[i].Seq, h[i].Ack = seq[i], seq[1-i]
			e.Packet(&p[i])
			seq[i] += uint32(h[i].PayloadLen)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	e.Close(&f)
}
