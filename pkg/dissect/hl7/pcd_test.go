package hl7_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// head is a header segment of a message type and a profile.
func head(kind, profile string) string {
	return `MSH|^~\&|PAT_DEVICE_ACME^0012211839000001^EUI-64|ACME|QMED|HOSP|20260101101500+0000||` + kind + `|77|P|2.6|||AL|NE||ASCII|||` + profile + "\r" +
		"PID|||MRN4711^^^IHE^PI||NOBODY^SOME\rPV1||I|ICU^3^1\rOBR|1|0|0|1^X\r"
}

const (
	lvp = "OBX|1||70049^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC|1.0.0.0|||||||X|||||||I51559^^0012210000000000^EUI-64\r" +
		"OBX|2||70050^MDC_DEV_PUMP_INFUS_LVP_VMD^MDC|1.1.0.0|||||||X\r"
	// delivery is what IHE's infusion pump model calls the delivery info and a source.
	delivery = "OBX|3|CWE|184519^MDC_PUMP_INFUSING_STATUS^MDC|1.1.1.1|^pump-status-infusing\r" +
		"OBX|4|NM|158014^MDC_FLOW_FLUID_PUMP_CURRENT^MDC|1.1.1.2|15.4|x\r" +
		"OBX|5|CWE|158005^MDC_DEV_PUMP_CURRENT_DELIVERY_STATUS^MDC|1.1.2.1|^pump-delivery-status-delivering\r" +
		"OBX|6|CWE|158008^MDC_DEV_PUMP_PROGRAM_DELIVERY_MODE^MDC|1.1.2.2|^pump-program-delivery-mode-continuous\r" +
		"OBX|7|NM|157784^MDC_FLOW_FLUID_PUMP^MDC|1.1.2.4|0\r" +
		"OBX|8|NM|157884^MDC_VOL_FLUID_TBI^MDC|1.1.2.6|250.0\r" +
		"OBX|9|NM|157993^MDC_VOL_FLUID_DELIV_TOTAL^MDC|1.1.2.7|33.5\r" +
		"OBX|10|ST|184514^MDC_DRUG_NAME_LABEL^MDC|1.1.2.10|Dopamine\r"
	alarm = "OBX|3|CWE|196616^MDC_EVT_ALARM^MDC|1.1.0.0.1|197218^MDC_EVT_SYRINGE_BARREL_CAPTURE_FAULT^MDC^x^^Syringe of SOME NOBODY|||A~PH~ST|||F\r" +
		"OBX|4|CWE|68480^MDC_ATTR_ALERT_SOURCE^MDC|1.1.0.0.2|70049^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC||||||F|||||||I51559^^0012210000000000^EUI-64\r" +
		"OBX|5|ST|68481^MDC_ATTR_EVENT_PHASE^MDC|1.1.0.0.3|start\r" +
		"OBX|6|ST|68482^MDC_ATTR_ALARM_STATE^MDC|1.1.0.0.4|active\r" +
		"OBX|7|ST|68483^MDC_ATTR_ALARM_INACTIVATION_STATE^MDC|1.1.0.0.5|audio-paused\r" +
		"OBX|8|ST|68546^MDC_ATTR_ALERT_TEXT^MDC|1.1.0.0.8|NOBODY needs a syringe\r"
)

// of is the line of an equipment's fact: its identity, then what is said of it.
func of(kind, id, gateway, attributes string) string {
	return `hl7 ` + kind + ` side=2 mac= ip=invalid IP equipment="` + id + `" gateway=` + gateway + ` {` + attributes + `}`
}

