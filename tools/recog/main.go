// Command recog makes the signature pack recog.yaml of the fingerprints of Rapid7's
// recog (BSD-2-Clause): those that tell a maker, a model, a system or a kind of device
// from what Wardflow has as evidence, whose expressions RE2 reads and whose own examples
// they match within the bytes of evidence that are kept.
//
//	cd tools && go run ./recog FILE.tgz > ../services/fingerprint/signatures/recog.yaml
//
// The same file gives the same pack. What is made is linted by the tests of the
// fingerprint service; the expressions and examples are recog's, unchanged.
package main

import (
	"archive/tar"
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// kept is how much of a value evidence has (services/fingerprint, maxText).
const kept = 128

// sources are recog's files and the evidence that their banners are.
var sources = []struct{ file, evidence string }{
	{"dhcp_vendor_class", "dhcp_vendor_class"},
	{"snmp_sysdescr", "system_description"},
	{"snmp_sysobjid", "snmp_object_id"},
	{"http_servers", "http_server"},
	{"ssh_banners", "ssh_software"},
	{"ftp_banners", "ftp_banner"},
	{"telnet_banners", "telnet_banner"},
	{"smtp_banners", "smtp_banner"},
	{"smb_native_os", "native_os"},
	{"rtsp_servers", "rtsp_server"},
	{"sip_user_agents", "sip_agent"},
}

// types are recog's words for kinds of devices, and ours where there is one.
var types = map[string]string{
	"Printer": "printer", "Multifunction Device": "printer", "Print Server": "printer",
	"Switch": "switch", "Router": "router", "Broadband Router": "router", "Cable Modem": "router", "DSL Modem": "router", "ADSL Modem": "router",
	"WAP": "access_point", "Wireless Controller": "wlan_controller", "Firewall": "firewall", "VPN": "firewall", "IPS": "firewall", "Security Appliance": "firewall",
	"VoIP": "voip_phone", "SIP Device": "voip_phone", "IP Camera": "ip_camera", "Web Cam": "ip_camera", "Video Encoder": "ip_camera",
	"Storage": "storage", "NAS": "storage", "Tape Library": "storage", "Laptop": "laptop", "Desktop": "workstation", "Thin Client": "workstation",
	"UPS": "ups", "Power Device": "ups", "Lights Out Management": "server", "Onboard Administrator": "server", "Hypervisor": "server",
	"PLC": "plc", "Industrial Control": "plc", "HMI Controller": "hmi", "Building Automation": "building_controller", "Access Control": "access_control",
	"Media Server": "media_player", "Network Audio": "media_player", "Smart TV": "media_player", "IPTV": "media_player",
}

// systems are recog's families of systems, and our names for them.
var systems = map[string]string{
	"Linux": "Linux", "Windows": "Windows", "FreeBSD": "FreeBSD", "Solaris": "Solaris", "Mac OS X": "macOS", "macOS": "macOS", "RouterOS": "RouterOS",
	"Comware": "Comware", "ScreenOS": "ScreenOS", "PAN-OS": "PAN-OS", "HP-UX": "HP-UX", "VxWorks": "VxWorks", "QNX": "QNX", "IOS": "Cisco IOS", "NetWare": "NetWare",
}

var distributions = map[string]string{"Debian": "Debian GNU/Linux", "Ubuntu": "Ubuntu"}

// The weights are moderate: the facts are other people's, and not verified here.
const (
	weightMaker = "0.65"
	weightModel = "0.6"
	weightOther = "0.6"
)

type fingerprint struct {
	Pattern     string    `xml:"pattern,attr"`
	Description string    `xml:"description"`
	Examples    []example `xml:"example"`
	Params      []struct {
		Pos   int    `xml:"pos,attr"`
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	} `xml:"param"`
}

type example struct {
	Encoding string `xml:"_encoding,attr"`
	Text     string `xml:",chardata"`
}

type say struct{ attribute, value, weight string }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "recog:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("give one file: recog's XML as tar.gz")
	}
	files, err := unpack(os.Args[1])
	if err != nil {
		return err
	}
	w := bufio.NewWriter(os.Stdout)
	fmt.Fprint(w, head)
	made, ids, same := 0, map[string]int{}, map[string]bool{}
	for _, s := range sources {
		b, found := files[s.file+".xml"]
		if !found {
			return fmt.Errorf("%s has no %s.xml", os.Args[1], s.file)
		}
		var list struct {
			All []fingerprint `xml:"fingerprint"`
		}
		if err := xml.Unmarshal(b, &list); err != nil {
			return fmt.Errorf("%s.xml: %w", s.file, err)
		}
		for i := range list.All {
			if rule := list.All[i].rule(s.file, s.evidence, ids, same); rule != "" {
				fmt.Fprint(w, rule)
				made++
			}
		}
	}
	if made == 0 {
		return errors.New("nothing was made")
	}
	return w.Flush()
}

