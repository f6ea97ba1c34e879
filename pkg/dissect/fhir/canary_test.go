package fhir_test

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

var secrets = []string{"CANARY^ALFA^XAVER", "PHI-CANARY-0001", "note of a canary", "CANARY ALFA", "1931-01-10", "17.25"}

// everywhere is a resource of each type that has a secret in every element that a
// resource of the standard commonly has, a device's own fields excepted.
func everywhere() string {
	var b strings.Builder
	b.WriteString(`{"resourceType":"Bundle","entry":[`)
	n := 0
	for _, kind := range []string{"Patient", "Practitioner", "Observation", "Device", "DeviceMetric", "Encounter", "MedicationAdministration", "CapabilityStatement", "Unheard"} {
		fmt.Fprintf(&b, `{"fullUrl":"PHI-CANARY-0001","resource":{"resourceType":%q`, kind)
		for _, key := range strings.Fields("id text identifier_ name telecom address birthDate subject patient performer code valueString note comment reason owner location url contact photo language meta") {
			s := secrets[n%len(secrets)]
			n++
			if (kind == "Device") && (key == "identifier_" || key == "name") {
				continue
			}
			fmt.Fprintf(&b, `,"%[1]s":[{"reference":%[2]q,"display":%[2]q,"value":%[2]q,"text":%[2]q,"family":%[2]q,"given":[%[2]q],"coding":[{"display":%[2]q}],"extension":[{"valueString":%[2]q}]}]`, strings.TrimSuffix(key, "_"), s)
		}
		b.WriteString(`}},`)
	}
	return b.String() + `{"resource":` + pump + `}]}`
}

// planted are conversations with patients in paths, queries and documents; in the first
// misused of them a device repeats one.
func planted() []dissecttest.Conversation {
	return []dissecttest.Conversation{
		say(ask("GET", "/Device"), message(ok, jsonType, strings.ReplaceAll(bundle, "SN77", "phi-canary-0001"))),
		say(ask("GET", "/Patient?name=CANARY^ALFA^XAVER&identifier=PHI-CANARY-0001"), message(ok, jsonType, everywhere())),
		say(ask("GET", "/Patient/PHI-CANARY-0001/Device"), message(ok, jsonType, bundle)),
		say(ask("GET", "/Device/PHI-CANARY-0001"), message(ok, "application/fhir+xml", xmlPump)),
		say(plain("/Patient/PHI-CANARY-0001"), message(ok, "application/json", patient)),
	}
}

const misused = 1

func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	for i, c := range planted() {
		n := c.Sizes()
		rnd := rand.New(rand.NewPCG(2, uint64(i)))
		search := func(how string, list dissecttest.Conversation, lose bool) {
			t.Helper()
			packets := list.Segments(true)
			if lose {
				j := 2 + rnd.IntN(len(packets)-4)
				packets = slices.Delete(packets, j, j+1)
			}
			r := dissecttest.Play(dissect.Config{}, packets)
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("%d, %s: %v %v in\n%s", i, how, hits, r.Panics, r.Text())
			}
		}
		search("whole", c, false)
		for range 500 {
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
	p := planted()
	dissecttest.Planted(t, "fhir", secrets[:5], p[0].Segments(true), p[1].Segments(true), p[2].Segments(true), p[3].Segments(true), p[4].Segments(true))
}

// FuzzBody also holds any body to the rule that cuts change nothing.
func FuzzBody(f *testing.F) {
	f.Add([]byte(bundle), 100, true)
	f.Add([]byte(xmlPump), 10, false)
	f.Fuzz(func(t *testing.T, b []byte, cut int, json bool) {
		kind := map[bool]string{true: jsonType, false: "application/fhir+xml"}[json]
		c := say(message("POST /Device HTTP/1.1", kind, string(b)))
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
