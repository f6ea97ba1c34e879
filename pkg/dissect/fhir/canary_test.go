package fhir_test

import (
	"fmt"
	"strings"
	"testing"

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
	for i, c := range planted() {
		dissecttest.NoLeakCut(t, secrets, c, 500, i >= misused)
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
		dissecttest.SameWhenCut(t, c, cut, cut/2)
	})
}
