// Package profinet dissects the Discovery and basic Configuration Protocol of
// PROFINET (IEC 61158-6-10, DCP), in frames without IP: which devices there are,
// and who gives them names and addresses, or resets them. Cyclic data and alarms
// are not read.
package profinet

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is PROFINET's DCP.
var Protocol = dissector.Protocol{Name: "profinet", EtherType: 0x8892, Frame: frame}

// The ids of DCP's frames (4.2): hello, get and set, identify, and its answer.
const (
	frameHello    = 0xfefc
	frameGetSet   = 0xfefd
	frameIdentify = 0xfefe
	frameAnswer   = 0xfeff

	serviceSet      = 4
	serviceIdentify = 5
	serviceHello    = 6

	typeRequest = 0
	typeSuccess = 1
)

// A frame:
//
//	0 id (2)   2 service   3 type   4 number (4)   8 delay (2)   10 length of blocks (2)
//
// and a block: option, suboption, length (2), in answers information (2), value,
// filled up to an even length.
const (
	header  = 12
	maxText = 240
)

func frame(c *dissector.Context, b []byte) {
	if len(b) < header {
		return
	}
	id := binary.BigEndian.Uint16(b)
	if id < frameHello {
		return // data and alarms, many of them
	}
	service, kind := b[2], b[3]
	blocks := b[header:]
	if n := int(binary.BigEndian.Uint16(b[10:])); n < len(blocks) {
		blocks = blocks[:n]
	}
	switch {
	case id == frameAnswer && service == serviceIdentify && kind == typeSuccess, id == frameHello && service == serviceHello && kind == typeRequest:
		device(c, blocks)
	case id == frameIdentify && service == serviceIdentify && kind == typeRequest:
		f := c.Fact("identify", "client")
		c.Emit(&f)
	case id == frameGetSet && service == serviceSet && kind == typeRequest:
		set(c, blocks)
	}
}

// each takes blocks apart; more bytes are their information or qualifier.
func each(c *dissector.Context, b []byte, yield func(option uint16, value []byte)) {
	for len(b) >= 4 {
		n := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			c.Count("profinet_malformed")
			return
		}
		if n >= 2 {
			yield(binary.BigEndian.Uint16(b), b[6:4+n])
		}
		b = b[min(len(b), 4+n+n%2):]
	}
}

// The options and suboptions (4.3.1.4.1).
const (
	optionIP      = 0x0102
	optionVendor  = 0x0201
	optionName    = 0x0202
	optionDevice  = 0x0203
	optionRole    = 0x0204
	controlSignal = 0x0503
	controlReset  = 0x0505
	controlToFact = 0x0506
)

// device reads an answer to Identify, or a Hello.
func device(c *dissector.Context, b []byte) {
	f := c.Fact("device", "server")
	a := &f.Attributes
	each(c, b, func(option uint16, v []byte) {
		switch option {
		case optionIP:
			if len(v) >= 12 {
				if ip := netip.AddrFrom4([4]byte(v)); !ip.IsUnspecified() {
					a.Set("ip", ip.String())
					f.Subject.IP = ip
				}
			}
		case optionVendor:
			a.Set("model", dissector.Text(v, maxText))
		case optionName:
			a.Set("station_name", dissector.Text(v, maxText))
		case optionDevice:
			if len(v) >= 4 {
				a.Set("vendor_id", "0x"+hex.EncodeToString(v[:2]))
				a.Set("vendor", vendors[binary.BigEndian.Uint16(v)])
				a.Set("device_id", "0x"+hex.EncodeToString(v[2:4]))
			}
		case optionRole:
			if len(v) >= 1 {
				a.SetList("roles", roles(v[0]))
			}
		}
	})
	if f.Subject.IP.IsValid() {
		f.Subject.MAC = c.Headers.SrcMAC
	}
	c.Emit(&f)
}

func roles(b byte) (list []string) {
	for i, s := range [...]string{"io_device", "io_controller", "io_multidevice", "io_supervisor"} {
		if b&(1<<i) != 0 {
			list = append(list, s)
		}
	}
	return list
}

// vendors are some of the vendor ids of PROFIBUS and PROFINET International.
var vendors = map[uint16]string{
	0x002a: "Siemens", 0x00b0: "Phoenix Contact", 0x0119: "Hilscher", 0x011d: "WAGO", 0x0120: "Beckhoff", 0x0134: "Pepperl+Fuchs", 0x0135: "Turck",
	0x0174: "Murrelektronik", 0x016f: "SEW-EURODRIVE", 0x014d: "Festo", 0x01a4: "Balluff", 0x0101: "SICK",
}

// set tells who gives a device a name or an address, or resets it.
func set(c *dissector.Context, b []byte) {
	f := c.Fact("set", "client")
	var list []string
	each(c, b, func(option uint16, v []byte) {
		what := ""
		switch option {
		case optionIP:
			what = "ip"
		case optionName:
			what = "station_name"
		case controlSignal:
			what = "signal"
		case controlReset, controlToFact:
			what = "reset"
		}
		if what != "" && len(list) < 8 {
			list = append(list, what)
		}
	})
	if len(list) == 0 {
		return
	}
	f.Attributes.SetList("operations", list)
	f.Attributes.Set("target_mac", c.Headers.DstMAC.String())
	c.Emit(&f)
}
