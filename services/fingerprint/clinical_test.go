package fingerprint

import (
	"testing"

	"github.com/wardflow/wardflow/proto"
)

// clinicalExamples has one of each rule of clinical.yaml at least.
var clinicalExamples = []struct{ evidence, value, fact, want string }{
	{"clinical_role", "poct1a_device", "type", "poc_analyzer"},
	{"clinical_role", "poct1a_data_manager", "category", "medical"},
	{"clinical_role", "astm_instrument", "type", "lab_analyzer"},
	{"clinical_role", "astm_host", "type", "lab_information_system"},
	{"clinical_role", "sdc_provider", "category", "medical"},
	{"clinical_role", "sdc_consumer", "type", "central_station"},
	{"clinical_role", "intellivue_monitor", "type", "patient_monitor"},
	{"clinical_role", "intellivue_monitor", "manufacturer", "Philips"},
	{"clinical_role", "intellivue_client", "type", "central_station"},
	{"clinical_role", "carescape_node", "manufacturer", "GE Healthcare"},
	{"clinical_role", "carescape_master", "type", "central_station"},
	{"clinical_role", "medibus_device", "type", "ventilator"},
	{"wsd_type", "mdpws:MedicalDevice", "category", "medical"},
	{"wsd_type", "pub:Computer", "os", "Windows"},
	{"wsd_type", "wprt:PrintDeviceType", "type", "printer"},
	{"wsd_type", "wscn:ScanDeviceType", "type", "printer"},
	{"wsd_type", "dn:NetworkVideoTransmitter", "type", "ip_camera"},
	{"wsd_type", "dn:NetworkVideoStorage", "type", "storage"},
	{"wsd_type", "tds:Device", "type", "ip_camera"},
	{"wsd_type", "other", "type", ""},
	{"model", "DCA Vantage", "type", "poc_analyzer"},
	{"model", "cobas c311", "type", "lab_analyzer"},
	{"equipment_type", "MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS", "type", "patient_monitor"},
	{"equipment_type", "MDC_DEV_SYS_PT_VENT_MDS", "type", "ventilator"},
	{"equipment_type", "MDC_DEV_PUMP_INFUS_MDS", "type", "infusion_pump"},
}

func TestClinicalSignatures(t *testing.T) {
	s := embedded()
	for _, x := range clinicalExamples {
		got := ""
		if f := s.facts([]proto.Evidence{{Attribute: x.evidence, Value: x.value, Protocol: "x", Weight: 0.9}})[x.fact]; f != nil {
			got = f.Value
		}
		if got != x.want {
			t.Errorf("%s %q says %s %q, want %q", x.evidence, x.value, x.fact, got, x.want)
		}
	}
	for _, evidence := range []string{"clinical_role", "wsd_type"} {
		for i := range s.rules[evidence] {
			r, used := &s.rules[evidence][i], false
			for _, x := range clinicalExamples {
				used = used || x.evidence == evidence && r.is.MatchString(x.value)
			}
			if !used {
				t.Errorf("no example of %s", r.is)
			}
		}
	}
}

