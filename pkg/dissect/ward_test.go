package dissect_test

import (
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

const wardDay = "captures/ward-a/day.pcapng"

// The addresses of the ward's hosts that the tests name (truth.yaml).
var (
	pumpgw = netip.MustParseAddr("10.41.8.40")
	pacs01 = netip.MustParseAddr("10.41.8.20")
	integ  = netip.MustParseAddr("10.41.8.21")
	ct1    = netip.MustParseAddr("10.41.8.31")
)

// The figures are those of the ward's truth sheet: messages per pump, exams and
// images, infusions, and who is who.
func TestWard(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, wardDay)))
	if len(r.Panics) > 0 {
		t.Fatalf("panics: %v", r.Panics)
	}
	for name, n := range r.Counters {
		if n > 0 && name != "tcp_segments" && name != "mdns_instance_withheld" { // devices in DNS-SD have names that are not told
			t.Errorf("a capture without loss counts %s: %d", name, n)
		}
	}
	t.Run("kinds", func(t *testing.T) {
		want := map[string]int{
			"hl7 oru_r01": 326, "hl7 ack": 326, "hl7 equipment": 326,
			"dicom n_create": 14, "dicom n_set": 14,
			"dicom c_store": 271 + 36, // of the scanners, and to the workstation that fetched
		}
		got := r.Kinds()
		for k, n := range want {
			if got[k] != n {
				t.Errorf("%s: %d, want %d", k, got[k], n)
			}
		}
	})
	t.Run("pumps", func(t *testing.T) { wardPumps(t, r) })
	t.Run("imaging", func(t *testing.T) { wardImaging(t, r) })
	t.Run("addresses", func(t *testing.T) { wardAddresses(t, r) })
}

func wardPumps(t *testing.T, r *dissecttest.Result) {
	count := map[string]int{}
	last := map[string]dissecttest.Fact{}
	infusing := map[string]int{}
	for _, f := range r.Of("hl7", "equipment") {
		count[f.Subject.Equipment]++
		last[f.Subject.Equipment] = f
		if f.Attributes.Get("state") == "infusing" {
			infusing[f.Subject.Equipment]++
		}
	}
	const pump3 = "13877029^ALARIS-W3^^L"
	want := map[string]int{"F8C678FFFE104201": 100, "F8C678FFFE104202": 64, pump3: 98, "0030E6FFFE4A0701": 36, "0009FBFFFE2C0802": 28}
	if !maps.Equal(count, want) {
		t.Errorf("messages by equipment %v, want %v", count, want)
	}
	if infusing[pump3] != 25 || infusing["F8C678FFFE104201"] != 45 || infusing["F8C678FFFE104202"] != 46 {
		t.Errorf("infusing %v", infusing)
	}
	p1, p3 := last["F8C678FFFE104201"], last[pump3]
	if p1.Subject.MAC.String() != "f8:c6:78:10:42:01" || !p3.Subject.MAC.IsZero() {
		t.Errorf("MACs %s and %s", p1.Subject.MAC, p3.Subject.MAC)
	}
	if p3.Subject.Gateway != dissect.Src || p3.SrcIP != pumpgw || p3.Subject.Side != dissect.Other {
		t.Errorf("gateway of pump3: %+v from %s", p3.Subject, p3.SrcIP)
	}
	for name, value := range map[string]string{
		"manufacturer": "BD (CareFusion)", "model": "8015 PCU", "serial": "13877029", "software_version": "9.19.1",
		"location": "W3^B03", "state": "standby", "mode": "continuous", "delivering": "false", "equipment_type": "MDC_DEV_PUMP_INFUS_LVP_MDS",
		"equipment_id": pump3, "equipment_namespace": "ALARIS-W3",
	} {
		if got := p3.Attributes.Get(name); got != value {
			t.Errorf("pump3 %s: %q, want %q", name, got, value)
		}
	}
	if got := p3.Attributes.List("modules"); !slices.Equal(got, []string{"8110 Syringe"}) {
		t.Errorf("modules %q", got)
	}
	senders := map[string]bool{}
	for _, f := range r.Of("hl7", "oru_r01") {
		senders[f.Attributes.Get("sending_application")] = true
		if f.Speaker() == pumpgw && (f.Attributes.Get("product") != "Alaris Systems Manager" || f.Attributes.Get("profile") != "IHE_PCD_001" || f.Attributes.Get("eui64") != "20677CFFFED04040") {
			t.Fatalf("gateway: %v", f.Attributes)
		}
	}
	if len(senders) != 2 || !senders["CIS-W3"] || !senders["PAT_DEVICE_ALARIS"] {
		t.Errorf("senders %v", senders)
	}
	for _, f := range r.Flows {
		if f.DstPort == 2575 && (f.Protocol != "hl7" || f.By != proto.ByContent) {
			t.Errorf("flow to 2575 is %s by %s", f.Protocol, f.By)
		}
		if pcd := slices.Contains(f.Inner, "pcd"); pcd != (f.DstPort == 2575 && f.SrcIP == pumpgw) {
			t.Errorf("flow of %s to %d rides %v", f.SrcIP, f.DstPort, f.Inner)
		}
	}
}

