package peers

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Messages are how many clinical messages tshark finds in a capture: "hl7 oru",
// "dicom c_store", "dicom associate_rq".
type Messages map[string]int

// clinicalCaptures are those that have HL7 or DICOM on ports that tshark knows.
var clinicalCaptures = []string{"clinical/*.pcap", "ward-a/*.pcap*", "tapirx/testdata/*.pcap", "nDPI/pcap/*hl7*", "nDPI/pcap/*dicom*", "zeek/Traces/*hl7*"}

// Tshark asks tshark about the clinical captures; nil where it is not installed.
func Tshark(ctx context.Context, captures string) (map[string]Messages, error) {
	if _, err := exec.LookPath("tshark"); err != nil {
		return nil, nil
	}
	out := map[string]Messages{}
	for _, pattern := range clinicalCaptures {
		paths, err := filepath.Glob(filepath.Join(captures, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, fmt.Errorf("look for clinical captures: %w", err)
		}
		for _, path := range paths {
			rel, err := filepath.Rel(captures, path)
			if err != nil {
				return nil, fmt.Errorf("name of %s: %w", path, err)
			}
			m, err := tsharkMessages(ctx, path)
			if err != nil {
				return nil, err
			}
			if len(m) > 0 {
				out[filepath.ToSlash(rel)] = m
			}
		}
	}
	return out, nil
}

var (
	dicomPDUs    = map[string]string{"0x01": "associate_rq", "0x02": "associate_ac", "0x03": "associate_rj", "0x05": "release", "0x07": "abort"}
	dicomRequest = regexp.MustCompile(`\b([CN]-[A-Z-]+)-RQ\b(-DATA)?`)
)

func tsharkMessages(ctx context.Context, path string) (Messages, error) {
	m := Messages{}
	fields := func(filter string, names ...string) ([]string, error) {
		args := []string{"-r", path, "-d", "tcp.port==2575,hl7", "-Y", filter, "-T", "fields"}
		for _, n := range names {
			args = append(args, "-e", n)
		}
		b, err := exec.CommandContext(ctx, "tshark", args...).Output()
		if err != nil && len(b) == 0 {
			return nil, fmt.Errorf("tshark of %s: %w", path, err)
		}
		return strings.Split(strings.TrimSpace(string(b)), "\n"), nil
	}
	types, err := fields("hl7", "hl7.message.type")
	if err != nil {
		return nil, err
	}
	for _, line := range types {
		for _, t := range strings.Split(line, ",") {
			if t != "" {
				m["hl7 "+strings.ToLower(t)]++
			}
		}
	}
	pdus, err := fields("dicom", "dicom.pdu.type")
	if err != nil {
		return nil, err
	}
	for _, line := range pdus {
		for _, t := range strings.Split(line, ",") {
			if name := dicomPDUs[t]; name != "" {
				m["dicom "+name]++
			}
		}
	}
	infos, err := fields("dicom", "_ws.col.Info")
	if err != nil {
		return nil, err
	}
	for _, line := range infos {
		for _, x := range dicomRequest.FindAllStringSubmatch(line, -1) {
			if x[2] == "" {
				m["dicom "+strings.ToLower(strings.ReplaceAll(x[1], "-", "_"))]++
			}
		}
	}
	return m, nil
}

// CompareTshark compares how many messages of each kind there are.
func (r *Report) CompareTshark(o *Observed, want Messages) {
	ours := Messages{}
	for _, f := range o.Facts {
		kind := f.Kind
		switch f.Protocol {
		case "hl7":
			kind, _, _ = strings.Cut(kind, "_")
		case "dicom":
		default:
			continue
		}
		ours[f.Protocol+" "+kind]++
	}
	for _, what := range slices.Sorted(maps.Keys(want)) {
		protocol, _, _ := strings.Cut(what, " ")
		r.add(Check{
			Peer: "tshark", Field: protocol + " messages", Capture: o.Capture, Where: what,
			Want: strconv.Itoa(want[what]), Ours: strconv.Itoa(ours[what]), Equal: want[what] == ours[what],
		})
	}
}
