package ward_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

var attributesTo = flag.String("attributes", "", "file to write the table of the ward's attributes to")

// factOf are the sheet's attributes that are facts of a device.
var factOf = map[string]func(*proto.Device) *proto.Fact{
	"manufacturer":     func(d *proto.Device) *proto.Fact { return d.Manufacturer },
	"model":            func(d *proto.Device) *proto.Fact { return d.Model },
	"software_version": func(d *proto.Device) *proto.Fact { return d.SoftwareVersion },
	"hardware_version": func(d *proto.Device) *proto.Fact { return d.HardwareVersion },
	"os":               func(d *proto.Device) *proto.Fact { return d.OS },
	"serial":           func(d *proto.Device) *proto.Fact { return d.Serial },
	"location":         func(d *proto.Device) *proto.Fact { return d.Location },
	"bed":              func(d *proto.Device) *proto.Fact { return d.Location },
}

// evidenceOf are the sheet's attributes that have no key of their own in a device: they
// are looked for in its evidence, under the name that it has there. Where the sheet
// has a part of what is told, or tells it with a prefix, they need not be equal.
var evidenceOf = map[string]string{
	"kernel": "system_description", "snmp_descr": "system_description", "ssdp_server": "upnp_server", "ssh_banner": "ssh_software",
	"netbios_domain": "domain", "dicom_impl_version": "dicom_implementation_version", "dicom_impl_uid": "dicom_implementation_uid",
	"dhcp_params": "dhcp_parameter_list", "binary": "build", "hl7_eui64": "eui64", "epr": "device_uid", "oui_vendor": "manufacturer",
}

// verdict is how an attribute of the sheet compares.
type verdict struct {
	host, attribute, want, got, where string
	confidence                        float64 // 0 for evidence
	is                                string  // right, wrong, missing
}

// judge compares an attribute of the sheet with a device.
func judge(h *truthHost, name, want string, sources []string, d *proto.Device) verdict {
	v := verdict{host: h.ID, attribute: name, want: want, is: "missing", where: "evidence"}
	match := func(got string) bool { return agrees(name, got, want) }
	var candidates []string
	switch {
	case name == "location" && slices.Contains(sources, "hl7"): // MSH-4: who sends, which here is a ward
		candidates = evidence(d, "hl7_facility")
	case factOf[name] != nil:
		v.where = "fact"
		if f := factOf[name](d); f != nil {
			v.got, v.confidence, v.is = f.Value, f.Confidence, "wrong"
			if match(f.Value) {
				v.is = "right"
			}
		}
		return v
	case name == "hostname" || name == "netbios_name" || name == "mdns_name":
		v.where, candidates = "hostnames", d.Hostnames
	case name == "ae_title":
		v.where, candidates = "ae_titles", d.AETitles
	default:
		candidates = evidence(d, cmp.Or(evidenceOf[name], name))
	}
	if i := slices.IndexFunc(candidates, match); i >= 0 {
		v.got, v.is = candidates[i], "right"
	} else if len(candidates) > 0 {
		v.got, v.is = strings.Join(candidates, ", "), "wrong"
	}
	return v
}

func evidence(d *proto.Device, attribute string) (list []string) {
	for _, e := range d.Evidence {
		if e.Attribute == attribute {
			list = append(list, e.Value)
		}
	}
	return list
}

// agrees compares as the attribute is meant: a system by its family, a place by its
// words, a maker by its first word, names without case.
func agrees(name, got, want string) bool {
	got, want = strings.ToLower(got), strings.ToLower(want)
	switch name {
	case "os":
		return sameSystem(got, want) || (strings.HasPrefix(want, "windows") && got == "windows") || strings.HasPrefix(got, "cisco ios") && strings.HasPrefix(want, "cisco ios")
	case "location", "bed":
		if _, poc, ok := strings.Cut(want, "poc="); ok { // a scope of SDC
			want = strings.ReplaceAll(poc, "&bed=", "^")
		}
		return strings.ReplaceAll(got, "-", "^") == strings.ReplaceAll(want, "-", "^")
	case "manufacturer", "oui_vendor":
		return maker(got) == maker(want)
	case "hostname", "mdns_name", "netbios_name":
		short, _, _ := strings.Cut(got, ".")
		return short == want
	case "ssh_banner":
		return "ssh-2.0-"+got == want
	case "kernel", "snmp_descr", "ssdp_server", "user_agent":
		return strings.Contains(got, want)
	}
	return got == want
}

func maker(name string) string {
	name = strings.NewReplacer("hewlett packard", "hp", "hewlett-packard", "hp").Replace(name)
	if f := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(" (,.-", r) }); len(f) > 0 {
		return f[0]
	}
	return name
}

