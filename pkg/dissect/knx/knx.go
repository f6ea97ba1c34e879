// Package knx dissects KNXnet/IP (ISO 22510, EN 13321-2), with which buildings'
// lights, blinds and heating are reached over UDP and TCP: which devices there
// are, and who connects to, configures and restarts them.
//
// Here live the header, the description of a device, and as much of the telegrams
// in a connection as is needed for restarts. Names that an installer typed, group
// addresses and values are not read. Of secure sessions nothing can be.
package knx

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is KNXnet/IP.
var Protocol = dissector.Protocol{
	Name: "knx", Ports: []uint16{3671},
	Datagram: datagram, Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// The header: its size 6, version 0x10, service (2), length of all (2).
const header = 6

// The services that are told of.
const (
	searchRequest         = 0x0201
	searchResponse        = 0x0202
	descriptionRequest    = 0x0203
	descriptionResponse   = 0x0204
	connectRequest        = 0x0205
	searchExtended        = 0x020b
	searchResponseMore    = 0x020c
	configurationRequest  = 0x0310
	tunnellingRequest     = 0x0420
	secureWrapper         = 0x0950
	secureSessionRequest  = 0x0951
	lastSecure            = 0x0955
	firstRouting          = 0x0530
	lastRouting           = 0x0533
	lastTunnelling        = 0x0425
	lastConfiguration     = 0x0311
	lastCore              = 0x020c
	remoteDiagnosis       = 0x0740
	lastRemote            = 0x0743
	descriptionDevice     = 0x01
	descriptionFamilies   = 0x02
	descriptionMaker      = 0xfe
	deviceInformationSize = 54
)

// isService reports whether a service is known.
func isService(n uint16) bool {
	for _, r := range [...][2]uint16{
		{searchRequest, lastCore},
		{configurationRequest, lastConfiguration},
		{tunnellingRequest, lastTunnelling},
		{firstRouting, lastRouting},
		{remoteDiagnosis, lastRemote},
		{secureWrapper, lastSecure},
	} {
		if n >= r[0] && n <= r[1] {
			return true
		}
	}
	return false
}

// size is the size of the message that b begins with, 0 and negative as in
// framing.Format.
func size(b []byte, _ bool) int {
	if b[0] != header || len(b) > 1 && b[1] != 0x10 {
		return -1
	}
	if len(b) < header {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < header || n > 1500 || !isService(binary.BigEndian.Uint16(b[2:])) {
		return -1
	}
	return n
}

var format = framing.Format{Keep: 1500, Length: size}

func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	if len(b) < header || size(b, false) != c.Headers.PayloadLen {
		return dissector.No
	}
	message(c, b)
	return dissector.Yes
}

func recognise(b []byte, _ bool) dissector.Verdict {
	_, v := framing.Judge(b, size)
	return v
}

// stream is one connection over TCP.
type stream struct{ framing.Both }

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		message(c, m)
		return false
	})
}

// message takes one message.
func message(c *dissector.Context, b []byte) {
	service, body := binary.BigEndian.Uint16(b[2:]), b[header:]
	var f dissector.Fact
	switch service {
	case searchRequest, searchExtended:
		f = c.Fact("search", "client")
	case descriptionRequest:
		f = c.Fact("description_request", "client")
	case searchResponse, searchResponseMore:
		if len(body) < 8 { // its control endpoint before the descriptions
			c.Count("knx_malformed")
			return
		}
		device(c, body[8:])
		return
	case descriptionResponse:
		device(c, body)
		return
	case connectRequest:
		f = c.Fact("connect", "client")
		if len(body) >= 18 {
			f.Attributes.Set("connection", connection(body[17]))
		}
	case configurationRequest, tunnellingRequest:
		telegram(c, service, body)
		return
	case secureSessionRequest:
		f = c.Fact("connect", "client")
		f.Attributes.Set("connection", "secure")
	default:
		return
	}
	c.Emit(&f)
}

func connection(n byte) string {
	switch n {
	case 3:
		return "device_management"
	case 4:
		return "tunnel"
	case 6:
		return "remote_logging"
	case 7:
		return "remote_configuration"
	case 8:
		return "object_server"
	}
	return strconv.Itoa(int(n))
}

// media are the transmission media of a device (7.5.4.2).
var media = map[byte]string{0x02: "tp1", 0x04: "pl110", 0x10: "rf", 0x20: "ip"}

