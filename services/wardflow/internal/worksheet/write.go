package worksheet

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// Doubtful is the confidence under which a value is worth a look.
const Doubtful = 0.8

// columns are those of the file; the last three are the person's to fill in.
var columns = []string{
	"location", "device_id", "site", "mac", "ip", "hostname", "type", "attribute", "present", "confidence", "sources", "why", "value", "by", "note",
}

// Row is one attribute of one device.
type Row struct {
	Device    *proto.Device
	Attribute string
	Fact      *proto.Fact // nil when it is not known
	Why       string
}

// Rows are what is missing or doubtful, sorted by location, devices without one
// last; of each device in the order of its attributes. location "" is all, else
// places whose name contains it, whatever the case.
func Rows(devices []*proto.Device, location string) []Row {
	devices = slices.DeleteFunc(slices.Clone(devices), func(d *proto.Device) bool {
		return !named(d, location) || d.Lifecycle["retired"] == "true"
	})
	slices.SortStableFunc(devices, func(a, b *proto.Device) int {
		none := func(d *proto.Device) int {
			if place(d) == "" {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(none(a), none(b)), cmp.Compare(place(a), place(b)), bytes.Compare(a.DeviceID[:], b.DeviceID[:]))
	})
	var rows []Row
	for _, d := range devices {
		for _, a := range proto.EditAttributes {
			if !a.Fact {
				continue
			}
			f := d.Fact(a.Name)
			if why := doubt(d, a.Name, f); why != "" {
				rows = append(rows, Row{Device: d, Attribute: a.Name, Fact: f, Why: why})
			}
		}
	}
	return rows
}

// doubt says why an attribute is worth a look, "" when it is not.
func doubt(d *proto.Device, attribute string, f *proto.Fact) string {
	for _, c := range d.Conflicts {
		if c.Attribute == attribute {
			return fmt.Sprintf("conflict: traffic says %s (%.2f)", c.Traffic, c.Confidence)
		}
	}
	switch {
	case f == nil:
		return "not known"
	case f.Value == "unknown":
		return "not known"
	case f.Confidence < Doubtful:
		return "doubtful"
	}
	return ""
}

// place is where a device is, as far as is known: by the hospital's own names, and else
// as it is called.
func place(d *proto.Device) string {
	if path := d.Place.Path(); path != "" {
		return path
	}
	if d.Location != nil {
		return d.Location.Value
	}
	var parts []string
	for _, name := range []string{"building", "floor", "department", "room"} {
		if v := d.Lifecycle[name]; v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " / ")
}

// named reports whether a text is in a device's place or in what that is called.
func named(d *proto.Device, text string) bool {
	names := place(d)
	if d.Location != nil {
		names += "\n" + d.Location.Value
	}
	return strings.Contains(strings.ToLower(names), strings.ToLower(text))
}

// Write writes the rows.
func Write(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return fmt.Errorf("write worksheet: %w", err)
	}
	for _, r := range rows {
		d := r.Device
		confidence, value, sources := "", "", ""
		if r.Fact != nil {
			value, sources = r.Fact.Value, strings.Join(r.Fact.Sources, " ")
			confidence = strconv.FormatFloat(r.Fact.Confidence, 'f', 2, 64)
		}
		kind := ""
		if d.Type != nil {
			kind = d.Type.Value
		}
		line := []string{
			place(d), d.DeviceID.String(), d.Site, strings.Join(d.MACs, " "), strings.Join(d.IPs, " "), strings.Join(d.Hostnames, " "), kind,
			r.Attribute, value, confidence, sources, r.Why, "", "", "",
		}
		for i := range line {
			line[i] = guard(line[i])
		}
		if err := out.Write(line); err != nil {
			return fmt.Errorf("write worksheet: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write worksheet: %w", err)
	}
	return nil
}

// guard keeps what the network said from being a formula in a spreadsheet: a cell
// that begins like one gets a quote before it, as does one that has quotes there
// already, so that unguard gives each back as it was.
func guard(cell string) string {
	if formula(strings.TrimLeft(cell, "'")) {
		return "'" + cell
	}
	return cell
}

// unguard takes the quote off again.
func unguard(cell string) string {
	if rest, quoted := strings.CutPrefix(cell, "'"); quoted && formula(strings.TrimLeft(rest, "'")) {
		return rest
	}
	return cell
}

// formula reports what spreadsheets take for one (OWASP, CSV Injection).
func formula(s string) bool { return s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) }