// TestDayOfAttributes compares every attribute that the sheet calls visible and
// readable, and the kind of every device: at least 95 in 100 are right, and nothing
// is wrong that is told with confidence 0.8 or more.
func TestDayOfAttributes(t *testing.T) {
	w := run(t, nil, "day.pcapng")
	sheet := readTruth(t)
	var all []verdict
	for _, h := range sheet.Hosts {
		d := find(w, &h)
		if d == nil {
			t.Errorf("%s is not found", h.ID)
			continue
		}
		for _, name := range sortedNames(h.Attributes) {
			a := h.Attributes[name]
			if a.Readable && len(a.VisibleOn) > 0 {
				all = append(all, judge(&h, name, fmt.Sprint(a.Value), a.VisibleOn, d))
			}
		}
		all = append(all, kinds(&h, d)...)
	}
	right, visible := 0, 0
	for _, v := range all {
		t.Logf("%-8s %-20s %-40q %-40q %-9s %.2f %s", v.host, v.attribute, v.want, v.got, v.where, v.confidence, v.is)
		if v.is == "wrong" && v.confidence >= 0.8 {
			t.Errorf("%s: %s %q at %.2f, the sheet has %q", v.host, v.attribute, v.got, v.confidence, v.want)
		}
		if v.attribute == "category" || v.attribute == "type" {
			continue
		}
		visible++
		if v.is == "right" {
			right++
		}
	}
	t.Logf("%d of %d visible attributes right, %.1f %%", right, visible, 100*float64(right)/float64(visible))
	if visible < 150 || float64(right) < 0.95*float64(visible) {
		t.Errorf("%d of %d visible attributes are right", right, visible)
	}
	apartAndNested(t, w, sheet)
	for _, line := range calibration(all) {
		t.Log(line)
	}
	if *attributesTo != "" {
		if err := os.WriteFile(*attributesTo, []byte(page(all, right, visible)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func sortedNames[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func kinds(h *truthHost, d *proto.Device) []verdict {
	one := func(name, want string, f *proto.Fact, ok bool) verdict {
		v := verdict{host: h.ID, attribute: name, want: want, got: value(f), where: "fact", confidence: confidence(f), is: "wrong"}
		switch {
		case f == nil:
			v.is = "missing"
		case ok:
			v.is = "right"
		}
		return v
	}
	return []verdict{
		one("category", h.Expect.Category, d.Category, value(d.Category) == h.Expect.Category),
		one("type", h.Expect.Type, d.Type, slices.Contains(h.Expect.AcceptedTypes, value(d.Type))),
	}
}

// apartAndNested: two tenants of one address are two devices, and who sits behind a
// gateway is found there.
func apartAndNested(t *testing.T, w *wardRun, sheet *truth) {
	holders := map[string][]string{}
	device := map[string]*proto.Device{}
	for i := range sheet.Hosts {
		h := &sheet.Hosts[i]
		device[h.ID] = find(w, h)
		for _, ip := range h.IPs {
			holders[ip.IP] = append(holders[ip.IP], h.ID)
		}
	}
	shared := 0
	for ip, ids := range holders {
		for _, id := range ids[1:] {
			shared++
			if device[id] == nil || device[id] == device[ids[0]] {
				t.Errorf("%s: %s and %s are one device", ip, ids[0], id)
			}
		}
	}
	if shared == 0 {
		t.Error("the sheet has no address with two tenants")
	}
	for _, h := range sheet.Hosts {
		if h.Behind == "" {
			continue
		}
		d, gateway := device[h.ID], device[h.Behind]
		if d == nil || gateway == nil || (d.Gateway != gateway.DeviceID && !slices.Contains(gateway.Endpoints, d.Gateway)) {
			t.Errorf("%s is not behind %s", h.ID, h.Behind)
		}
	}
}

// calibration: of the facts with a known truth, by confidence, which share is right.
func calibration(all []verdict) []string {
	bins := []struct{ from, to float64 }{{0.2, 0.5}, {0.5, 0.7}, {0.7, 0.8}, {0.8, 0.9}, {0.9, 1.01}}
	out := []string{"| confidence | n | right |", "| --- | --- | --- |"}
	for _, b := range bins {
		n, right := 0, 0
		for _, v := range all {
			if v.where == "fact" && v.confidence >= b.from && v.confidence < b.to {
				n++
				if v.is == "right" {
					right++
				}
			}
		}
		share := "-"
		if n > 0 {
			share = fmt.Sprintf("%.1f %%", 100*float64(right)/float64(n))
		}
		out = append(out, fmt.Sprintf("| %.1f-%.1f | %d | %s |", b.from, min(b.to, 1), n, share))
	}
	return out
}

func page(all []verdict, right, visible int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# The ward's attributes

Every attribute that the truth sheet of ward-a calls visible and readable, against what the folds tell of
the device at the end of the day. Facts are compared with the device's own keys; what has none (`+"`where`"+` says
evidence, hostnames or ae_titles) with the list that holds it. Systems are compared by family, places by their
words, makers by their first word, names without case.

    go test ./services/wardflow/ward -run TestDayOfAttributes -attributes FILE

**%d of %d right (%.1f %%).**

## Calibration

Facts with a known truth, category and type among them.

%s

## Attributes

| host | attribute | truth | ours | where | confidence | |
| --- | --- | --- | --- | --- | --- | --- |
`, right, visible, 100*float64(right)/float64(visible), strings.Join(calibration(all), "\n"))
	for _, v := range all {
		c := ""
		if v.confidence > 0 {
			c = fmt.Sprintf("%.2f", v.confidence)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", v.host, v.attribute, v.want, v.got, v.where, c, v.is)
	}
	return b.String()
}
