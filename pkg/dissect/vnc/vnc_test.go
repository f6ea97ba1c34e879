package vnc_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/vnc"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for _, p := range parts {
		side := 0
		if p[0] == '<' {
			side = 1
		}
		c = append(c, dissecttest.Chunk{Side: side, Data: []byte(p[1:])})
	}
	return c
}

const sixteen = "CANARY-CANARY-16"

func TestHandshakes(t *testing.T) {
	const v8 = "vnc version < rfb_version=003.008\nvnc version > rfb_version=003.008\n"
	for _, tc := range []struct {
		name, want string
		c          dissecttest.Conversation
	}{
		{
			"3.8 with a password", v8 + "vnc security < security_offered=vnc|tight\nvnc login > legacy=true mechanism=vnc outcome=success\n",
			say("<RFB 003.008\n", ">RFB 003.008\n", "<\x02\x02\x10", ">\x02", "<"+sixteen, ">"+sixteen, "<\x00\x00\x00\x00", ">\x01", "<\x05\x00\x03\x20"+strings.Repeat("x", 16)+"\x00\x00\x00\x06CANARY"),
		},
		{
			"3.8 that fails", v8 + "vnc security < security_offered=vnc\nvnc login > legacy=true mechanism=vnc outcome=failure\n",
			say("<RFB 003.008\n", ">RFB 003.008\n", "<\x01\x02", ">\x02", "<"+sixteen, ">"+sixteen, "<\x00\x00\x00\x01\x00\x00\x00\x06CANARY"),
		},
		{"3.8 without", v8 + "vnc security < security_offered=none\nvnc login > legacy=true mechanism=none outcome=success\n", say("<RFB 003.008\n", ">RFB 003.008\n", "<\x01\x01", ">\x01", "<\x00\x00\x00\x00", ">\x01")},
		{"3.8 that refuses", v8 + "vnc security < outcome=refused\n", say("<RFB 003.008\n", ">RFB 003.008\n", "<\x00\x00\x00\x00\x06CANARY")},
		{"3.8 with Apple's", v8 + "vnc security < security_offered=ard|200\nvnc login > mechanism=ard outcome=unknown\n", say("<RFB 003.008\n", ">RFB 003.008\n", "<\x02\x1e\xc8", ">\x1e", "<"+sixteen+sixteen)},
		{"3.7 without", "vnc version < rfb_version=003.008\nvnc version > rfb_version=003.007\nvnc security < security_offered=none\nvnc login > legacy=true mechanism=none outcome=success\n", say("<RFB 003.008\n", ">RFB 003.007\n", "<\x01\x01", ">\x01", ">\x01")},
		{
			"3.3", "vnc version < rfb_version=003.003\nvnc version > rfb_version=003.003\nvnc security < security_offered=vnc\nvnc login > legacy=true mechanism=vnc outcome=success\n",
			say("<RFB 003.003\n", ">RFB 003.003\n", "<\x00\x00\x00\x02"+sixteen, ">"+sixteen, "<\x00\x00\x00\x00"),
		},
	} {
		r := dissecttest.EveryCut(t, tc.c)
		if r.Brief() != tc.want || r.Flows[0].Protocol != "vnc" || r.Flows[0].By != proto.ByContent {
			t.Errorf("%s: got\n%swant\n%s", tc.name, r.Brief(), tc.want)
		}
	}
}

func TestCanaries(t *testing.T) {
	dissecttest.NoLeak(t, []string{"CANARY"}, say("<RFB 003.008\n", ">RFB 003.008\n", "<\x01\x02", ">\x02", "<"+sixteen, ">"+sixteen, "<\x00\x00\x00\x01\x00\x00\x00\x06CANARY"))
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{"RFB 003.008\n": dissector.Yes, "RFB 0": dissector.More, "RFB x03.008\n": dissector.No, "RFC 003.008\n": dissector.No, "": dissector.More} {
		if got := vnc.Protocol.Recognise([]byte(in), false); got != want {
			t.Errorf("%q: %d", in, got)
		}
	}
}

// Behind the handshake nothing is read.
func TestStops(t *testing.T) {
	c := say("<RFB 003.008\n", ">RFB 003.008\n", "<\x01\x01", ">\x01", "<\x00\x00\x00\x00")
	for range 100 {
		c = append(c, say("<pixels")...)
	}
	if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); r.Counters["tcp_segments"] > 8 {
		t.Errorf("%d segments were read", r.Counters["tcp_segments"])
	}
}

// Zeek's rfb.log and Suricata's rfb events of these captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/rfb/vnc-scanner.pcap":                   "login > legacy=true mechanism=vnc outcome=failure",
		"zeek/Traces/rfb/vncmac.pcap":                        "version < rfb_version=003.889",
		"suricata-verify/rfb-parser/input.pcap":              "login > legacy=true mechanism=none outcome=success",
		"suricata-verify/rfb-rules/00-vnc-openwall-3.7.pcap": "login > legacy=true mechanism=vnc outcome=success",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%s", file, want, r.Brief())
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("RFB 003.008\n\x02"+sixteen), []byte("RFB 003.008\n\x01\x02"+sixteen+"\x00\x00\x00\x00"), 13)
	f.Fuzz(dissecttest.FuzzCut)
}

// A capture that begins after the handshake of TCP still has both versions.
func TestMidstream(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, say("<RFB 003.008\n", ">RFB 003.008\n", "<\x01\x01", ">\x01", "<\x00\x00\x00\x00").Segments(false))
	if len(r.Of("vnc", "version")) != 2 {
		t.Error(r.Brief())
	}
}
