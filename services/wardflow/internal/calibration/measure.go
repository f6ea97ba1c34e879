package calibration

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// Replay gives the devices of a capture file.
type Replay func(ctx context.Context, file string) ([]*proto.Device, error)

// Verdict is one labelled value, and what was told of it.
type Verdict struct {
	Capture    string   `json:"capture"`
	Host       string   `json:"host"`
	Attribute  string   `json:"attribute"`
	Right      []string `json:"label"`
	Known      string   `json:"known"`
	Told       string   `json:"told"` // "" when nothing was
	Confidence float64  `json:"confidence"`
	Sources    []string `json:"sources"`
	OK         bool     `json:"ok"`
	Lost       bool     `json:"host_not_found"`
	Half       string   `json:"half"`
}

// The halves into which captures fall by their names: weights may be changed by what
// the one shows, and the other then says what that was good for.
const (
	HalfTuned   = "tuned"
	HalfHeldOut = "held_out"
)

// HalfOf says in which half a capture is. Captures of one folder that a pattern stands
// for stay together: they are of the same devices.
func HalfOf(file string) string {
	if sha256.Sum256([]byte(file))[0]&1 == 0 {
		return HalfTuned
	}
	return HalfHeldOut
}

// Measure replays the captures below dir and compares each labelled value. note is told
// of captures that are not there or cannot be read; they are left out.
func Measure(ctx context.Context, dir string, sets []*Labels, replay Replay, note func(string, ...any)) (*Report, error) {
	r := &Report{}
	var all []Verdict
	for _, l := range sets {
		r.Labels = append(r.Labels, l.Name)
		for i := range l.Captures {
			c := &l.Captures[i]
			files, err := expand(dir, c.File)
			if err != nil {
				note("%s: %v", l.file, err)
				r.Missing++
				continue
			}
			for _, file := range files {
				if err := ctx.Err(); err != nil {
					return nil, fmt.Errorf("measure calibration: %w", err)
				}
				devices, err := replay(ctx, file)
				if err != nil {
					note("%s: %v", file, err)
					r.Missing++
					continue
				}
				r.Captures++
				r.Hosts += len(c.Hosts)
				name, err := filepath.Rel(dir, file)
				if err != nil {
					name = file
				}
				for j := range c.Hosts {
					all = append(all, c.Hosts[j].judge(filepath.ToSlash(name), HalfOf(c.File), devices)...)
				}
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("measure calibration: no labelled capture was found below %s", dir)
	}
	slices.SortStableFunc(all, func(a, b Verdict) int {
		return cmp.Or(strings.Compare(a.Capture, b.Capture), strings.Compare(a.Host, b.Host), strings.Compare(a.Attribute, b.Attribute))
	})
	r.count(all)
	return r, nil
}

// judge compares a host's labels with the device.
func (h *Host) judge(capture, half string, devices []*proto.Device) (list []Verdict) {
	d := h.find(devices)
	for _, attribute := range Attributes {
		right := h.Is[attribute]
		if len(right) == 0 {
			continue
		}
		v := Verdict{Capture: capture, Host: h.Name(), Attribute: attribute, Right: right, Known: h.Known, Lost: d == nil, Half: half}
		switch {
		case d == nil:
		case attribute == hostname:
			v.Told = strings.Join(d.Hostnames, ", ")
			v.OK = slices.ContainsFunc(d.Hostnames, func(told string) bool { return agrees(attribute, told, right) })
		default:
			if f := d.Fact(attribute); f != nil {
				v.Told, v.Confidence, v.Sources = f.Value, f.Confidence, f.Sources
				v.OK = agrees(attribute, f.Value, right)
			}
		}
		list = append(list, v)
	}
	return list
}
