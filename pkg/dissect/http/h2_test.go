package http_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

const magic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// h2Frame is one frame of HTTP/2.
func h2Frame(kind, flags byte, stream uint32, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	b = append(b, kind, flags)
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

// h2Side is what one side encodes: HPACK remembers.
type h2Side struct {
	buf bytes.Buffer
	enc *hpack.Encoder
}

func (s *h2Side) block(fields ...string) string {
	if s.enc == nil {
		s.enc = hpack.NewEncoder(&s.buf)
	}
	s.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := s.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			panic(err)
		}
	}
	return s.buf.String()
}

const (
	h2Settings = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
	asked      = `http request side=0 mac= ip=invalid IP equipment="" gateway=0 {"host":"pacs.hosp.example","http_version":"2","method":"GET","role":"client","user_agent":"viewer/2"}` + "\n"
	answered   = `http response side=1 mac= ip=invalid IP equipment="" gateway=0 {"content_type":"json","http_version":"2","role":"server","server":"nginx/1.25","status":"200"}` + "\n"
)

// conversation is two requests and their answers.
func h2Conversation() dissecttest.Conversation {
	var client, server h2Side
	get := client.block(":method", "GET", ":scheme", "http", ":path", "/patients/nobody", ":authority", "PACS.hosp.example:8042", "user-agent", "viewer/2", "cookie", "id=nobody")
	reply := server.block(":status", "200", "server", "nginx/1.25", "content-type", "application/json", "set-cookie", "nobody")
	again := client.block(":method", "POST", ":scheme", "http", ":path", "/patients/nobody/2", ":authority", "PACS.hosp.example:8042", "user-agent", "viewer/2")
	trailers := server.block("x-patient", "nobody")
	reply2 := server.block(":status", "404", "server", "nginx/1.25")
	return dissecttest.Conversation{
		{Side: 0, Data: []byte(magic + h2Settings + h2Frame(1, 0x05, 1, get))},
		{Side: 1, Data: []byte(h2Settings + h2Frame(1, 0x24, 1, "\x00\x00\x00\x00\x10"+reply[:9]+reply[9:]) + h2Frame(0, 0, 1, `{"name":"nobody"}`) + h2Frame(1, 0x05, 1, trailers))},
		{Side: 0, Data: []byte(h2Frame(1, 0x08, 3, "\x03"+again[:4]+"\x00\x00\x00") + h2Frame(9, 0x04, 3, again[4:]) + h2Frame(0, 1, 3, "nobody"))},
		{Side: 1, Data: []byte(h2Frame(1, 0x05, 3, reply2) + h2Frame(7, 0, 0, strings.Repeat("\x00", 8)))},
	}
}

