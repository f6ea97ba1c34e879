package fingerprint

import (
	"github.com/wardflow/wardflow/proto"
)

// What the protocols of buildings and of industrial control tell of a device.

// controlReadings are by protocol. What a device answers about itself is close to
// certain; the maker that a list has for its vendor id is, where it says none itself.
var controlReadings = map[string][]reading{
	"bacnet": { // ASHRAE 135: the device object, and I-Am
		{"manufacturer", "manufacturer", 0.95},
		{"vendor", "manufacturer", 0.85},
		{"model", "model", 0.95},
		{"firmware_version", "software_version", 0.95},
		{"software_version", "application_version", 0.8}, // of what was programmed into it
		{"serial", "serial", 0.95},
		{"location", "location", 0.7},
		{"object_name", "object_name", 0.8},
		{"description", "description", 0.5},
		{"device_instance", "bacnet_device", 0.9},
		{"device_uid", "device_uid", 0.9},
	},
	"modbus": { // Modbus V1.1b3 6.21: the code of a product is what tells models apart
		{"manufacturer", "manufacturer", 0.95},
		{"product_code", "model", 0.9},
		{"model_name", "model_name", 0.8},
		{"product", "product_name", 0.7},
		{"software_version", "software_version", 0.95},
		{"application", "application", 0.5},
	},
	"s7comm": { // the lists of a controller's system state
		{"manufacturer", "manufacturer", 0.95},
		{"model", "model", 0.95},
		{"product", "product_name", 0.9},
		{"firmware_version", "software_version", 0.95},
		{"hardware_version", "hardware_version", 0.95},
		{"serial", "serial", 0.95},
		{"system_name", "object_name", 0.6},
		{"location", "location", 0.6},
	},
	"mms": { // ISO 9506: Identify
		{"manufacturer", "manufacturer", 0.9},
		{"model", "model", 0.9},
		{"software_version", "software_version", 0.9},
	},
	"enip": { // CIP: the identity object
		{"vendor", "manufacturer", 0.9},
		{"product", "model", 0.95},
		{"firmware_version", "software_version", 0.95},
		{"serial", "serial", 0.95},
		{"device_type", "cip_device_type", 0.9},
	},
	"dnp3": { // IEEE 1815: device attributes
		{"manufacturer", "manufacturer", 0.9},
		{"product", "model", 0.9},
		{"serial", "serial", 0.9},
		{"software_version", "software_version", 0.9},
		{"hardware_version", "hardware_version", 0.9},
		{"location", "location", 0.6},
	},
	"opcua": { // IEC 62541-5: the build information is a program's, which may run anywhere
		{"manufacturer", "software_vendor", 0.8},
		{"product", "software_product", 0.8},
		{"application_name", "software_product", 0.6},
		{"software_version", "software_version", 0.7},
	},
	"knx": { // ISO 22510: the description of a device
		{"vendor", "manufacturer", 0.9},
		{"serial", "serial", 0.95},
		{"medium", "knx_medium", 0.9},
	},
	"hart_ip": { // command 0
		{"serial", "serial", 0.9},
		{"software_version", "software_version", 0.9},
		{"hardware_version", "hardware_version", 0.9},
	},
	"fox": { // Niagara's first message
		{"hostname", "hostname", 0.8},
		{"os", "os", 0.85},
		{"os_version", "os_version", 0.85},
		{"software_version", "software_version", 0.9},
		{"application", "fox_application", 0.9},
		{"station_name", "object_name", 0.7},
		{"host_id", "device_uid", 0.9},
	},
	"profinet": { // IEC 61158: DCP
		{"model", "model", 0.9},
		{"vendor", "manufacturer", 0.9},
		{"station_name", "object_name", 0.7},
	},
}

// noteControl reads the parts that a device plays.
func noteControl(o *proto.Observation, put func(string, string, float64)) {
	switch o.Protocol {
	case "bacnet":
		if o.Kind == "router" || o.Kind == "routing_table" {
			put("bacnet_role", "router", 0.9)
		}
		if o.Kind == "bbmd" {
			put("bacnet_role", "bbmd", 0.9)
		}
	case "profinet":
		for _, role := range o.Attributes.List("roles") {
			put("profinet_role", role, 0.9)
		}
	}
}