// families are the service families of a device.
var families = map[byte]string{2: "core", 3: "device_management", 4: "tunnelling", 5: "routing", 6: "remote_logging", 7: "remote_configuration", 8: "object_server", 9: "security"}

// device reads descriptions: length, type, and of the device (7.5.4.2):
//
//	2 medium   3 status   4 address (2)   6 installation (2)   8 serial number (6)   14 multicast address (4)   18 MAC (6)   24 name (30)
func device(c *dissector.Context, b []byte) {
	f := c.Fact("device", "server")
	a := &f.Attributes
	found := false
	for len(b) >= 2 {
		n := int(b[0])
		if n < 2 || n > len(b) {
			c.Count("knx_malformed")
			break
		}
		d := b[:n]
		b = b[n:]
		switch d[1] {
		case descriptionDevice:
			if n < deviceInformationSize {
				continue
			}
			found = true
			a.Set("medium", media[d[2]])
			if d[3]&1 != 0 {
				a.Set("programming", "true")
			}
			a.Set("knx_address", fmt.Sprintf("%d.%d.%d", d[4]>>4, d[4]&15, d[5]))
			a.Set("serial", hex.EncodeToString(d[8:14]))
			if mac := proto.MAC(d[18:24]); !mac.IsZero() {
				a.Set("mac", mac.String())
			}
			setMaker(a, binary.BigEndian.Uint16(d[8:]))
		case descriptionFamilies:
			var list []string
			for i := 2; i+1 < n; i += 2 {
				if s := families[d[i]]; s != "" {
					list = append(list, s)
				}
			}
			a.SetList("services", list)
		case descriptionMaker:
			if n >= 4 {
				setMaker(a, binary.BigEndian.Uint16(d[2:]))
			}
		}
	}
	if found {
		c.Emit(&f)
	}
}

// makers are some of the manufacturer codes that the KNX Association has given;
// they are the beginning of a serial number, too.
var makers = map[uint16]string{
	1: "Siemens", 2: "ABB", 4: "Albrecht Jung", 5: "Bticino", 6: "Berker", 7: "Busch-Jaeger", 8: "GIRA", 9: "Hager", 11: "Insta", 12: "LEGRAND", 13: "Merten",
	57: "DEHN & SÖHNE", 72: "Theben", 76: "Wieland Electric", 83: "MDT technologies", 85: "Tapko", 97: "Schneider Electric", 102: "Griesser", 113: "Zennio",
	120: "Warema", 131: "Steinel", 135: "Viessmann", 144: "Arcus-EDS", 153: "Elsner Elektronik", 197: "Weinzierl", 233: "Ise",
}

func setMaker(a *proto.Attributes, n uint16) {
	if n == 0 {
		return
	}
	a.Set("vendor_id", strconv.Itoa(int(n)))
	a.Set("vendor", makers[n])
}

// telegram tells of what changes a device, in the common external message
// interface (cEMI) behind the connection's header of four bytes:
//
//	0 code   1 length of additional information, that, control (2), source (2), destination (2), length, application (2)
func telegram(c *dissector.Context, service uint16, b []byte) {
	if len(b) < 4 || b[0] < 4 || len(b) < int(b[0])+2 {
		c.Count("knx_malformed")
		return
	}
	b = b[b[0]:]
	operation := ""
	switch {
	case service == configurationRequest:
		switch b[0] {
		case 0xf6:
			operation = "property_write"
		case 0xf1:
			operation = "reset"
		}
	case b[0] == 0x11:
		i := 2 + int(b[1])
		if len(b) < i+9 {
			return
		}
		if b[i+1]&0x80 != 0 { // to a group: a light, a blind
			return
		}
		switch code := uint16(b[i+7]&3)<<8 | uint16(b[i+8]); {
		case code&0x3c0 == 0x380:
			operation = "restart"
		case code == 0x3d1:
			operation = "authorize"
		case code&0x3c0 == 0x0c0:
			operation = "address_write"
		case code&0x3f0 == 0x280:
			c.Count("knx_memory_write") // many of them are one download
		}
	}
	if operation == "" {
		return
	}
	f := c.Fact("control", "client")
	f.Attributes.Set("operation", operation)
	c.Emit(&f)
}
