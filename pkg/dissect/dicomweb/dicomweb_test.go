package dicomweb_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

const uid = "1.2.826.0.1.3680043.8.498.777"

// el is one element in explicit VR little endian.
func el(tag uint32, vr, value string) string {
	if len(value)%2 == 1 {
		value += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
	}
	b := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(tag>>16)), uint16(tag))
	b = append(b, vr...)
	if vr == "OB" || vr == "OW" {
		b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(value)))
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	}
	return string(b) + value
}

// filed is a DICOM file of a device, with a patient and pixels.
func filed(preamble, serial string) string {
	meta := el(0x00020001, "OB", "\x00\x01") + el(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.2") + el(0x00020010, "UI", "1.2.840.10008.1.2.1") +
		el(0x00020012, "UI", "1.2.3.4") + el(0x00020013, "SH", "VENDOR_1")
	n := string(binary.LittleEndian.AppendUint32(nil, uint32(len(meta))))
	return (preamble + strings.Repeat("\x00", 128))[:128] + "DICM" + el(0x00020000, "UL", n) + meta +
		el(0x00080060, "CS", "CT") + el(0x00080070, "LO", "ACME") + el(0x00081090, "LO", "Model X") + el(0x00100010, "PN", "CANARY^ALFA^XAVER") + el(0x00100020, "LO", "PHI-CANARY-0001") +
		el(0x00181000, "LO", serial) + el(0x0020000d, "UI", uid) + el(0x7fe00010, "OW", strings.Repeat("px\r\n--b", 500))
}

func multipart(parts ...string) string {
	s := "preamble\r\n"
	for _, p := range parts {
		s += "--bound-1\r\nContent-Type: application/dicom\r\nContent-Location: /studies/PHI-CANARY-0001\r\n\r\n" + p + "\r\n"
	}
	return s + "--bound-1--\r\n"
}

func message(first, kind, body string) string {
	return fmt.Sprintf("%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", first, kind, len(body), body)
}

func ask(method, target string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: pacs\r\n\r\n"
}

const (
	related = `multipart/related; type="application/dicom"; boundary=bound-1`
	ok      = "HTTP/1.1 200 OK"
)

// qido is a response in the DICOM JSON model: two studies of one scanner, one that repeats a
// patient's number as its serial, one that says nothing.
func qido() string {
	set := func(patient, serial string) string {
		return `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00080060":{"vr":"CS","Value":["CT"]},"00080070":{"vr":"LO","Value":["ACME"]},"00081030":{"vr":"LO","Value":["note of a canary"]},` +
			`"00100010":{"vr":"PN","Value":[{"Alphabetic":"CANARY^ALFA^XAVER"}]},"00100020":{"vr":"LO","Value":["` + patient + `"]},"00181000":{"vr":"LO","Value":["` + serial + `"]},` +
			`"00081115":{"vr":"SQ","Value":[{"00080070":{"vr":"LO","Value":["nested"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"CANARY^ALFA^XAVER"}]}}]},"0020000D":{"vr":"UI","Value":["` + uid + `"]}}`
	}
	return "[" + set("PHI-CANARY-0001", "S1") + "," + set("PHI-CANARY-0001", "S1") + "," + set("PHI-CANARY-0001", "phi-canary-0001") + `,{"00080005":{"vr":"CS"}}]`
}

// say alternates between the sides, the client first.
func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, p := range parts {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(p)})
	}
	return c
}

// lines are the facts as "kind side {attributes}", pseudonyms shortened.
func lines(r *dissecttest.Result) (list []string) {
	for _, f := range r.Facts {
		if f.Protocol != "dicomweb" {
			continue
		}
		a := f.Attributes
		if len(a.Get("study")) == 32 {
			a.Set("study", "STUDY")
		}
		_, s, _ := strings.Cut((&dissecttest.Result{Facts: []dissecttest.Fact{{Fact: dissect.Fact{Attributes: a}}}}).Text(), "{")
		list = append(list, fmt.Sprintf("%s %d {%s", f.Kind, f.Subject.Side, strings.TrimSpace(s)))
	}
	return list
}

