package dicomweb_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

var secrets = []string{"CANARY^ALFA^XAVER", "PHI-CANARY-0001", "note of a canary", uid}

// misused is how many of those below have a device's field that repeats the patient: a
// patient who is damaged cannot be compared with.
const misused = 2

// planted are conversations with patients in paths, queries, headers of parts, files and
// metadata.
func planted() []dissecttest.Conversation {
	return []dissecttest.Conversation{
		say(ask("GET", "/dicom-web/studies?PatientName=CANARY^ALFA^XAVER&PatientID=PHI-CANARY-0001"), message(ok, "application/dicom+json", qido())),
		say(ask("GET", "/studies/"+uid+"/series/"+uid), message(ok, related, multipart(filed("", "S1"), filed("MZ", "PHI-CANARY-0001")))),
		say(message("POST /studies/"+uid+" HTTP/1.1", related, multipart(filed("CANARY^ALFA^XAVER", "S1")))),
		say(ask("GET", "/wado?requestType=WADO&studyUID="+uid), message(ok, "application/dicom", filed("PHI-CANARY-0001", "S1"))),
		say(ask("GET", "/studies?PatientID=PHI-CANARY-0001"), message(ok, "application/dicom+json", strings.ReplaceAll(qido(), "phi-canary-0001", "S2"))),
	}
}

func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	for i, c := range planted() {
		n := c.Sizes()
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		search := func(how string, c dissecttest.Conversation, lose bool) {
			t.Helper()
			list := c.Segments(true)
			if lose {
				j := 2 + rnd.IntN(len(list)-4)
				list = slices.Delete(list, j, j+1)
			}
			r := dissecttest.Play(dissect.Config{}, list)
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("%d, %s: %v %v in\n%s", i, how, hits, r.Panics, r.Text())
			}
		}
		search("whole", c, false)
		for range 400 {
			at := rnd.IntN(n[0] + n[1])
			search(fmt.Sprint("cut at ", at), c.Cut(at, at+rnd.IntN(300)), false)
			search(fmt.Sprint("lossy at ", at), c.Cut(at, at+rnd.IntN(300)), true)
			if i < misused {
				continue
			}
			damaged := slices.Clone(c)
			k := rnd.IntN(len(damaged))
			damaged[k].Data = slices.Clone(damaged[k].Data)
			at = rnd.IntN(len(damaged[k].Data))
			damaged[k].Data[at] ^= 1 << rnd.IntN(8)
			search(fmt.Sprint("a bit is wrong at ", at), damaged, false)
			damaged[k].Data = damaged[k].Data[:1+at]
			search(fmt.Sprint("ends at ", at), damaged, false)
		}
	}
	dissecttest.Planted(t, "dicomweb", secrets, planted()[0].Segments(true), planted()[1].Segments(true), planted()[2].Segments(true), planted()[3].Segments(true))
}

// FuzzBody also holds any body to the rule that cuts change nothing.
func FuzzBody(f *testing.F) {
	f.Add([]byte(multipart(filed("MZ", "S1"))), 100, true)
	f.Add([]byte(qido()), 10, false)
	f.Fuzz(func(t *testing.T, b []byte, cut int, parts bool) {
		kind := map[bool]string{true: related, false: "application/dicom+json"}[parts]
		c := say(message("POST /studies HTTP/1.1", kind, string(b)))
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