// TestClinicalReadings: what the protocols tell becomes the facts of the device that
// they are about.
func TestClinicalReadings(t *testing.T) {
	w := newWard(t)
	at := noon
	own := func(who byte) proto.MAC { return proto.MAC{2, 0, 0, 0, 0, who} } // no maker's
	list := func(who byte, protocol, kind, name string, values []string, attributes ...string) {
		at = at.Add(1e9)
		o := seen(protocol, kind, who, at, attributes...)
		o.MAC, o.Endpoint = own(who), proto.MACEndpoint("st-alban", own(who))
		o.Attributes.SetList(name, values)
		w.item(proto.Item{Observation: o})
	}
	say := func(who byte, protocol, kind string, attributes ...string) {
		list(who, protocol, kind, "", nil, attributes...)
	}
	say(1, "poct1a", "hel_r01", "role", "device", "manufacturer", "Siemens Healthcare Diagnostics", "model", "DCA Vantage", "serial", "S051177", "software_version", "4.5.0.0", "device_name", "DCA")
	say(2, "poct1a", "dtv_r01", "role", "data_manager", "command", "LOCK") // whoever that is
	say(3, "astm", "results", "role", "instrument", "manufacturer", "Roche", "model", "cobas c311", "serial", "311-24071", "software_version", "01-08")
	say(4, "sdc", "announcement", "role", "provider", "location", "W3^B07", "equipment_type", "MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS")
	say(4, "sdc", "metadata", "role", "provider", "manufacturer", "Draeger", "model", "Infinity M540", "firmware_version", "VG6.1.2", "serial", "ASHK-0217")
	say(5, "intellivue", "mds_create", "role", "monitor", "manufacturer", "Philips", "model", "MX800", "location", "W3-B08", "software_version", "M.00.08", "hardware_version", "A.01.00", "serial", "DE61700482")
	say(5, "hl7", "equipment", "location", "W3^B08")
	say(6, "intellivue", "abort", "role", "client")
	list(7, "ws_discovery", "hello", "types", []string{"dn:NetworkVideoTransmitter"}, "role", "server", "manufacturer", "HIKVISION", "model", "DS-2CD2042WD-I")
	list(8, "ws_discovery", "probe", "types", []string{"dn:NetworkVideoTransmitter"}, "role", "client")
	list(9, "ws_discovery", "metadata", "types", []string{"dpws:Device", "pub:Computer"}, "role", "server", "computer_name", "PC-7", "os", "Windows")
	say(10, "carescape", "heartbeat", "role", "node", "location", "ICU^BED7")
	say(11, "medibus", "device_id", "role", "device", "model", "Evita XL", "software_version", "07.02")
	w.beat(at.Add(1e9), true)
	for who, want := range map[byte]map[string]string{
		1:  {"type": "poc_analyzer", "manufacturer": "Siemens Healthcare Diagnostics", "model": "DCA Vantage", "serial": "S051177", "software_version": "4.5.0.0"},
		2:  {"type": "", "category": ""},
		3:  {"type": "lab_analyzer", "manufacturer": "Roche", "model": "cobas c311", "serial": "311-24071", "software_version": "01-08"},
		4:  {"type": "patient_monitor", "manufacturer": "Draeger", "model": "Infinity M540", "serial": "ASHK-0217", "software_version": "VG6.1.2", "location": "W3^B07"},
		5:  {"type": "patient_monitor", "manufacturer": "Philips", "model": "MX800", "serial": "DE61700482", "software_version": "M.00.08"},
		6:  {"type": "", "category": ""},
		7:  {"type": "ip_camera", "manufacturer": "HIKVISION", "model": "DS-2CD2042WD-I"},
		8:  {"type": "", "category": ""},
		9:  {"os": "Windows"},
		10: {"category": "medical", "manufacturer": "GE Healthcare", "location": "ICU^BED7"},
		11: {"type": "ventilator", "manufacturer": "Draeger", "model": "Evita XL", "software_version": "07.02"},
	} {
		d := w.devices[proto.MACEndpoint("st-alban", own(who))]
		for name, value := range want {
			f := map[string]*proto.Fact{
				"type": d.Type, "category": d.Category, "manufacturer": d.Manufacturer, "model": d.Model, "serial": d.Serial,
				"software_version": d.SoftwareVersion, "location": d.Location, "os": d.OS,
			}[name]
			got := ""
			if f != nil {
				got = f.Value
			}
			if got != value {
				t.Errorf("device %d: %s %q, want %q", who, name, got, value)
			}
		}
	}
	if l := w.devices[proto.MACEndpoint("st-alban", own(5))].Location; l == nil || len(l.Sources) != 2 {
		t.Errorf("two spellings of a bed are not one: %+v", l)
	}
	if h := w.devices[proto.MACEndpoint("st-alban", own(9))].Hostnames; len(h) != 1 || h[0] != "PC-7" {
		t.Errorf("the host is called %v", h)
	}
}
