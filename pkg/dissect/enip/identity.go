package enip

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

//go:embed vendors.txt
var vendorsText string

// vendors are the organisations of vendor ids; read when the first is asked for.
var vendors = sync.OnceValue(func() map[uint16]string {
	m := map[uint16]string{}
	for line := range strings.Lines(vendorsText) {
		number, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(number, 10, 16); ok && err == nil {
			m[uint16(n)] = name
		}
	}
	return m
})

// deviceTypes are the names of device profiles (volume 1, chapter 6).
var deviceTypes = map[uint16]string{
	0x02: "ac_drive",
	0x03: "motor_overload",
	0x04: "limit_switch",
	0x05: "inductive_proximity_switch",
	0x06: "photoelectric_sensor",
	0x07: "discrete_io",
	0x09: "resolver",
	0x0c: "communications_adapter",
	0x0e: "plc",
	0x10: "position_controller",
	0x13: "dc_drive",
	0x15: "contactor",
	0x16: "motor_starter",
	0x17: "soft_start",
	0x18: "hmi",
	0x1a: "mass_flow_controller",
	0x1b: "pneumatic_valve",
	0x1c: "vacuum_pressure_gauge",
	0x22: "encoder",
	0x23: "safety_discrete_io",
	0x24: "fluid_flow_controller",
	0x25: "motion_drive",
	0x28: "modbus_device",
	0x29: "modbus_translator",
	0x2a: "safety_analog_io",
	0x2b: "generic",
	0x2c: "managed_switch",
	0x2e: "safety_drive",
	0x33: "circuit_breaker",
	0x34: "hart_device",
	0x35: "hart_translator",
	0xc8: "embedded_component",
}

// list takes a list of identities, or the question for one, and tells what was not
// told before.
func list(c *dissector.Context, b []byte, first func(string) bool) {
	if b[0] != listIdentity {
		return
	}
	body := b[header:]
	if len(body) < 2 {
		f := dissector.Fact{Kind: "list_identity", Subject: dissector.Subject{Side: c.Side}}
		f.Attributes.Set("role", "client")
		if first("list_identity") {
			c.Emit(&f)
		}
		return
	}
	n := int(binary.LittleEndian.Uint16(body))
	body = body[2:]
	for range min(n, 4) {
		if len(body) < 4 {
			return
		}
		kind, size := binary.LittleEndian.Uint16(body), int(binary.LittleEndian.Uint16(body[2:]))
		body = body[4:]
		if size > len(body) {
			c.Count("enip_malformed")
			return
		}
		if kind == 0x0c && size > identityAt {
			f := dissector.Fact{Kind: "identity", Subject: dissector.Subject{Side: c.Side}}
			switch {
			case !readIdentity(&f, body[identityAt:size]):
				c.Count("enip_malformed")
			case first("listed " + f.Attributes.Get("serial") + f.Attributes.Get("product") + f.Attributes.Get("firmware_version")):
				c.Emit(&f)
			}
		}
		body = body[size:]
	}
}

// identityAt is where the identity object's attributes begin in an item: behind
// the version (2) and an address (16).
const identityAt = 18

const maxText = 64

// readIdentity reads the attributes of the identity object (volume 1, 5-2):
//
//	0 vendor (2)   2 device type (2)   4 product code (2)   6 revision (2)   8 status (2)   10 serial number (4)   14 length of name, name
func readIdentity(f *dissector.Fact, b []byte) bool {
	if len(b) < 15 || len(b) < 15+int(b[14]) {
		return false
	}
	a := &f.Attributes
	maker, kind := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
	a.Set("role", "server")
	a.Set("vendor_id", strconv.Itoa(int(maker)))
	a.Set("vendor", vendors()[maker])
	name := deviceTypes[kind]
	if name == "" {
		name = strconv.Itoa(int(kind))
	}
	a.Set("device_type", name)
	a.Set("product_code", strconv.Itoa(int(binary.LittleEndian.Uint16(b[4:]))))
	a.Set("firmware_version", fmt.Sprintf("%d.%d", b[6], b[7]))
	if serial := binary.LittleEndian.Uint32(b[10:]); serial != 0 {
		a.Set("serial", fmt.Sprintf("%08x", serial))
	}
	a.Set("product", dissector.Text(b[15:15+int(b[14])], maxText))
	return true
}

// told reads an identity that was asked for by a CIP request: of the device
// itself, or, where the request had a route, of another one behind it.
func (s *stream) told(c *dissector.Context, b []byte) {
	f := dissector.Fact{Kind: "identity", Subject: dissector.Subject{Side: c.Side}}
	if !readIdentity(&f, b) {
		return
	}
	a := f.Attributes
	serial := a.Get("serial")
	if s.asked.routed && serial != "" {
		f.Subject = dissector.Subject{Side: dissector.Other, Equipment: "cip:" + a.Get("vendor_id") + ":" + serial, Gateway: c.Side}
	}
	key := "identity " + serial + a.Get("product")
	if s.once.First(key) {
		c.Emit(&f)
	}
}
