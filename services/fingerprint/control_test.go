package fingerprint

import (
	"testing"

	"github.com/wardflow/wardflow/proto"
)

// controlExamples has one of each rule of control.yaml at least.
var controlExamples = []struct{ evidence, value, fact, want string }{
	{"bacnet_role", "router", "category", "ot"},
	{"profinet_role", "io_controller", "type", "plc"},
	{"profinet_role", "io_device", "category", "ot"},
	{"profinet_role", "io_supervisor", "type", "workstation"},
	{"cip_device_type", "plc", "type", "plc"},
	{"cip_device_type", "hmi", "type", "hmi"},
	{"cip_device_type", "managed_switch", "type", "switch"},
	{"cip_device_type", "communications_adapter", "category", "ot"},
	{"cip_device_type", "ac_drive", "category", "ot"},
	{"fox_application", "Station", "type", "building_controller"},
	{"fox_application", "Workbench", "type", "workstation"},
	{"knx_medium", "tp1", "type", "building_controller"},
	{"model", "6ES7 315-2EH14-0AB0", "type", "plc"},
	{"product_name", "CPU 315-2 PN/DP", "type", "plc"},
	{"model", "6AV2124-0GC01-0AX0", "type", "hmi"},
	{"model", "TotalAlert Infinity", "type", "medical_gas_alarm"},
	{"model", "1756-ENBT/A", "type", "plc"},
	{"model", "17-inch display", "type", ""},
}

func TestControlSignatures(t *testing.T) {
	s := embedded()
	used := map[*rule]bool{}
	for _, x := range controlExamples {
		got := ""
		if f := s.facts([]proto.Evidence{{Attribute: x.evidence, Value: x.value, Protocol: "x", Weight: 0.9}})[x.fact]; f != nil {
			got = f.Value
		}
		if got != x.want {
			t.Errorf("%s %q says %s %q, want %q", x.evidence, x.value, x.fact, got, x.want)
		}
		for i := range s.rules[x.evidence] {
			if r := &s.rules[x.evidence][i]; r.is.MatchString(x.value) {
				used[r] = true
			}
		}
	}
	for _, evidence := range []string{"bacnet_role", "profinet_role", "cip_device_type", "fox_application", "knx_medium", "product_name"} {
		for i := range s.rules[evidence] {
			if r := &s.rules[evidence][i]; !used[r] && evidence != "product_name" {
				t.Errorf("no example of %s", r.is)
			}
		}
	}
}

// TestControlReadings: what the protocols tell becomes the facts of the device that
// they are about.
func TestControlReadings(t *testing.T) {
	w := newWard(t)
	at := noon
	own := func(who byte) proto.MAC { return proto.MAC{2, 0, 0, 0, 0, who} } // no maker's
	say := func(who byte, protocol, kind string, attributes ...string) *proto.Observation {
		at = at.Add(1e9)
		o := seen(protocol, kind, who, at, attributes...)
		o.MAC, o.Endpoint = own(who), proto.MACEndpoint("st-alban", own(who))
		return o
	}
	tell := func(o *proto.Observation) { w.item(proto.Item{Observation: o}) }
	tell(say(1, "bacnet", "i_am", "role", "server", "device_instance", "41001", "vendor", "Delta Controls", "vendor_id", "8"))
	tell(say(1, "bacnet", "identity", "role", "server", "manufacturer", "Delta Controls", "model", "eBCON-OR2", "firmware_version", "3.40.582841", "software_version", "4.12.0.8", "object_name", "AHU-OR-2", "location", "Plant room 4"))
	tell(say(2, "modbus", "identification", "role", "server", "manufacturer", "BeaconMedaes", "product_code", "TotalAlert Infinity", "model_name", "TAI-8", "software_version", "4107 600 010.23"))
	tell(say(3, "s7comm", "identity", "role", "server", "manufacturer", "Siemens", "model", "6ES7 315-2EH14-0AB0", "firmware_version", "3.2.6", "hardware_version", "4"))
	tell(say(3, "s7comm", "identity", "role", "server", "product", "CPU 315-2 PN/DP", "serial", "S C-1234"))
	tell(say(4, "enip", "identity", "role", "server", "vendor", "Rockwell Automation", "device_type", "plc", "product", "1756-L61", "firmware_version", "20.11", "serial", "00524d8e"))
	tell(say(5, "knx", "device", "role", "server", "vendor", "Weinzierl", "medium", "tp1", "serial", "00c501020304"))
	tell(say(6, "fox", "hello", "role", "server", "application", "Station", "software_version", "3.8.38", "os", "QNX", "os_version", "6.4.1", "hostname", "jace-2"))
	o := say(7, "profinet", "device", "role", "server", "vendor", "Siemens", "model", "S7-1200")
	o.Attributes.SetList("roles", []string{"io_controller"})
	tell(o)
	tell(say(8, "bacnet", "write_property", "role", "client", "object_type", "analog_value")) // whoever that is
	nested := say(9, "bacnet", "i_am", "role", "server", "vendor", "The Watt Stopper, Inc.", "network", "5", "address", "2a")
	nested.MAC, nested.Endpoint, nested.Gateway = proto.MAC{}, proto.EquipmentEndpoint("st-alban", "bacnet:5:2a"), proto.MACEndpoint("st-alban", own(1))
	tell(nested)
	w.beat(at.Add(1e9), true)
	for who, want := range map[byte]map[string]string{
		1: {"manufacturer": "Delta Controls", "model": "eBCON-OR2", "software_version": "3.40.582841", "location": "Plant room 4"},
		2: {"type": "medical_gas_alarm", "category": "ot", "manufacturer": "BeaconMedaes", "model": "TotalAlert Infinity", "software_version": "4107 600 010.23"},
		3: {"type": "plc", "category": "ot", "manufacturer": "Siemens", "model": "6ES7 315-2EH14-0AB0", "software_version": "3.2.6", "hardware_version": "4", "serial": "S C-1234"},
		4: {"type": "plc", "manufacturer": "Rockwell Automation", "model": "1756-L61", "software_version": "20.11", "serial": "00524d8e"},
		5: {"type": "building_controller", "manufacturer": "Weinzierl", "serial": "00c501020304"},
		6: {"type": "building_controller", "software_version": "3.8.38", "os": "QNX"},
		7: {"type": "plc", "manufacturer": "Siemens", "model": "S7-1200"},
		8: {"type": "", "category": ""},
	} {
		d := w.devices[proto.MACEndpoint("st-alban", own(who))]
		if d == nil {
			t.Fatalf("no device %d", who)
		}
		for name, value := range want {
			f := map[string]*proto.Fact{
				"type": d.Type, "category": d.Category, "manufacturer": d.Manufacturer, "model": d.Model, "serial": d.Serial, "hardware_version": d.HardwareVersion,
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
	d := w.devices[proto.EquipmentEndpoint("st-alban", "bacnet:5:2a")]
	if d == nil || d.Gateway.IsZero() || d.Manufacturer == nil || d.Manufacturer.Value != "The Watt Stopper, Inc." {
		t.Errorf("the device behind the router: %+v", d)
	}
}