const head = `# Made by tools/recog; do not edit. The expressions and examples are those of Rapid7's
# recog 3.1.28, (c) Rapid7, Inc., BSD-2-Clause: see NOTICE.
pack: recog
version: 3.1.28
licence: BSD-2-Clause
about: >-
  Banners, descriptions and vendor classes as recog collects them, where they tell a
  maker, a model, a system or a kind of device. Weights are moderate: what the other
  packs say for certain goes before.
rules:
`

func unpack(name string) (map[string][]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	files := map[string][]byte{}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if path.Ext(h.Name) != ".xml" {
			continue
		}
		if files[path.Base(h.Name)], err = io.ReadAll(io.LimitReader(t, 64<<20)); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

var (
	address = regexp.MustCompile(`\b(\d{1,3}(\\?\.)){3}\d{1,3}\b|(?i)\b([0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b`)
	slug    = regexp.MustCompile(`[^a-z0-9]+`)
)

// rule is a fingerprint as a rule, "" where it tells nothing or cannot be used.
func (f *fingerprint) rule(file, evidence string, ids map[string]int, same map[string]bool) string {
	re, err := regexp.Compile("(?i)" + f.Pattern)
	if err != nil || re.MatchString("") || same[evidence+f.Pattern] || (evidence != "snmp_object_id" && address.MatchString(f.Pattern)) {
		return ""
	}
	shown, at := f.shown(re)
	says := f.says(re)
	if shown == "" || len(says) == 0 {
		return ""
	}
	same[evidence+f.Pattern] = true
	id := strings.Trim(slug.ReplaceAllString(strings.ToLower(file+"-"+strings.Join(strings.Fields(f.Description), " ")), "-"), "-")
	id = strings.Trim(id[:min(len(id), 60)], "-")
	if ids[id]++; ids[id] > 1 {
		id = fmt.Sprintf("%s-%d", id, ids[id])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  - id: %s\n    match: {attribute: %s, regex: %s}\n    says: {", id, evidence, quote(f.Pattern))
	var expect []string
	for i, s := range says {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: {%s: %s}", s.attribute, quote(s.value), s.weight)
		expect = append(expect, s.attribute+": "+quote(string(re.ExpandString(nil, s.value, shown, at))))
	}
	fmt.Fprintf(&b, "}\n    source: recog 3.1.28 %s.xml\n    examples: [{evidence: %s, expect: {%s}}]\n", file, quote(shown), strings.Join(expect, ", "))
	return b.String()
}

// shown is the first example of one printable line that matches within what is kept.
func (f *fingerprint) shown(re *regexp.Regexp) (string, []int) {
	for _, x := range f.Examples {
		text := strings.TrimSpace(x.Text)
		if x.Encoding != "" || text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			continue
		}
		text = text[:min(len(text), kept)]
		if at := re.FindStringSubmatchIndex(text); at != nil && !slices.Contains(at, -1) {
			return text, at
		}
	}
	return "", nil
}

// says is what a fingerprint tells of a device; a value is a word or a group.
func (f *fingerprint) says(re *regexp.Regexp) (out []say) {
	value := map[string]string{}
	for _, p := range f.Params {
		switch {
		case p.Pos == 0 && !strings.Contains(p.Value, "{"):
			value[p.Name] = strings.ReplaceAll(p.Value, "$", "$$")
		case p.Pos > 0 && p.Pos <= re.NumSubexp():
			value[p.Name] = fmt.Sprintf("$%d", p.Pos)
		}
	}
	add := func(attribute, v, weight string) {
		if v != "" {
			out = append(out, say{attribute, v, weight})
		}
	}
	add("manufacturer", value["hw.vendor"], weightMaker)
	add("model", value["hw.product"], weightModel)
	if kind := types[value["hw.device"]]; kind != "" {
		add("type", kind, weightOther)
	} else {
		add("type", types[value["os.device"]], weightOther)
	}
	os := systems[value["os.family"]]
	if d := distributions[value["os.vendor"]]; d != "" {
		os = d
	}
	add("os", os, weightOther)
	if os != "" && os != "Windows" { // whose versions recog has in names
		add("os_version", value["os.version"], weightOther)
	}
	if value["hw.vendor"] != "" {
		add("software_version", cmp.Or(value["hw.version"], value["os.version"]), weightOther)
	}
	return out
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
