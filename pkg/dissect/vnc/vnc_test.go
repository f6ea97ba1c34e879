package vnc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// conv is what the server says first, then in turn.
func conv(parts ...string) (c dissecttest.Conversation) {
	for i, p := range parts {
		c = append(c, dissecttest.Chunk{Side: 1 - i%2, Data: []byte(p)})
	}
	return c
}

func TestFacts(t *testing.T) {
	for name, tc := range map[string]struct {
		c    dissecttest.Conversation
		want []string
	}{
		"3.8": {conv("RFB 003.008\n", "RFB 003.008\n", "\x02\x01\x02", "\x02", "challengecanary!", "answercanary1234"), []string{
			`version {"role":"server","vnc_version":"3.8"}`, `version {"role":"client","vnc_version":"3.8"}`,
			`security_offered {"security":["none","vnc"],"unauthenticated":"true"}`, `security_chosen {"security":["vnc"]}`,
			`login {"legacy":"true","mechanism":"vnc","outcome":"unknown","role":"client"}`,
		}},
		"3.8, let in": {conv("RFB 003.008\n", "RFB 003.889\n", "\x02\x1e\x02", "\x02", "challengecanary!", "answercanary1234", "\x00\x00\x00\x00", "\x01", "canarydesktop"), []string{
			`version {"role":"server","vnc_version":"3.8"}`, `version {"role":"client","vnc_version":"3.889"}`,
			`security_offered {"security":["apple","vnc"]}`, `security_chosen {"security":["vnc"]}`,
			`login {"legacy":"true","mechanism":"vnc","outcome":"success","role":"client"}`,
		}},
		"3.8, without a password": {conv("RFB 003.008\n", "RFB 003.008\n", "\x01\x01", "\x01", "\x00\x00\x00\x01\x00\x00\x00\x0dcanarydesktop"), []string{
			`version {"role":"server","vnc_version":"3.8"}`, `version {"role":"client","vnc_version":"3.8"}`,
			`security_offered {"security":["none"],"unauthenticated":"true"}`, `security_chosen {"security":["none"],"unauthenticated":"true"}`,
			`login {"legacy":"true","mechanism":"none","outcome":"failure","role":"client"}`,
		}},
		"turned away": {conv("RFB 003.008\n", "RFB 003.008\n", "\x00\x00\x00\x0dcanarydesktop"), []string{
			`version {"role":"server","vnc_version":"3.8"}`, `version {"role":"client","vnc_version":"3.8"}`, `security_offered {"outcome":"refused"}`,
		}},
		"3.3, turned away by the password": {conv("RFB 003.003\n", "RFB 003.003\n", "\x00\x00\x00\x02challengecanary!", "answercanary1234", "\x00\x00\x00\x01"), []string{
			`version {"role":"server","vnc_version":"3.3"}`, `version {"role":"client","vnc_version":"3.3"}`, `security_offered {"security":["vnc"]}`,
			`login {"legacy":"true","mechanism":"vnc","outcome":"failure","role":"client"}`,
		}},
		"TLS inside": {conv("RFB 003.008\n", "RFB 003.008\n", "\x01\x13", "\x13", "\x00\x02", "\x00\x02"), []string{
			`version {"role":"server","vnc_version":"3.8"}`, `version {"role":"client","vnc_version":"3.8"}`,
			`security_offered {"security":["vencrypt"]}`, `security_chosen {"security":["vencrypt"]}`, `login {"mechanism":"vencrypt","outcome":"unknown","role":"client"}`,
		}},
		"3.3": {conv("RFB 003.003\n", "RFB 003.003\n", "\x00\x00\x00\x02challengecanary!", "answercanary1234"), []string{
			`version {"role":"server","vnc_version":"3.3"}`, `version {"role":"client","vnc_version":"3.3"}`, `security_offered {"security":["vnc"]}`,
			`login {"legacy":"true","mechanism":"vnc","outcome":"unknown","role":"client"}`,
		}},
		"without a password": {conv("RFB 003.007\n", "RFB 003.007\n", "\x01\x01", "\x01"), []string{
			`version {"role":"server","vnc_version":"3.7"}`, `version {"role":"client","vnc_version":"3.7"}`,
			`security_offered {"security":["none"],"unauthenticated":"true"}`, `security_chosen {"security":["none"],"unauthenticated":"true"}`,
			`login {"legacy":"true","mechanism":"none","outcome":"success","role":"client"}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			sizes := tc.c.Sizes()
			for i := range sizes[0] + sizes[1] {
				list := tc.c.Cut(i).Segments(true)
				r := dissecttest.Play(dissect.Config{}, list)
				var got []string
				for _, f := range r.Facts {
					b, _ := f.Attributes.MarshalJSON()
					got = append(got, f.Kind+" "+string(b))
				}
				if !slices.Equal(got, tc.want) || r.Flows[0].Protocol != "vnc" {
					t.Fatalf("cut at %d: %q %q", i, got, r.Flows[0].Protocol)
				}
				for j := 2; j < len(list)-2; j++ {
					lossy := dissecttest.Play(dissect.Config{}, slices.Delete(slices.Clone(list), j, j+1))
					if hits := canary.Search(lossy.Everything(), []string{"challengecanary", "answercanary"}); len(hits) > 0 || len(lossy.Panics) > 0 {
						t.Fatalf("%v %v", hits, lossy.Panics)
					}
				}
			}
		})
	}
	secrets := []string{"challengecanary", "answercanary", "canarydesktop"}
	dissecttest.Planted(t, "vnc", secrets, conv("RFB 003.008\n", "RFB 003.008\n", "\x01\x02", "\x02", "challengecanary!", "answercanary1234", "\x00\x00\x00\x00canarydesktop").Segments(true))
}

// What Zeek's rfb.log and Suricata's events have of their own captures: versions, who is
// let in and by what.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/rfb/vncmac.pcap":                        "version < vnc_version=3.889",
		"zeek/Traces/rfb/vnc-scanner.pcap":                   "login > legacy=true mechanism=vnc outcome=failure",
		"suricata-verify/rfb-parser/input.pcap":              "login > legacy=true mechanism=none outcome=success",
		"suricata-verify/rfb-rules/00-vnc-openwall-3.7.pcap": "login > legacy=true mechanism=vnc outcome=success",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), "vnc "+want+"\n") {
			t.Errorf("%s:\n%s", file, r.Brief())
		}
	}
}

func Fuzz(f *testing.F) {
	f.Add([]byte("RFB 003.008\n\x02\x01\x02"), []byte("RFB 003.008\n\x01"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if r := dissecttest.Play(dissect.Config{}, conv(string(a), string(b)).Segments(true)); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
