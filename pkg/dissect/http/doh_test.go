package http_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// dnsMessage asks for, or answers with nothing, an address of a name.
func dnsMessage(flags string, labels ...string) string {
	b := "\x00\x00" + flags + "\x00\x01\x00\x00\x00\x00\x00\x00"
	for _, l := range labels {
		b += string(rune(len(l))) + l
	}
	return b + "\x00\x00\x01\x00\x01"
}

const (
	dnsAsks    = "\x01\x00"
	dnsAnswers = "\x81\x83" // that there is no such name
)

func dohConversation(labels ...string) dissecttest.Conversation {
	var client, server h2Side
	ask, answer := dnsMessage(dnsAsks, labels...), dnsMessage(dnsAnswers, labels...)
	query := base64.RawURLEncoding.EncodeToString([]byte(ask))
	get := client.block(":method", "GET", ":path", "/dns-query?x=1&dns="+query, ":authority", "dns.example", "accept", "application/dns-message")
	post := client.block(":method", "POST", ":path", "/dns-query", ":authority", "dns.example", "content-type", "application/dns-message")
	other := client.block(":method", "GET", ":path", "/?dns="+query[:20], ":authority", "dns.example")
	reply := server.block(":status", "200", "content-type", "application/dns-message")
	reply2 := server.block(":status", "200", "content-type", "application/dns-message")
	return dissecttest.Conversation{
		{Side: 0, Data: []byte(magic + h2Settings + h2Frame(1, 0x05, 1, get))},
		{Side: 1, Data: []byte(h2Settings + h2Frame(1, 0x04, 1, reply) + h2Frame(0, 0, 1, answer[:9]))},
		{Side: 0, Data: []byte(h2Frame(1, 0x04, 3, post) + h2Frame(0, 0x08, 3, "\x02"+ask[:5]+"\x00\x00") + h2Frame(0, 1, 5, "nobody") + h2Frame(0, 1, 3, ask[5:]))},
		{Side: 1, Data: []byte(h2Frame(1, 0x04, 3, reply2) + h2Frame(0, 1, 3, answer) + h2Frame(0, 0, 1, answer[9:]) + h2Frame(0, 1, 1, ""))},
		{Side: 0, Data: []byte(h2Frame(1, 0x05, 7, other))},
	}
}

func TestDNSOverHTTP2(t *testing.T) {
	r := dissecttest.EveryCut(t, dohConversation("www", "example", "org"))
	asked := `dns query > domain=example.org entropy=0.00 labels=3 name_len=15 qtype=A` + "\n"
	answered := `dns response < answers_count=0 domain=example.org entropy=0.00 labels=3 name_len=15 qtype=A rcode=NXDOMAIN recursion=true` + "\n"
	got := r.Brief()
	if strings.Count(got, asked) != 2 || strings.Count(got, answered) != 2 || strings.Count(got, "dns ") != 4 || !slices.Equal(r.Flows[0].Inner, []string{"doh", "h2c"}) {
		t.Errorf("%v\n%s", r.Flows[0].Inner, got)
	}
	var client h2Side
	head := client.block(":method", "POST", ":path", "/dns-query", "content-type", "application/dns-message")
	for body, want := range map[string]uint64{"nothing that is DNS": 1, "": 0, strings.Repeat("x", 5000): 0} {
		text := magic + h2Frame(1, 4, 1, head) + h2Frame(0, 1, 1, body)
		r := dissecttest.Play(dissect.Config{}, dissecttest.Conversation{{Data: []byte(text)}}.Segments(true))
		if r.Counters["http_dns_malformed"] != want || strings.Contains(r.Text(), "dns query") {
			t.Errorf("%q: %v\n%s", body[:min(9, len(body))], r.Counters, r.Text())
		}
	}
	for file, want := range map[string]string{"dns-over-http2/dns_over_https.pcap": "domain=microsoft.com", "dns-over-http2-post/dns_over_https_POST.pcap": "domain=example.com"} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/suricata-verify/"+file)))
		if got := r.Brief(); !strings.Contains(got, want) || r.Counters["http_dns_malformed"] > 0 || r.Counters["http_frame_malformed"] > 0 {
			t.Errorf("%s: no %s in %v\n%s", file, want, r.Counters, got)
		}
	}
}

func TestDNSOverHTTP2Canaries(t *testing.T) {
	secrets := []string{"canary-alfa-name", "phi-canary-0002"}
	c := dohConversation(append(slices.Clone(secrets), "example", "org")...)
	dissecttest.NoLeak(t, secrets, c)
	if hits := canary.Search(dissecttest.Play(dissect.Config{}, c.Segments(true)).Everything(), secrets); len(hits) > 0 {
		t.Error(hits)
	}
}