func TestPatientCareDevices(t *testing.T) {
	const rack = "I51559^^0012210000000000^EUI-64"
	id := `"equipment_id":"` + rack + `",`
	whole := `"equipment_name":"I51559","equipment_type":"MDC_DEV_PUMP_INFUS_LVP_MDS","eui64":"0012210000000000",`
	for _, tc := range []struct {
		name, text string
		want       []string // of the facts after the message's own
	}{
		{
			"PCD-01 of an EUI-64 that is a vendor's only", head("ORU^R01^ORU_R01", "IHE_PCD_001") + lvp +
				"OBX|3|ST|67880^MDC_ATTR_ID_MODEL^MDC|1.1.0.8|Infusomat\rOBX|3|ST|67972^MDC_ATTR_SYS_ID^MDC|1.1.0.9|c0ffee01-77\r" +
				"OBX|3|ST|184520^MDC_PUMP_DRUG_LIBRARY_NAME^MDC|1.1.0.1|ICU adults\rOBX|3|ST|184517^MDC_PUMP_DRUG_LIBRARY_VERSION^MDC|1.0.0.1|DL1\r" + delivery,
			[]string{of("equipment", rack, "0", `"channels":"2","delivering":"true","delivery_status":"delivering","device_uid":"c0ffee01-77","drug_library":"ICU adults","drug_library_version":"DL1",`+
				id+whole+`"location":"ICU^3^1","mode":"continuous","model":"Infusomat","settings":["MDC_FLOW_FLUID_PUMP","MDC_VOL_FLUID_TBI"],"state":"infusing"`)},
		},
		{
			"PCD-10", head("ORU^R42^ORU_R01", "IHE_PCD_010") + lvp + "OBX|3|CWE|68487^MDC_ATTR_EVT_COND^MDC|1.0.0.2|197288^MDC_EVT_PUMP_DELIV_STOP^MDC\r" +
				"OBX|4|CWE|158005^MDC_PUMP_CURRENT_DELIVERY_STATUS^MDC|1.1.2.22|^pump-delivery-status-not-delivering\r" +
				"OBX|5|CWE|158006^MDC_PUMP_NOT_DELIVERING_REASON^MDC|1.1.2.23|^pump-stopped-by-clinician\r",
			[]string{of("equipment", rack, "0", `"delivering":"false","delivery_status":"not-delivering",`+id+whole+`"event":"MDC_EVT_PUMP_DELIV_STOP","location":"ICU^3^1","stop_reason":"by-clinician"`)},
		},
		{
			"PCD-04", head("ORU^R40^ORU_R40", "IHE_PCD_ACM_001") + lvp + alarm,
			[]string{
				of("equipment", rack, "0", id+whole+`"location":"ICU^3^1"`),
				of("alarm", rack, "0", `"alarm":"MDC_EVT_SYRINGE_BARREL_CAPTURE_FAULT","alarm_inactivation":"audio_paused","alarm_phase":"start","alarm_priority":"high","alarm_state":"active","alarm_type":"technical",`+
					id+`"equipment_type":"MDC_DEV_PUMP_INFUS_LVP_MDS"`),
			},
		},
		{
			"PCD-04 of a patient", head("ORU^R40^ORU_R40", "IHE_PCD_ACM_001") + lvp +
				"OBX|3|CWE|196616^MDC_EVT_ALARM^MDC|1.7.0.1.1|3072^MDC_EVT_ECG_V_TACHY^MDC|||A~PH~SP|||R\rOBX|4|ST|68165^MDC_ATTR_EVENT_PHASE^MDC|1.7.0.1.3|update\r" +
				"OBR|2|0|0|1\rOBX|3|ST|0^MDCX_EVT_ALERT_ADVISORY^MDC|1.0.0.0.1|Recheck NOBODY|||A~PM~SA|||R\rOBX|4|ST|68484^MDC_ATTR_ALARM_PRIORITY^MDC|1.1.0.0.6|PL\r",
			[]string{
				of("equipment", rack, "0", id+whole+`"location":"ICU^3^1"`),
				of("alarm", rack, "0", `"alarm_phase":"update","alarm_priority":"high","alarm_type":"physiological",`+id+`"equipment_type":"MDC_DEV_PUMP_INFUS_LVP_MDS"`),
				of("alarm", rack, "0", `"alarm_priority":"low","alarm_type":"advisory",`+id+`"equipment_type":"MDC_DEV_PUMP_INFUS_LVP_MDS"`),
			},
		},
		{
			"PCD-03", head("RGV^O15^RGV_O15", "IHE_PCD_003") + "ORC|RE|1\rRXG|1|||^heparin|100||263762||||||||10|265266|5\rOBX|1||69986^MDC_DEV_PUMP_INFUS_VMD^MDC|1.1.0.0|||||||F|||||||SIM-1-A^^0003B1FFFE000001^EUI-64\r" +
				"OBX|2|NM|157784^MDC_FLOW_FLUID_PUMP^MDC|1.1.1.1|12.5\rOBX|2|NM|68063^MDC_ATTR_PT_WEIGHT^MDC|1.1.1.2|70\r",
			[]string{`hl7 program side=2 mac=00:03:b1:00:00:01 ip=invalid IP equipment="0003B1FFFE000001" gateway=1 {"equipment_id":"0003B1FFFE000001","equipment_name":"SIM-1-A","order_control":"RE",` +
				`"programmer":"PAT_DEVICE_ACME","settings":["amount","rate","strength","MDC_FLOW_FLUID_PUMP"]}`},
		},
		{"a nurse's order", head("RGV^O15^RGV_O15", "") + "ORC|RE|1\rRXG|1|||^heparin|100\r", nil},
		{
			"an order without a pump", head("RGV^O15^RGV_O15", "IHE_PCD_003") + "ORC|XO|1\rRXG|1|||^heparin|100\r",
			[]string{`hl7 program side=1 mac= ip=invalid IP equipment="" gateway=0 {"order_control":"XO","programmer":"PAT_DEVICE_ACME","settings":["amount"]}`},
		},
		{
			"PCD-15", head("ORU^R01^ORU_R01", "IHE_PCD_015^^1.3.6.1.4.1.19376.1.6.4.15^ISO") + lvp + "OBX|3|ST|67925^MDC_ATTR_POWER_STAT^MDC|1.1.0.11|onBattery(1)\r" +
				"OBX|4|ST|531976^MDC_ID_PROD_SPEC_FW^MDC|1.1.0.16|1.1.13\rOBX|5|ST|69416^MDC_NCC_WIRELESS_MAC^MDC|1.1.1.3|c0:EE:40:0d:16:8f\r" +
				"OBX|5|ST|69410^MDC_NCC_WIRELESS_DEVICE_IPV4_ADDR^MDC|1.1.1.2|10.0.0.13\rOBX|6|ST|69417^MDC_NCC_WIRELESS_SSID^MDC|1.1.1.4|Pumps\rOBX|7|NM|67996^MDC_ATTR_VAL_BATT_CHARGE^MDC|1.2.0.3|87.6|x\r",
			[]string{`hl7 equipment side=2 mac=c0:ee:40:0d:16:8f ip=invalid IP equipment="` + rack + `" gateway=0 {"battery_percent":"88",` + id + whole +
				`"firmware_version":"1.1.13","ip":"10.0.0.13","location":"ICU^3^1","mac":"c0:ee:40:0d:16:8f","power":"battery"}`},
		},
		{
			"two pumps, one with modules", head("ORU^R01^ORU_R01", "IHE_PCD_001") +
				"OBX|1||69985^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC|1.0.0.0|||||||X|||||||A1\rOBX|2||69986^MDC_DEV_PUMP_INFUS_LVP_VMD^MDC|1.1.0.0|||||||X|||||||8100 LVP^A1-1\r" +
				"OBX|3|ST|531972^MDC_ID_PROD_SPEC_SERIAL^MDC|1.1.0.1|of the module\rOBX|3|ST|531972^MDC_ID_PROD_SPEC_SERIAL^MDC|1.0.0.1|of the pump\r" +
				"OBX|1||69985^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC|2.0.0.0|||||||X|||||||A2\rOBX|3|ST|531972^MDC_ID_PROD_SPEC_SERIAL^MDC|2.1.0.1|of its only part\r",
			[]string{
				of("equipment", "A1", "0", `"equipment_id":"A1","equipment_name":"A1","equipment_type":"MDC_DEV_PUMP_INFUS_LVP_MDS","location":"ICU^3^1","modules":["8100 LVP"],"serial":"of the pump"`),
				of("equipment", "A2", "0", `"equipment_id":"A2","equipment_name":"A2","equipment_type":"MDC_DEV_PUMP_INFUS_LVP_MDS","location":"ICU^3^1","serial":"of its only part"`),
			},
		},
		{
			"settings of a ventilator", head("ORU^R01^ORU_R01", "IHE_PCD_001") + "OBX|1||1^MDC_DEV_VENT_MDS^MDC|1.0.0.0|||||||X|||||||V1\r" +
				"OBX|2|NM|1^MDC_VENT_PRESS_PEEP^MDC|1.1.1.1|5||||||||||||MSET^manual-setting^MDC\rOBX|2|NM|1^MDC_VENT_VOL_TIDAL_SETTING^MDC|1.1.1.2|450\rOBX|2|NM|1^MDC_VENT_RESP_RATE^MDC|1.1.1.3|12||||||||||||AMEAS\r",
			[]string{of("equipment", "V1", "0", `"equipment_id":"V1","equipment_name":"V1","equipment_type":"MDC_DEV_VENT_MDS","location":"ICU^3^1","settings":["MDC_VENT_PRESS_PEEP","MDC_VENT_VOL_TIDAL_SETTING"]`)},
		},
		{
			"a participation with a UDI", head("ORU^R01", "") + "PRT|1|UC||EQUIP||||||(01)09504000059118(21)S-77^U||||||09504000059118|20240131||LOT77|S-77||70049^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC\r",
			[]string{of("equipment", "(01)09504000059118(21)S-77^U", "0", `"equipment_id":"(01)09504000059118(21)S-77^U","equipment_name":"(01)09504000059118(21)S-77","equipment_namespace":"U","equipment_type":"MDC_DEV_PUMP_INFUS_LVP_MDS",`+
				`"location":"ICU^3^1","lot":"LOT77","manufactured":"2024-01-31","serial":"S-77","udi":"(01)09504000059118(21)S-77"`)},
		},
		{
			"a device of 2.9", head("ORU^R01", "") + "DEV|A|D1^NS|468063009^Pump|Active|ACME^D|Pumpo|P-1|CAT9|09504000059118||S1|20240131||||4.2\r",
			[]string{of("equipment", "D1^NS", "0", `"equipment_id":"D1^NS","equipment_name":"D1","equipment_namespace":"NS","equipment_status":"active","equipment_type":"468063009","location":"ICU^3^1",`+
				`"manufactured":"2024-01-31","manufacturer":"ACME","model":"P-1","part_number":"CAT9","product":"Pumpo","serial":"S1","software_version":"4.2","udi":"09504000059118"`)},
		},
		{"an implant", head("ORU^R01", "") + "DEV|A|D1^NS|468063009^Pump||||||09504000059118||S1||||||I\r", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Play(dissect.Config{}, say(block(tc.text)).Segments(true))
			got := lines(r)
			if len(got) != len(tc.want)+1 || !strings.Contains(got[0], `"charset":"ascii"`) {
				t.Fatalf("%d facts, want %d:\n%s", len(got), len(tc.want)+1, r.Text())
			}
			for i, w := range tc.want {
				if got[i+1] != w {
					t.Errorf("got  %s\nwant %s", got[i+1], w)
				}
			}
			if pcd := strings.Contains(tc.text, "IHE_PCD"); pcd != (len(r.Flows[0].Inner) > 0) {
				t.Errorf("rides %v", r.Flows[0].Inner)
			}
			for _, no := range []string{"15.4", "250.0", "33.5", "12.5", "Dopamine", "heparin", "TACHY", "Pumps"} {
				if strings.Contains(r.Text(), no) {
					t.Errorf("%q leaves the parser", no)
				}
			}
		})
	}
}

