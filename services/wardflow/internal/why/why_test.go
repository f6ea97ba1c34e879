package why

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

func TestSays(t *testing.T) {
	for _, c := range []struct{ attributes, value, want string }{
		{`{"model":"SOMATOM go.Up","station":"CT-1"}`, "SOMATOM go.Up", "model=SOMATOM go.Up"},
		{`{"a":"x SOMATOM go.Up y","model":"somatom GO.up"}`, "SOMATOM go.Up", "model=somatom GO.up"},
		{`{"role":"scp","services":["find","storage"]}`, "storage_scp", "services=storage"},
		{`{"hostname":"pacs01.hosp"}`, "pacs01", "hostname=pacs01.hosp"},
		{`{"model":"MX800"}`, "MX40", ""},
		{`{"n":17}`, "17", ""},
		{`no JSON`, "17", ""},
	} {
		if got, ok := Says([]byte(c.attributes), c.value); got != c.want || ok != (c.want != "") {
			t.Errorf("%s in %s: %q, %v", c.value, c.attributes, got, ok)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	id := proto.ID{7}
	write := func(name string, lines ...string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(m int) string { return fmt.Sprintf("2026-11-17T12:%02d:00.000000000Z", m) }
	var list []string
	for m := range 6 {
		list = append(list, fmt.Sprintf(`{"time":%q,"sensor":"tap","flow_id":"f%d","device":%q,"protocol":"dicom","kind":"c_store","attributes":{"model":"X2"}}`, at(m), m, id))
	}
	list = append(list,
		fmt.Sprintf(`{"time":%q,"sensor":"tap","flow_id":null,"device":null,"protocol":"dicom","kind":"c_store","attributes":{"model":"X2"}}`, at(3)),   // of somebody else
		fmt.Sprintf(`{"time":%q,"sensor":"tap","flow_id":null,"device":%q,"protocol":"dicom","kind":"c_store","attributes":{"model":"X2"}}`, at(9), id)) // after the evidence
	write("observations.jsonl", list...)
	write("flows.jsonl",
		fmt.Sprintf(`{"flow_id":"f0","part":0,"start":%q,"sensor":"tap","src_ip":"10.0.0.1","src_port":4,"dst_ip":"fd00::1","dst_port":104,"src_device":%q,"dst_device":null,"protocol":"dicom","protocol_by":"content"}`, at(0), id))
	d := &proto.Device{DeviceID: id, Model: &proto.Fact{Value: "X2", Confidence: 0.9}, Evidence: proto.Evidences{
		{Attribute: "model", Value: "x2", Protocol: "dicom", Count: 6, Weight: 0.95}, {Attribute: "model", Value: "X3", Protocol: "snmp", Count: 1, Weight: 0.5},
	}}
	for i, m := range []int{0, 5} {
		var tm proto.Time
		if err := tm.UnmarshalText([]byte(at(m))); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			d.Evidence[0].First = tm
		} else {
			d.Evidence[0].Last = tm
		}
	}
	reasons, err := Of(d, "model")
	if err != nil || len(reasons) != 1 {
		t.Fatalf("%d reasons, %v", len(reasons), err)
	}
	if err := Folder(dir, d, reasons); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range reasons[0].Packets {
		got = append(got, p.Time[14:16]+" "+p.Said+" "+p.Flow)
	}
	if want := "00 model=X2 10.0.0.1:4 > [fd00::1]:104, 01 model=X2 , 02 model=X2 , 05 model=X2 "; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", strings.Join(got, ", "), want)
	}
	for attribute, want := range map[string]string{"serial": "nothing that was seen says it", "colour": "no such attribute"} {
		if _, err := Of(d, attribute); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", attribute, err)
		}
	}
}
