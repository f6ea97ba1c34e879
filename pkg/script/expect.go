package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// expect looks at the expectation at line i, or at the block of those about
// detections that begins there, and tells how many lines it took.
func (r *run) expect(i int) (int, error) {
	words := r.script.lines[i].words
	if len(words) < 2 {
		return 1, r.keep(i, fmt.Errorf("what is expected is missing"))
	}
	switch words[1] {
	case "detection", "no":
		return r.expectDetections(i)
	case "device", "risk":
		if len(words) < 3 {
			return 1, r.keep(i, fmt.Errorf("a name is missing"))
		}
		got, err := r.describe(words[1], words[2], words[3:])
		if err != nil {
			return 1, r.keep(i, err)
		}
		r.compare(i, indent(r.script.lines[i].text)+got)
		return 1, nil
	}
	return 1, r.keep(i, fmt.Errorf("%q cannot be expected", words[1]))
}

// keep leaves a line as it is.
func (r *run) keep(i int, err error) error {
	r.out.text = append(r.out.text, r.script.lines[i].text)
	return err
}

func indent(text string) string { return text[:len(text)-len(strings.TrimLeft(text, " \t"))] }

// compare holds a line to what came out, and writes what came out.
func (r *run) compare(i int, got string) {
	want := r.script.lines[i]
	words, err := split(got)
	if err == nil && slices.Equal(words, want.words) {
		r.out.text = append(r.out.text, want.text)
		return
	}
	r.out.text = append(r.out.text, got)
	r.out.Failures = append(r.out.Failures, Problem{Name: r.script.name, Line: i + 1, Text: "want: " + strings.TrimSpace(want.text) + "\n      got: " + strings.TrimSpace(got)})
}

// expectDetections compares a block of lines with the detections told since the
// block before.
func (r *run) expectDetections(i int) (int, error) {
	n := 0
	var want []line
	for ; i+n < len(r.script.lines); n++ {
		l := r.script.lines[i+n]
		if len(l.words) < 3 || l.words[0] != "expect" || (l.words[1] != "detection" && (l.words[1] != "no" || l.words[2] != "detection")) {
			break
		}
		want = append(want, l)
	}
	if n == 0 {
		return 1, r.keep(i, fmt.Errorf("write expect detection RULE ..., or expect no detection"))
	}
	lead := indent(want[0].text)
	var got []string
	told := map[proto.ID]bool{}
	for _, id := range r.fresh {
		if !told[id] {
			told[id] = true
			got = append(got, lead+r.detection(r.detections[id]))
		}
	}
	r.fresh = nil
	if len(got) == 0 {
		got = []string{lead + "expect no detection"}
	}
	same := len(got) == len(want)
	for k := 0; same && k < len(got); k++ {
		words, err := split(got[k])
		same = err == nil && slices.Equal(words, want[k].words)
	}
	if same {
		for _, l := range want {
			r.out.text = append(r.out.text, l.text)
		}
		return n, nil
	}
	r.out.text = append(r.out.text, got...)
	var lines []string
	for _, l := range want {
		lines = append(lines, strings.TrimSpace(l.text))
	}
	for k := range got {
		got[k] = strings.TrimSpace(got[k])
	}
	r.out.Failures = append(r.out.Failures, Problem{
		Name: r.script.name, Line: i + 1,
		Text: "want:\n        " + strings.Join(lines, "\n        ") + "\n      got:\n        " + strings.Join(got, "\n        "),
	})
	return n, nil
}

// detection writes a detection as a line.
func (r *run) detection(d *proto.Detection) string {
	b := "expect detection " + d.Rule + " " + d.Severity + " " + quote(r.label(d.Endpoint.String()))
	if len(d.Targets) > 0 {
		names := make([]string, len(d.Targets))
		for i, t := range d.Targets {
			names[i] = r.label(t)
		}
		b += " -> " + quote(strings.Join(names, ","))
	}
	b += " at " + clock(r.midnight, d.Time)
	if d.Count != 1 {
		b += " count " + strconv.FormatUint(d.Count, 10)
	}
	return b
}

// describe writes a device or a score with the fields that words ask for.
func (r *run) describe(what, name string, words []string) (string, error) {
	n, err := r.node(name)
	if err != nil {
		return "", err
	}
	b := "expect " + what + " " + quote(name)
	keys := []string{"category", "type", "manufacturer", "model"}
	var known bool
	var field func(string) (string, bool)
	if what == "risk" {
		keys = []string{"score", "tier", "factors"}
		k := r.risks[n.id]
		known, field = k != nil, func(key string) (string, bool) { return riskField(k, key) }
	} else {
		d := r.devices[n.id]
		known, field = d != nil, func(key string) (string, bool) { return r.deviceField(d, key) }
	}
	if !known {
		return b + " none", nil
	}
	if len(words) > 1 {
		keys = fieldNames(words, field)
	}
	for _, key := range keys {
		v, ok := field(key)
		if !ok {
			return "", fmt.Errorf("a %s has no field %q", what, key)
		}
		b += " " + key + " " + quote(v)
	}
	return b, nil
}

// fieldNames reads which fields words are about: names and values in turn, or, in
// a line that is yet to be filled in, names alone.
func fieldNames(words []string, field func(string) (string, bool)) (keys []string) {
	isField := func(w string) bool { _, ok := field(w); return ok }
	if !slices.ContainsFunc(words, func(w string) bool { return !isField(w) }) {
		return words
	}
	for i := 0; i < len(words); i += 2 {
		keys = append(keys, words[i])
	}
	return keys
}

func list(s []string) string {
	if len(s) == 0 {
		return "-"
	}
	return strings.Join(s, ",")
}

func (r *run) deviceField(d *proto.Device, key string) (string, bool) {
	facts := map[string]*proto.Fact{
		"category": d.Category, "type": d.Type, "manufacturer": d.Manufacturer, "model": d.Model, "os": d.OS, "os_version": d.OSVersion,
		"hardware_version": d.HardwareVersion, "software_version": d.SoftwareVersion, "serial": d.Serial, "location": d.Location,
	}
	name, confidence := strings.CutSuffix(key, "_confidence")
	if f, ok := facts[name]; ok {
		switch {
		case f == nil:
			return "-", true
		case confidence:
			return strconv.FormatFloat(f.Confidence, 'f', 2, 64), true
		}
		return f.Value, true
	}
	switch key {
	case "ips":
		return list(d.IPs), true
	case "macs":
		return list(d.MACs), true
	case "hostnames":
		return list(d.Hostnames), true
	case "ae_titles":
		return list(d.AETitles), true
	case "gateway":
		if d.Gateway.IsZero() {
			return "-", true
		}
		return r.label(d.Gateway.String()), true
	case "first_seen":
		return d.FirstSeen.Std().Format("15:04:05"), true
	case "last_seen":
		return d.LastSeen.Std().Format("15:04:05"), true
	}
	return "", false
}

func riskField(k *proto.Risk, key string) (string, bool) {
	number := func(v float64, decimals int) string { return strconv.FormatFloat(v, 'f', decimals, 64) }
	switch key {
	case "score":
		return number(k.Score, 1), true
	case "tier":
		return k.Tier, true
	case "likelihood":
		return number(k.Likelihood, 3), true
	case "impact":
		return number(k.Impact, 3), true
	case "cause":
		return k.Cause, true
	case "factors":
		var names []string
		for _, f := range k.Factors {
			names = append(names, f.Name+"="+number(f.Share, 2))
		}
		return list(names), true
	}
	return "", false
}