// The ways in which OBX-18 and MSH-3 name a device.
func TestIdentifiers(t *testing.T) {
	for _, tc := range []struct{ field, id, eui, mac string }{
		{"SN1^^0011223344556677^EUI-64", "0011223344556677", "0011223344556677", ""},
		{"SN1^^00-11-22-ff-fe-55-66-77^EUI64", "001122FFFE556677", "001122FFFE556677", "00:11:22:55:66:77"},
		{"SN1^NS^00:11:22:ff:fe:55:66:77", "001122FFFE556677", "001122FFFE556677", "00:11:22:55:66:77"},
		{"001122FFFE556677^B40_GE", "001122FFFE556677", "001122FFFE556677", "00:11:22:55:66:77"},
		{"001122FFFE556677", "001122FFFE556677", "001122FFFE556677", "00:11:22:55:66:77"},
		{"001122FFFE556677^EUI-64", "001122FFFE556677", "001122FFFE556677", "00:11:22:55:66:77"},
		{"NAME^001122FFFE556677^EUI-64", "001122FFFE556677", "001122FFFE556677", "00:11:22:55:66:77"},
		{"SN1&NS&001122FFFE556677&EUI-64", "001122FFFE556677", "001122FFFE556677", "00:11:22:55:66:77"},
		{"SN1^^0011220000000000^EUI-64", "SN1^^0011220000000000^EUI-64", "0011220000000000", ""},
		{"0011223344556677", "0011223344556677", "", ""},
		{"SN1^NS^1.2.3.4^ISO", "SN1^NS^1.2.3.4^ISO", "", ""},
		{"urn:uuid:1-2^^urn:uuid:1-2^URN", "urn:uuid:1-2", "", ""},
		{"SN1^^not an EUI^EUI-64", "SN1^^not an EUI^EUI-64", "", ""},
		{"~~^^^~SN3", "SN3", "", ""},
		{"B&W 1", "B&W 1", "", ""},
	} {
		r := dissecttest.Play(dissect.Config{}, say(block(msh+"OBX|1||1^MDC_DEV_X_MDS^MDC|1.0.0.0|||||||X|||||||"+tc.field+"\r")).Segments(true))
		f := r.Of("hl7", "equipment")
		if len(f) != 1 || f[0].Subject.Equipment != tc.id || f[0].Attributes.Get("eui64") != tc.eui || (!f[0].Subject.MAC.IsZero() || tc.mac != "") && f[0].Subject.MAC.String() != tc.mac {
			t.Errorf("%s:\n%s", tc.field, r.Text())
		}
	}
}
