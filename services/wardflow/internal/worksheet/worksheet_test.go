package worksheet

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/quick"

	"github.com/wardflow/wardflow/proto"
)

func fact(v string, c float64) *proto.Fact {
	return &proto.Fact{Value: v, Confidence: c, Sources: proto.Strings{"dicom"}}
}

func ward() []*proto.Device {
	sure := func(n byte, location string) *proto.Device {
		d := &proto.Device{DeviceID: proto.ID{n}, Site: "north", MACs: proto.Strings{"00:00:00:00:00:01"}, IPs: proto.Strings{"10.0.0.1"}}
		for _, f := range []**proto.Fact{&d.Category, &d.Type, &d.Manufacturer, &d.Model, &d.OS, &d.OSVersion, &d.HardwareVersion, &d.SoftwareVersion, &d.Serial} {
			*f = fact("x", 0.9)
		}
		if location != "" {
			d.Location = fact(location, 0.95)
		}
		return d
	}
	lost, doubtful, conflict, gone := sure(1, ""), sure(2, "Ward 3"), sure(3, "ICU"), sure(4, "ICU")
	doubtful.Model, doubtful.Serial, doubtful.Category = fact("=cmd|x", 0.5), nil, fact("unknown", 0.9)
	conflict.Model = &proto.Fact{Value: "mine", Confidence: 0.99, Sources: proto.Strings{"human"}}
	conflict.Conflicts = proto.Conflicts{{Attribute: "model", Human: "mine", Traffic: "theirs", Confidence: 0.8}}
	gone.Serial, gone.Lifecycle = nil, proto.Labels{"retired": "true"}
	return []*proto.Device{lost, doubtful, conflict, gone}
}

func TestRows(t *testing.T) {
	var got []string
	for _, r := range Rows(ward(), "") {
		got = append(got, fmt.Sprint(r.Device.DeviceID[0], " ", r.Attribute, " ", r.Why))
	}
	want := "3 model conflict: traffic says theirs (0.80); 2 category not known; 2 model doubtful; 2 serial not known; 1 location not known"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if n := len(Rows(ward(), "ward")); n != 3 {
		t.Errorf("%d rows of the ward, want 3", n)
	}
}

// What the network said is no formula in a spreadsheet, and comes back as it was.
func TestGuard(t *testing.T) {
	for _, s := range []string{"=1+1", "+1", "-1", "@x", "'=1", "''@", "\t=1", "plain", "", "'quoted'", "1-2"} {
		g := guard(s)
		if g != "" && strings.ContainsRune("=+-@\t\r\n", rune(g[0])) || unguard(g) != s {
			t.Errorf("%q is written %q and read %q", s, g, unguard(g))
		}
	}
	if err := quick.Check(func(s string) bool { return unguard(guard(s)) == s }, nil); err != nil {
		t.Error(err)
	}
}

func reading() Reading {
	known := map[proto.ID]*proto.Device{}
	for _, d := range ward() {
		known[d.DeviceID] = d
	}
	return Reading{
		By: "m.keller", Device: func(id proto.ID) *proto.Device { return known[id] },
		New: func(device proto.ID, action, by, note string) *proto.Edit {
			return &proto.Edit{DeviceID: device, Action: action, By: by, Note: note}
		},
		Check: func(e *proto.Edit) error {
			if _, ok := proto.EditAttributeNamed(e.Attribute); !ok {
				return errors.New("attribute: unknown")
			}
			return nil
		},
		Same: func(_, a, b string) bool { return strings.EqualFold(a, b) },
	}
}

func TestRead(t *testing.T) {
	id := func(n byte) string { return proto.ID{n}.String() }
	for name, c := range map[string]struct{ text, want, bad string }{
		"set":                   {"device_id,attribute,value\n" + id(2) + ",serial,S1", "set serial=S1 m.keller", ""},
		"confirm":               {"device_id,attribute,value\n" + id(2) + ",model,'=CMD|x", "confirm model==CMD|x m.keller", ""},
		"a conflict is settled": {"device_id,attribute,value\n" + id(3) + ",model,mine", "set model=mine m.keller", ""},
		"row's own author":      {"device_id,attribute,value,by,note\n" + id(2) + ",serial,S1,r.ito,why", "set serial=S1 r.ito why", ""},
		"semicolons, BOM, CRLF": {"\xef\xbb\xbfdevice_id;attribute;value\r\n" + id(2) + ";Serial;\"a;b\"\r\n", "set serial=a;b m.keller", ""},
		"tabs":                  {"device_id\tattribute\tvalue\n" + id(2) + "\tserial\tS1", "set serial=S1 m.keller", ""},
		"empty rows":            {"device_id,attribute,value\n" + id(2) + ",serial,\n,,\n", "", ""},
		"short row":             {"device_id,attribute,value\n" + id(2) + ",serial", "", ""},
		"too many cells":        {"device_id,attribute,value\n" + id(2) + ",serial,a,b\n" + id(2) + ",owner,ICU", "set owner=ICU m.keller", "line 2: has 4 cells, the first line 3"},
		"no id":                 {"device_id,attribute,value\n1.5E+31,serial,S", "", "line 2: device_id is no id"},
		"no such device":        {"device_id,attribute,value\n" + id(9) + ",serial,S", "", "line 2: device " + id(9) + " is not known"},
		"bad attribute":         {"device_id,attribute,value\n" + id(2) + ",colour,red", "", "line 2: attribute: unknown"},
		"twice":                 {"device_id,attribute,value\n" + id(2) + ",serial,a\n" + id(2) + ",serial,b", "set serial=a m.keller", "line 3: line 2 has a value of serial"},
		"quote":                 {"device_id,attribute,value\n" + id(2) + ",serial,a\"b\n" + id(2) + ",owner,ICU", "set owner=ICU m.keller", "line 2: bare"},
	} {
		res, err := Read(strings.NewReader(c.text), reading())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got, bad []string
		for _, e := range res.Edits {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s=%s %s %s", e.Action, e.Attribute, e.Value, e.By, e.Note)))
		}
		for _, b := range res.Bad {
			bad = append(bad, b.Error())
		}
		if s := strings.Join(got, "; "); s != c.want || !strings.HasPrefix(strings.Join(bad, "; "), c.bad) || (c.bad == "") != (len(bad) == 0) {
			t.Errorf("%s: %q, bad %q", name, s, bad)
		}
	}
	for want, text := range map[string]string{"no first line": "", "no column value": "device_id,attribute\n", "not UTF-8": "device_id,attribute,value\n\xff"} {
		if _, err := Read(strings.NewReader(text), reading()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWriteIsReadBack(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, Rows(ward(), "")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), ",'=cmd|x,0.50,") {
		t.Errorf("a formula is not quoted:\n%s", b.String())
	}
	if res, err := Read(&b, reading()); err != nil || res.Empty != 5 || len(res.Bad) != 0 || len(res.Edits) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}
