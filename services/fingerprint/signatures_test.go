package fingerprint

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

// vocabulary is the list of types of the design, by category.
var vocabulary = map[string]string{
	"medical": `infusion_pump pump_gateway patient_monitor central_station telemetry ventilator anesthesia_machine defibrillator ecg
		fetal_monitor dialysis incubator ct mri xray mammography angiography nuclear_medicine ultrasound endoscopy linac pacs ris
		imaging_workstation integration_engine lab_analyzer poc_analyzer lab_information_system medication_cabinet
		clinical_information_system nurse_call medical_gateway`,
	"ot":      "building_controller building_server medical_gas_alarm plc hmi ups pneumatic_tube access_control fire_panel elevator",
	"iot":     "printer ip_camera voip_phone badge_reader smart_plug lighting sensor smart_hub scale appliance media_player",
	"it":      "workstation laptop server mobile storage virtual_machine",
	"network": "switch router firewall access_point wlan_controller",
}

func TestSignatures(t *testing.T) {
	s, err := loadSignatures()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for category, types := range vocabulary {
		for _, name := range fields(types) {
			n++
			if s.category[name] != category {
				t.Errorf("type %s is in category %q, want %q", name, s.category[name], category)
			}
			if !slices.Contains([]string{"low", "medium", "high", "life_sustaining"}, s.criticality[name]) {
				t.Errorf("type %s has criticality %q", name, s.criticality[name])
			}
		}
	}
	if n != len(s.category) {
		t.Errorf("%d types, the vocabulary has %d", len(s.category), n)
	}
	for evidence, says := range map[[2]string][2]string{
		{"dhcp_vendor_class", "MSFT 5.0"}:                                  {"os", "Windows"},
		{"dhcp_vendor_class", "android-dhcp-14"}:                           {"os_version", "14"},
		{"dhcp_parameter_list", "1,3,6,15,31,33,43,44,46,47,121,249,252"}:  {"os", "Windows"},
		{"dicom_modality", "MR"}:                                           {"type", "mri"},
		{"equipment_type", "69985^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC"}:         {"type", "infusion_pump"},
		{"equipment_type", "69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC"}: {"type", "patient_monitor"},
		{"software_product", "Alaris Systems Manager"}:                     {"type", "pump_gateway"},
		{"model", "8015 PCU"}:                                              {"type", "infusion_pump"},
		{"model", "Infinity M540"}:                                         {"type", "patient_monitor"},
		{"dicom_implementation_uid", "1.3.46.670589.1"}:                    {"manufacturer", "Philips"},
		{"hostname", "LT-VISIT-22"}:                                        {"type", "laptop"},
	} {
		v := proto.Evidence{Attribute: evidence[0], Value: evidence[1], Protocol: "x", Weight: 0.9}
		got := s.facts([]proto.Evidence{v})[says[0]]
		if got == nil || got.Value != says[1] {
			t.Errorf("%v says %+v, want %v", evidence, got, says)
		}
	}
	for _, name := range []string{"SIEMENS", "Siemens AG", "Siemens Healthcare Diagnostics"} {
		if s.makerKey(name) != "siemens healthineers" {
			t.Errorf("%s is %s", name, s.makerKey(name))
		}
	}
}

func fields(s string) []string { return strings.Fields(s) }
