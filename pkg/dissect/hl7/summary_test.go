package hl7_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/proto"
)

// What a connection comes to: kinds, outcomes, delays, cadence, clocks.
func TestMessagesOfAConnection(t *testing.T) {
	day := time.Date(2026, 1, 1, 10, 15, 0, 0, time.UTC)
	oru := func(id, at string) string {
		return block(`MSH|^~\&|A|B|C|D|` + at + `||ORU^R01|` + id + "|P|2.6\r")
	}
	ack := func(code, of string) string {
		return block(`MSH|^~\&|C|D|A|B|x||ACK|9|P|2.6` + "\rMSA|" + code + "|" + of + "\rERR|||207^x\r")
	}
	for _, tc := range []struct {
		name  string
		parts []string // in turns; "" for a minute's wait
		want  []string
	}{
		{"answers", []string{oru("1", "20260101"), ack("AA", "1"), "", oru("2", ""), ack("AE", "2"), "", oru("3", ""), ack("AR", "7")}, []string{
			`messages side=0 mac= ip=invalid IP equipment="" gateway=0 {"interval_s":"60","message_types":["oru_r01:3"],"messages_count":"3"}`,
			`messages side=1 mac= ip=invalid IP equipment="" gateway=0 {"ack_latency_ms":"1","acks":["AA:1","AE:1","AR:1"],"interval_s":"60","message_types":["ack:3"],"messages_count":"3"}`,
		}},
		{"release 2", []string{oru("1", ""), "\x0b\x06\x1c\r", oru("2", ""), "\x0b\x15\x1c\r" + ack("CA", "2")}, []string{
			`messages side=0 mac= ip=invalid IP equipment="" gateway=0 {"message_types":["oru_r01:2"],"messages_count":"2"}`,
			`messages side=1 mac= ip=invalid IP equipment="" gateway=0 {"ack_latency_ms":"1","acks":["CA:1","commit:1","refusal:1"],"message_types":["ack:1"],"messages_count":"1"}`,
		}},
		{"a clock that is ahead", []string{oru("1", "20260101101703.5+0000"), ack("AA", "1")}, []string{
			`{"clock_skew_s":"123","message_types":["oru_r01:1"],"messages_count":"1"}`, `"ack_latency_ms":"1"`,
		}},
		{"in another zone", []string{oru("1", "20260101111358+0100")}, []string{`"clock_skew_s":"-62"`}},
		{"in no zone", []string{oru("1", "20260101024503")}, []string{`"clock_skew_s":"3"`}},
		{"in no zone, behind", []string{oru("1", "20260101024457")}, []string{`"clock_skew_s":"-3"`}},
		{"not a clock", []string{oru("1", "19310110000000+0000")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c dissecttest.Conversation
			waits := map[int]int{}
			for _, p := range tc.parts {
				if p == "" {
					waits[len(c)]++
					continue
				}
				c = append(c, dissecttest.Chunk{Side: len(c) % 2, Data: []byte(p)})
			}
			list := c.Segments(true)
			at := proto.Time(day.UnixNano())
			for i := range list {
				at += proto.Time(1e6)
				if i >= 2 {
					at += proto.Time(waits[i-2] * 59_998e6)
				}
				list[i].Time = at
			}
			r := dissecttest.Play(dissect.Config{}, list)
			var got []string
			for _, s := range strings.Split(r.Text(), "\n") {
				if strings.HasPrefix(s, "hl7 messages ") {
					got = append(got, s)
				}
			}
			if len(got) != len(tc.want) {
				t.Fatalf("got\n%s", r.Text())
			}
			for i := range got {
				if !strings.Contains(got[i], tc.want[i]) {
					t.Errorf("got  %s\nwant %s", got[i], tc.want[i])
				}
			}
			for _, f := range r.Of("hl7", "ack") {
				if f.Attributes.Get("error_code") != "207" {
					t.Errorf("%v", f.Attributes)
				}
			}
		})
	}
}

// The programs that handled a message: the sender's own, then others.
func TestSoftware(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, say(block(msh+"SFT|BD^L|4.33|Manager|4.33.0.118|x|2024\rSFT|Rhapsody||Engine\rSFT|NOBODY||x\rPID|1||7||NOBODY^SOME\r"+strings.Repeat("SFT|x|1\r", 20))).Segments(true))
	f := r.Of("hl7", "oru_r01")
	if len(f) != 1 {
		t.Fatal(r.Text())
	}
	a := f[0].Attributes
	for name, want := range map[string]string{"vendor": "BD", "software_version": "4.33", "product": "Manager", "build": "4.33.0.118"} {
		if a.Get(name) != want {
			t.Errorf("%s: %q", name, a.Get(name))
		}
	}
	if got := strings.Join(a.List("other_software"), ","); got != "Rhapsody Engine,x 1,x 1,x 1,x 1,x 1" {
		t.Errorf("%q", got)
	}
}
