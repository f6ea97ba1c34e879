package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

var errRow = errors.New("row lost")

// brokenRows fail after their rows.
type brokenRows struct{ fixedRows }

func (brokenRows) Err() error { return errRow }

func sampleRows() *fixedRows {
	return &fixedRows{list: [][]any{
		{"4fa0c2d1e5b6978800112233445566aa", "infusion_pump", 71.25, "high", []any{"10.0.0.1", "fe80::1"}, uint64(12), `{"a":1}`, nil},
		{"0b", "", 5.0, "low", []any{}, uint64(3), "not json", map[string]any{"x": 1.5}},
	}}
}

var sampleNames = []string{"device_id", "type", "score", "tier", "ips", "count", "evidence", "more"}

func TestOutputFormats(t *testing.T) {
	tests := map[string]struct {
		format  format
		columns []column
		screen  screen
		want    string
	}{
		"json": {format: formatJSON, want: `{"device_id":"4fa0c2d1e5b6978800112233445566aa","type":"infusion_pump","score":71.25,"tier":"high","ips":["10.0.0.1","fe80::1"],"count":12,"evidence":{"a":1},"more":null}
{"device_id":"0b","type":"","score":5,"tier":"low","ips":[],"count":3,"evidence":"not json","more":{"x":1.5}}
`},
		"csv": {format: formatCSV, want: `device_id,type,score,tier,ips,count,evidence,more
4fa0c2d1e5b6978800112233445566aa,infusion_pump,71.25,high,"[""10.0.0.1"",""fe80::1""]",12,"{""a"":1}",
0b,,5,low,[],3,not json,"{""x"":1.5}"
`},
		"table, every column": {format: formatTable, want: `
DEVICE_ID                         TYPE           SCORE  TIER  IPS                COUNT  EVIDENCE  MORE
4fa0c2d1e5b6978800112233445566aa  infusion_pump  71.25  high  10.0.0.1, fe80::1     12  {"a":1}   -
0b                                -                  5  low   -                      3  not json  {"x":1.5}
`},
		"table, chosen columns": {
			format: formatTable, columns: []column{{name: "device_id", title: "device", show: showID}, {name: "score", title: "risk", show: showScore}, {name: "tier", title: "tier", style: severity}},
			want: `
DEVICE        RISK  TIER
4fa0c2d1e5b6  71.2  high
0b             5.0  low
`,
		},
		"table, narrow": {
			format: formatTable, screen: screen{width: 40}, columns: []column{{name: "device_id", title: "device"}, {name: "type", title: "type"}, {name: "tier", title: "tier"}},
			want: `
DEVICE               TYPE           TIER
4fa0c2d1e5b6978800…  infusion_pump  high
0b                   -              low
`,
		},
		"table, colour": {
			format: formatTable, screen: screen{colour: true}, columns: []column{{name: "tier", title: "tier", style: severity}, {name: "count", title: "n"}},
			want: "\n\x1b[1mTIER\x1b[0m   \x1b[1mN\x1b[0m\n\x1b[31mhigh\x1b[0m  12\n\x1b[32mlow\x1b[0m    3\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			s := tt.screen
			s.w = &b
			n, err := s.write(tt.format, sampleNames, tt.columns, sampleRows())
			if got := b.String(); err != nil || n != 2 || got != strings.TrimPrefix(tt.want, "\n") {
				t.Errorf("%d rows, error %v, got\n%s\nwant\n%s", n, err, got, tt.want)
			}
		})
	}
}

func TestOutputTellsLostRows(t *testing.T) {
	for _, f := range []format{formatTable, formatJSON, formatCSV} {
		s := screen{w: &bytes.Buffer{}}
		if _, err := s.write(f, sampleNames, nil, &brokenRows{*sampleRows()}); !errors.Is(err, errRow) {
			t.Errorf("%s: error %v", f, err)
		}
		if _, err := (&screen{w: fullDisk{}}).write(f, sampleNames, nil, sampleRows()); !errors.Is(err, errRow) {
			t.Errorf("%s: error %v of a disk that is full", f, err)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errRow }

// TestTableIsSafeToPrint: host names come from the network, and must not steer
// the terminal.
func TestTableIsSafeToPrint(t *testing.T) {
	var b bytes.Buffer
	s := screen{w: &b}
	if _, err := s.write(formatTable, []string{"a"}, nil, &fixedRows{list: [][]any{{"x\x1b[2Jy\r\n\x00z\u202e\xff"}}}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != "A\nx?[2Jy???z??\n" {
		t.Errorf("got %q", got)
	}
}

// A list of columns is shared by all who show it, and a name that is misspelt is
// said and shows nothing else.
func TestTableLeavesItsColumnsAlone(t *testing.T) {
	columns := []column{{name: "score", title: "risk"}}
	s := screen{w: &bytes.Buffer{}}
	if _, err := s.write(formatTable, sampleNames, columns, sampleRows()); err != nil || columns[0].right {
		t.Errorf("columns %+v, error %v", columns, err)
	}
	if _, err := s.write(formatTable, sampleNames, []column{{name: "scroe", title: "risk"}}, sampleRows()); err == nil || !strings.Contains(err.Error(), "scroe") {
		t.Errorf("error %v", err)
	}
}

// A narrow terminal gets fewer columns before those that matter are cut.
func TestNarrowTableLeavesColumnsOut(t *testing.T) {
	columns := []column{{name: "device_id", title: "device", show: showID, least: idShown}, {name: "type", title: "type", least: 8, spare: 2}, {name: "ips", title: "ip", spare: 1}, {name: "tier", title: "tier"}}
	for width, want := range map[int]string{
		0:  "DEVICE        TYPE           IP                 TIER\n4fa0c2d1e5b6  infusion_pump  10.0.0.1, fe80::1  high\n0b            -              -                  low\n",
		40: "DEVICE        TYPE       IP         TIER\n4fa0c2d1e5b6  infusion…  10.0.0.1…  high\n0b            -          -          low\n",
		32: "DEVICE        TYPE          TIER\n4fa0c2d1e5b6  infusion_pu…  high\n0b            -             low\n",
		20: "DEVICE        TIER\n4fa0c2d1e5b6  high\n0b            low\n",
		12: "DEVICE  TIER\n4fa0c…  high\n0b      low\n",
	} {
		var b bytes.Buffer
		s := screen{w: &b, width: width}
		if _, err := s.write(formatTable, sampleNames, columns, sampleRows()); err != nil || b.String() != want {
			t.Errorf("width %d, error %v, got\n%s\nwant\n%s", width, err, b.String(), want)
		}
	}
}

func TestScreenHasNoColourInAFile(t *testing.T) {
	var b bytes.Buffer
	if s := newScreen(&b, func(string) string { return "" }); s.colour || s.width != 0 {
		t.Errorf("screen %+v", s)
	}
}
