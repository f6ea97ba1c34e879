package dicomweb_test

import (
	"strings"
	"testing"

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
	for i, c := range planted() {
		dissecttest.NoLeakCut(t, secrets, c, 400, i >= misused)
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
		dissecttest.SameWhenCut(t, c, cut, cut/2)
	})
}