func TestDICOMweb(t *testing.T) {
	device := func(preamble, serial string) string {
		return `{"implementation_uid":"1.2.3.4","implementation_version":"VENDOR_1","manufacturer":"ACME","modality":"CT","model":"Model X","preamble":"` + preamble + `","serial":"` + serial +
			`","sop_class":"1.2.840.10008.5.1.4.1.1.2","sop_class_name":"CT Image Storage","study":"STUDY","transfer_syntax":"1.2.840.10008.1.2.1"}`
	}
	for _, tc := range []struct {
		name  string
		parts []string
		want  []string
	}{
		{"search", []string{ask("GET", "/dicom-web/studies?PatientName=CANARY*&includefield=all"), message(ok, "application/dicom+json", qido())}, []string{
			`metadata 1 {"manufacturer":"ACME","modality":"CT","serial":"S1"}`, `metadata 1 {"manufacturer":"ACME","modality":"CT"}`,
			`request 0 {"level":"study","role":"client","service":"qido"}`, `transactions 0 {"operations":["qido_study:1"],"role":"client"}`,
		}},
		{"retrieve", []string{ask("GET", "/studies/"+uid+"/series/"+uid), message(ok, related, multipart(filed("", "S1"), filed("MZ", "S2")))}, []string{
			`request 0 {"level":"series","role":"client","service":"wado"}`, "instance 1 " + device("empty", "S1"), "instance 1 " + device("pe", "S2"),
			`transactions 0 {"operations":["wado_series:1"],"role":"client"}`,
		}},
		{"store", []string{message("POST /rs/studies HTTP/1.1", related, multipart(filed("\x7fELF", "S1"))), message(ok, "application/dicom+json", "{}")}, []string{
			"instance 0 " + device("elf", "S1"), `request 0 {"level":"study","role":"client","service":"stow"}`, `transactions 0 {"operations":["stow_study:1"],"role":"client"}`,
		}},
		{"the old way", []string{ask("GET", "/wado?requestType=WADO&studyUID="+uid), message(ok, "application/dicom", filed("", "S1"))}, []string{
			`request 0 {"level":"instance","role":"client","service":"wado_uri"}`, "instance 1 " + device("empty", "S1"), `transactions 0 {"operations":["wado_uri_instance:1"],"role":"client"}`,
		}},
		{"an image as JPEG", []string{ask("GET", "/studies/"+uid+"/series/"+uid+"/instances/"+uid+"/rendered"), message(ok, "image/jpeg", "jpeg")}, []string{
			`request 0 {"level":"instance","role":"client","service":"wado"}`, `transactions 0 {"operations":["wado_instance:1"],"role":"client"}`,
		}},
		{"a film studio", []string{ask("GET", "/studies") + ask("GET", "/studies/paris") + ask("GET", "/series"), message(ok, "text/html", "x") + message(ok, "text/html", "x") + message(ok, "text/html", "x")}, nil},
		{"not a file", []string{message("POST /studies HTTP/1.1", related, multipart("MZ no file"))}, []string{
			`request 0 {"level":"study","role":"client","service":"stow"}`, `transactions 0 {"operations":["stow_study:1"],"role":"client"}`,
		}},
		{"work", []string{ask("GET", "/workitems/"+uid), message(ok, "application/dicom+json", "[]")}, []string{
			`request 0 {"role":"client","service":"ups"}`, `transactions 0 {"operations":["ups:1"],"role":"client"}`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := say(tc.parts...)
			n := c.Sizes()
			for i := 0; i < n[0]+n[1]; i += 1 + (n[0]+n[1])/300 {
				r := dissecttest.Play(dissect.Config{}, c.Cut(i, i+40, i+1).Segments(true))
				if got := lines(r); !slices.Equal(got, tc.want) || len(r.Panics) > 0 {
					t.Fatalf("cut at %d: got\n%s\nwant\n%s\n%v %v", i, strings.Join(got, "\n"), strings.Join(tc.want, "\n"), r.Counters, r.Panics)
				}
				if labelled := slices.Contains(r.Flows[0].Inner, "dicomweb"); labelled != (tc.want != nil) {
					t.Fatalf("rides %v", r.Flows[0].Inner)
				}
			}
		})
	}
}

// Many files, and long headers, are not all read.
func TestBounds(t *testing.T) {
	var parts []string
	for range 40 {
		parts = append(parts, filed("", "S1"))
	}
	r := dissecttest.Play(dissect.Config{}, say(message("POST /studies HTTP/1.1", related, multipart(parts...))).Segments(true))
	if n := len(r.Of("dicomweb", "instance")); n != 16 || r.Counters["dicomweb_parts_skipped"] != 1 {
		t.Errorf("%d instances, %v", n, r.Counters)
	}
	r = dissecttest.Play(dissect.Config{}, say(message("POST /studies HTTP/1.1", related, "--bound-1\r\n"+strings.Repeat("x", 9000))).Segments(true))
	if r.Counters["dicomweb_header_long"] != 1 {
		t.Errorf("%v", r.Counters)
	}
	r = dissecttest.Play(dissect.Config{}, say(message("POST /studies HTTP/1.1", "application/dicom+json", "[{]")).Segments(true))
	if r.Counters["dicomweb_metadata_malformed"] != 1 {
		t.Errorf("%v", r.Counters)
	}
}