func TestHTTP2(t *testing.T) {
	c := h2Conversation()
	want := asked + answered + `http transactions side=0 mac= ip=invalid IP equipment="" gateway=0 {"methods":["GET:1","POST:1"],"role":"client","statuses":["200:1","404:1"]}` + "\n"
	sizes := c.Sizes()
	for cut := range sizes[0] + sizes[1] {
		r := dissecttest.Play(dissect.Config{}, c.Cut(cut).Segments(true))
		if got := r.Text(); got != want || len(r.Panics) > 0 || !slices.Equal(r.Flows[0].Inner, []string{"h2c"}) {
			t.Fatalf("cut at %d: %v %v got\n%swant\n%s", cut, r.Panics, r.Flows[0].Inner, got, want)
		}
		if strings.Contains(string(r.Everything()), "obody") {
			t.Fatalf("%s", r.Everything())
		}
	}
	// By the upgrade of HTTP/1.1.
	up := dissecttest.Conversation{
		{Side: 0, Data: []byte("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n")},
		{Side: 1, Data: []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")},
	}
	if r := dissecttest.Play(dissect.Config{}, append(up, c...).Segments(true)); !strings.Contains(r.Text(), asked) || !strings.Contains(r.Text(), answered) {
		t.Errorf("after an upgrade:\n%s", r.Text())
	}
}

func TestHTTP2Broken(t *testing.T) {
	var client h2Side
	get := client.block(":method", "GET", ":authority", "a")
	for _, tc := range []struct{ name, text, counter string }{
		{"a frame inside of a block", h2Frame(1, 0, 1, get[:2]) + h2Frame(0, 0, 1, "x"), "http_frame_malformed"},
		{"a block that goes on without beginning", h2Frame(9, 4, 1, get), "http_frame_malformed"},
		{"padding beyond the frame", h2Frame(1, 0x0c, 1, "\xff"+get), "http_frame_malformed"},
		{"no room for the priority", h2Frame(1, 0x24, 1, "abc"), "http_frame_malformed"},
		{"an index that nobody has", h2Frame(1, 4, 1, "\xff\xff\x00"), "http_block_malformed"},
		{"a block that ends within a field", h2Frame(1, 4, 1, "\x40\x0aabc"), "http_block_malformed"},
		{"a long value", h2Frame(1, 0, 1, "\x40\x01a\x7f\xff\xff\x0f"+strings.Repeat("x", 12000)), "http_block_malformed"},
	} {
		r := dissecttest.Play(dissect.Config{}, dissecttest.Conversation{{Data: []byte(magic + tc.text + h2Frame(1, 5, 3, get))}}.Segments(true))
		if r.Counters[tc.counter] != 1 || len(r.Panics) > 0 || len(r.Facts) > 0 || r.Flows[0].Protocol != "http" {
			t.Errorf("%s: %s", tc.name, r.Everything())
		}
	}
	// A gap costs the direction: what follows refers to what is missing.
	list := h2Conversation().Segments(true)
	r := dissecttest.Play(dissect.Config{}, slices.Delete(slices.Clone(list), 4, 5))
	if len(r.Panics) > 0 || !strings.Contains(r.Text(), asked) {
		t.Errorf("with a gap: %s", r.Everything())
	}
}

// A connection is read for so many blocks, and no longer.
func TestHTTP2Bounds(t *testing.T) {
	var client h2Side
	text := magic
	for i := range 200 {
		text += h2Frame(1, 5, uint32(2*i+1), client.block(":method", "GET", ":authority", "a"))
	}
	r := dissecttest.Play(dissect.Config{}, dissecttest.Conversation{{Data: []byte(text)}}.Segments(true))
	if !strings.Contains(r.Text(), `"GET:64"`) {
		t.Errorf("%s", r.Text())
	}
}

func TestHTTP2Canaries(t *testing.T) {
	secrets := []string{"Canarella", "canary@home"}
	s := canary.New(secrets)
	var client, server h2Side
	a := magic + h2Frame(1, 5, 1, client.block(":method", "Canarella", ":path", "/Canarella?x=canary@home", ":authority", "Canarella@host", "user-agent", "canary@home", "cookie", "Canarella", "authorization", "Basic Q2FuYXJlbGxhOng=", "x-patient", "Canarella"))
	b := h2Frame(1, 4, 1, server.block(":status", "200", "set-cookie", "Canarella", "x", "canary@home")) + h2Frame(0, 1, 1, "Canarella")
	for cut := range len(a) {
		r := dissecttest.Play(dissect.Config{}, dissecttest.Conversation{{Side: 0, Data: []byte(a[:cut])}, {Side: 1, Data: []byte(b[:min(cut, len(b))])}}.Segments(true))
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			t.Fatalf("cut at %d: %v", cut, hits)
		}
	}
}

// FuzzHTTP2 also holds any input to the rule that cuts change nothing.
func FuzzHTTP2(f *testing.F) {
	c := h2Conversation()
	f.Add(string(c[0].Data[len(magic):]), string(c[1].Data), 40)
	f.Add(string(c[2].Data), string(c[3].Data), 3)
	f.Fuzz(func(t *testing.T, a, b string, cut int) {
		c := dissecttest.Conversation{{Side: 0, Data: []byte(magic + a)}, {Side: 1, Data: []byte(b)}, {Side: 0, Data: []byte(a)}}
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
