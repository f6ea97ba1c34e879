package vnc_test

import (
	"slices"
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
		}},
		"3.3": {conv("RFB 003.003\n", "RFB 003.003\n", "\x00\x00\x00\x02challengecanary!", "answercanary1234"), []string{
			`version {"role":"server","vnc_version":"3.3"}`, `version {"role":"client","vnc_version":"3.3"}`, `security_offered {"security":["vnc"]}`,
		}},
		"without a password": {conv("RFB 003.007\n", "RFB 003.007\n", "\x01\x01", "\x01"), []string{
			`version {"role":"server","vnc_version":"3.7"}`, `version {"role":"client","vnc_version":"3.7"}`,
			`security_offered {"security":["none"],"unauthenticated":"true"}`, `security_chosen {"security":["none"],"unauthenticated":"true"}`,
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

// Zeek's rfb.log of its own capture: client and server speak 3.889 (Apple's) and 3.3 and up.
func TestCapture(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/zeek/Traces/rfb/vncmac.pcap")))
	if len(r.Of("vnc", "version")) < 2 || len(r.Of("vnc", "security_offered")) == 0 {
		t.Errorf("%s", r.Text())
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