func wardImaging(t *testing.T, r *dissecttest.Result) {
	status := map[string]int{}
	created := map[string]bool{}
	for _, f := range r.Of("dicom", "n_create") {
		created[f.Attributes.Get("mpps")] = true
		if f.DstIP != integ || f.Attributes.Get("study") == "" || f.Attributes.Get("mpps_status") != "in_progress" {
			t.Errorf("n_create: %s %v", f.DstIP, f.Attributes)
		}
	}
	for _, f := range r.Of("dicom", "n_set") {
		status[f.Attributes.Get("mpps_status")]++
		if !created[f.Attributes.Get("mpps")] {
			t.Errorf("n_set of a step that nobody created: %v", f.Attributes)
		}
	}
	if len(created) != 14 || status["completed"] != 12 || status["discontinued"] != 2 {
		t.Errorf("%d steps, ended %v", len(created), status)
	}
	images, studies := map[string]int{}, map[string]map[string]bool{}
	var ct dissecttest.Fact
	for _, f := range r.Of("dicom", "c_store") {
		if f.DstIP != pacs01 {
			continue
		}
		ae := f.Attributes.Get("calling_ae")
		images[ae]++
		if studies[ae] == nil {
			studies[ae] = map[string]bool{}
		}
		studies[ae][f.Attributes.Get("study")] = true
		if f.Speaker() == ct1 {
			ct = f
		}
	}
	var total, exams []int
	for ae := range images {
		total, exams = append(total, images[ae]), append(exams, len(studies[ae]))
	}
	slices.Sort(total)
	slices.Sort(exams)
	if !slices.Equal(total, []int{40, 96, 135}) || !slices.Equal(exams, []int{5, 6, 8}) {
		t.Errorf("images %v, studies %v", images, exams)
	}
	for name, value := range map[string]string{
		"manufacturer": "SIEMENS", "institution": "St Alban Hospital", "department": "RADIOLOGY W3", "last_calibration": "20260904",
		"device_uid": "1.3.12.2.1107.5.1.7.104722.1", "modality": "CT",
	} {
		if got := ct.Attributes.Get(name); got != value {
			t.Errorf("ct1 %s: %q, want %q", name, got, value)
		}
	}
	versions := map[string]bool{}
	for _, kind := range []string{"associate_rq", "associate_ac"} {
		for _, f := range r.Of("dicom", kind) {
			versions[f.Attributes.Get("implementation_version")] = true
		}
	}
	if !versions["OFFIS_DCMTK_367"] || !versions["RISBROKER_42"] {
		t.Errorf("versions %v", versions)
	}
}

func wardAddresses(t *testing.T, r *dissecttest.Result) {
	var host dissecttest.Fact
	for _, f := range r.Of("dhcp", "ack") {
		if f.Subject.MAC.String() == "f8:c6:78:10:42:01" {
			host = f
		}
	}
	if host.Subject.IP.String() != "10.41.8.151" {
		t.Errorf("pump1's lease: %+v", host.Subject)
	}
	var request dissecttest.Fact
	for _, f := range r.Of("dhcp", "request") {
		if f.Subject.MAC == host.Subject.MAC {
			request = f
		}
	}
	if a := request.Attributes; a.Get("hostname") != "PCU-14092211" || a.Get("vendor_class") != "alaris-pcu" || a.Get("parameter_list") == "" {
		t.Errorf("pump1's request: %v", a)
	}
	names := map[string]string{}
	for _, f := range r.Of("dns", "name") {
		names[f.Subject.IP.String()] = f.Attributes.Get("hostname")
	}
	if !strings.HasPrefix(names[pacs01.String()], "pacs01") {
		t.Errorf("names %v", names)
	}
}

// wardCanaries are the planted strings of the ward's truth sheet.
func wardCanaries(t *testing.T) []string {
	b, err := os.ReadFile(repotest.Shared(t, "captures/ward-a/truth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, s, _ := strings.Cut(string(b), "\ncanaries:\n")
	s, _, _ = strings.Cut(s, "\nincidents:")
	s, _, _ = strings.Cut(s, "\n  staff_accounts:") // and credentials: words such as root stand for more than one thing
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^ +- (.*)$`).FindAllStringSubmatch(s, -1) {
		v := strings.Trim(m[1], "'")
		if _, err := strconv.Atoi(v); err != nil || len(v) > 8 { // birth dates are plain numbers
			list = append(list, v)
		}
	}
	if len(list) < 40 {
		t.Fatalf("only %d canaries read", len(list))
	}
	return list
}

// Whatever the ward's captures carry of people, nothing of it comes out, not even
// where a connection is joined in its middle or loses packets.
func TestWardCanaries(t *testing.T) {
	s := canary.New(wardCanaries(t))
	files, err := os.ReadDir(repotest.Shared(t, "captures/ward-a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(file.Name(), ".pcap") {
			continue
		}
		frames := dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/"+file.Name()))
		planted := 0
		for _, f := range frames {
			planted += len(s.Search(f.Data))
		}
		if planted == 0 {
			t.Errorf("%s: no canary in the capture: the test sees nothing", file.Name())
		}
		for lose := range 4 { // nothing, then every 7th, 8th, 9th frame
			var kept []dissecttest.Frame
			for i, f := range frames {
				if lose == 0 || i%(6+lose) != 0 {
					kept = append(kept, f)
				}
			}
			r := dissecttest.Run(dissect.Config{}, kept)
			if hits := s.Search(r.Everything()); len(hits) > 0 {
				t.Errorf("%s: %v", file.Name(), hits[:min(len(hits), 5)])
			}
			if len(r.Panics) > 0 {
				t.Errorf("%s: %v", file.Name(), r.Panics)
			}
		}
	}
}
