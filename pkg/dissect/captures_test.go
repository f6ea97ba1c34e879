package dissect_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// clinical are the shared captures that do carry protocols of care.
var clinical = regexp.MustCompile(`^(clinical|ward-a|tapirx|nDPI/pcap/(hl7|dicom))|dicom|hl7`)

// careful are the protocols of care: a device that is none must not be taken for one.
var careful = map[string]bool{"hl7": true, "dicom": true, "poct1a": true, "astm": true, "intellivue": true, "carescape": true, "medibus": true}

// Every shared capture, the malformed and hostile ones included, passes without a
// panic, and none but the clinical ones is taken for a protocol of care.
func TestEveryCapture(t *testing.T) {
	root := repotest.Shared(t, "captures")
	files, frames := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), "cap") {
			return err
		}
		in, err := capfile.Open(path)
		if err != nil {
			return nil // no capture, or none that can be read
		}
		if err := in.Close(); err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		list := dissecttest.Frames(t, path)
		files, frames = files+1, frames+len(list)
		r := dissecttest.Run(dissect.Config{}, list)
		if len(r.Panics) > 0 {
			t.Errorf("%s: %v", name, r.Panics)
		}
		for _, f := range r.Flows {
			if careful[f.Protocol] && f.By == proto.ByContent && !clinical.MatchString(filepath.ToSlash(name)) {
				t.Errorf("%s: %s:%d to %s:%d is taken for %s", name, f.SrcIP, f.SrcPort, f.DstIP, f.DstPort, f.Protocol)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d captures", files)
	}
	t.Logf("%d captures, %d frames", files, frames)
}

// tapirx's captures: what its own tests read of them.
func TestTapirx(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/tapirx/testdata/HL7-ADT-UDI-OBX.pcap")))
	if f := r.Of("hl7", "equipment"); len(f) != 1 || f[0].Subject.Equipment != "Hospira Plum A+" {
		t.Errorf("facts:\n%s", r.Text())
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/tapirx/testdata/HL7-ORM.pcap")))
	if len(r.Of("hl7", "orm_o01")) != 1 || strings.Contains(r.Text(), "Disney") {
		t.Errorf("facts:\n%s", r.Text())
	}
	for _, n := range []string{"1_find_testclient", "3_find_bogus_local"} {
		r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/tapirx/testdata/dicom_arq_"+n+".pcap")))
		if f := r.Of("dicom", "associate_rq"); len(f) != 1 || f[0].Attributes.Get("implementation_version") != "GODICOM_1_1" || len(f[0].Attributes.List("abstract_syntaxes")) != 4 {
			t.Errorf("facts:\n%s", r.Text())
		}
	}
}
