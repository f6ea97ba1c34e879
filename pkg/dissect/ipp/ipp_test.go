package ipp_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/ipp"
)

func attr(tag byte, name, value string) []byte {
	return slices.Concat([]byte{tag, byte(len(name) >> 8), byte(len(name))}, []byte(name), []byte{byte(len(value) >> 8), byte(len(value))}, []byte(value))
}

var answer = slices.Concat([]byte{2, 0, 0, 0, 0, 0, 0, 1, 1}, attr(0x47, "attributes-charset", "utf-8"), attr(0x41, "status-message", "CANARY-ALFA"), []byte{2}, attr(0x42, "job-name", "CANARY-ALFA"), attr(0x41, "printer-make-and-model", "CANARY-ALFA"), []byte{4},
	attr(0x42, "printer-name", "CANARY-ALFA"), attr(0x41, "printer-location", "PHI-0001-CANARY"), attr(0x41, "printer-make-and-model", "HP LaserJet M605"), attr(0x41, "printer-device-id", "MFG:HP;MDL:LaserJet M605;SN:CNABC12345;CMD:PCL,PJL,POSTSCRIPT;LEDMDIS:CANARY-ALFA;"),
	attr(0x41, "printer-firmware-string-version", "2405087_018552"), attr(0x45, "printer-uuid", "urn:uuid:9cbe294b-dd63-47b6-8d1f-3dce81383e69"), attr(0x23, "printer-state", "\x00\x00\x00\x04"), attr(0x21, "printer-up-time", "\x00\x00\x10\x00"),
	attr(0x44, "ipp-versions-supported", "1.1"), attr(0x44, "", "2.0"), attr(0x44, "uri-security-supported", "none"), attr(0x44, "", "tls"), attr(0x21, "printer-impressions-completed", "\x00\x00\x04\x00"), []byte{3}, []byte("CANARY-ALFA"))

func TestRead(t *testing.T) {
	f := ipp.Read(answer, false)
	if len(f) != 1 || f[0].Protocol != "ipp" || f[0].Kind != "printer" {
		t.Fatalf("%+v", f)
	}
	b, err := json.Marshal(f[0].Attributes)
	want := `{"device_uid":"9cbe294b-dd63-47b6-8d1f-3dce81383e69","firmware_version":"2405087_018552","ipp_version":"2.0","ipp_versions":["1.1","2.0"],"languages":["PCL","PJL","POSTSCRIPT"],"manufacturer":"HP","model":"LaserJet M605","pages":"1024","role":"server","security":["none","tls"],"serial":"CNABC12345","state":"processing","up_time_s":"4096"}`
	if err != nil || string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
	request := slices.Concat([]byte{1, 1, 0, 2, 0, 0, 0, 1, 1}, attr(0x42, "requesting-user-name", "jcanaryuser"), attr(0x42, "job-name", "CANARY-ALFA"), []byte{3}, []byte("PHI-0001-CANARY"))
	f = ipp.Read(request, true)
	if len(f) != 1 || f[0].Attributes.Get("operation") != "print_job" || f[0].Attributes.Get("ipp_version") != "1.1" {
		t.Errorf("%+v", f)
	}
	if ipp.Read([]byte{9, 9, 0, 2, 0, 0, 0, 1}, true) != nil || ipp.Read(answer[:9], false) != nil || ipp.Read(nil, true) != nil {
		t.Error("these are none")
	}
}

func TestCanaries(t *testing.T) {
	s := canary.New([]string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser"})
	for i := range answer {
		for _, f := range ipp.Read(answer[:i], false) {
			b, err := json.Marshal(f.Attributes)
			if hits := s.Search(b); len(hits) > 0 || err != nil {
				t.Fatal(hits, err)
			}
		}
	}
}

// Both over HTTP, as a printer is asked.
func TestOverHTTP(t *testing.T) {
	secrets := []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser"}
	job := slices.Concat([]byte{1, 1, 0, 2, 0, 0, 0, 1, 1}, attr(0x42, "requesting-user-name", "jcanaryuser"), attr(0x42, "job-name", "CANARY-ALFA"), []byte{3}, []byte("PHI-0001-CANARY"))
	c := dissecttest.Conversation{
		{Side: 0, Data: fmt.Appendf(nil, "POST /ipp/CANARY-ALFA HTTP/1.1\r\nHost: prn1\r\nContent-Type: application/ipp\r\nContent-Length: %d\r\n\r\n%s", len(job), job)},
		{Side: 1, Data: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/ipp\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)},
	}
	if r := dissecttest.Play(dissect.Config{}, dissecttest.OnPort(631, c.Segments(true))); len(r.Of("ipp", "printer")) != 1 || !slices.Contains(r.Flows[0].Inner, "ipp") {
		t.Errorf("%v %s", r.Flows[0], r.Text())
	}
	dissecttest.NoLeakOn(t, 631, secrets, c)
	dissecttest.PlantedTalks(t, "ipp", 631, secrets, c)
}

func FuzzRead(f *testing.F) {
	f.Add(answer)
	f.Fuzz(func(t *testing.T, b []byte) {
		ipp.Read(b, false)
		ipp.Read(b, true)
	})
}
