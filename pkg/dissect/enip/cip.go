package enip

import (
	"encoding/binary"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// The bounds of one connection.
const (
	maxControls = 64
	maxDepth    = 3
)

// stream is one connection.
type stream struct {
	framing.Both
	once     dissector.Once
	controls int
	asked    identityRequest
	client   dissector.Side
	services dissector.Tally
}

// identityRequest says that all of the identity object was asked for.
type identityRequest struct{ pending, routed bool }

// Size is the bytes that are kept.
func (s *stream) Size() int {
	return 256 + s.Both.Size() + s.once.Size() + s.services.Size()
}

// The services (volume 1, appendix A; of objects from 0x4b on), and classes of
// objects that matter.
const (
	getAll            = 0x01
	multiple          = 0x0a
	unconnectedSend   = 0x52
	isReply           = 0x80
	classIdentity     = 0x01
	classRouter       = 0x02
	classConnections  = 0x06
	classFile         = 0x37
	classPCCC         = 0x67
	executePCCC       = 0x4b
	readModifyOrClose = 0x4e
)

var services = map[byte]string{
	getAll: "get_attributes_all", 0x02: "set_attributes_all", 0x03: "get_attribute_list", 0x04: "set_attribute_list", 0x05: "reset", 0x06: "start",
	0x07: "stop", 0x08: "create", 0x09: "delete", multiple: "multiple_service_packet", 0x0d: "apply_attributes", 0x0e: "get_attribute_single",
	0x10: "set_attribute_single", 0x11: "find_next", 0x15: "restore", 0x16: "save", 0x17: "no_operation", 0x18: "get_member", 0x19: "set_member",
	0x1a: "insert_member", 0x1b: "remove_member", 0x4c: "read_tag", 0x4d: "write_tag", 0x52: "read_tag_fragmented", 0x53: "write_tag_fragmented",
	readModifyOrClose: "read_modify_write_tag", 0x55: "get_instance_attribute_list",
}

// connectionServices are those of the connection manager, which has its own.
var connectionServices = map[byte]string{
	0x4e: "forward_close", unconnectedSend: "unconnected_send", 0x54: "forward_open", 0x56: "get_connection_data", 0x5a: "get_connection_owner", 0x5b: "large_forward_open",
}

var classes = map[uint16]string{
	classIdentity: "identity", classRouter: "message_router", 0x04: "assembly", classConnections: "connection_manager", 0x0f: "parameter",
	classFile: "file", 0x43: "time_sync", classPCCC: "pccc", 0x68: "program", 0x6b: "symbol", 0x6c: "template", 0x70: "task", 0x8b: "clock",
	0x8e: "controller", 0xf4: "port", 0xf5: "tcp_ip", 0xf6: "ethernet_link",
}

func className(class uint16) string {
	if s := classes[class]; s != "" {
		return s
	}
	return strconv.Itoa(int(class))
}

// path is what a request's path says (volume 1, appendix C): the class, and
// whether the object is meant by a name.
type path struct {
	class    uint16
	hasClass bool
	symbol   bool
}

func readPath(b []byte) (p path) {
	for len(b) >= 2 {
		n := 0
		switch b[0] {
		case 0x20:
			p.class, p.hasClass, n = uint16(b[1]), true, 2
		case 0x21:
			if len(b) < 4 {
				return p
			}
			p.class, p.hasClass, n = binary.LittleEndian.Uint16(b[2:]), true, 4
		case 0x24, 0x28, 0x2c, 0x30:
			n = 2
		case 0x25, 0x29, 0x2d, 0x31:
			n = 4
		case 0x26, 0x2a:
			n = 6
		case 0x91:
			p.symbol, n = true, 2+int(b[1])+int(b[1])%2
		default:
			return p
		}
		if n > len(b) {
			return p
		}
		b = b[n:]
	}
	return p
}

// message takes one CIP message: a request, or a reply.
//
//	request: 0 service   1 length of path in words   2 path   ... data
//	reply: 0 service with its first bit   1 0   2 status   3 length of extended status in words   ... data
func (s *stream) message(c *dissector.Context, b, route []byte, depth int) {
	if len(b) < 2 || depth > maxDepth {
		return
	}
	if b[0]&isReply != 0 {
		s.reply(c, b)
		return
	}
	n := 2 + 2*int(b[1])
	if len(b) < n {
		c.Count("enip_cip_malformed")
		return
	}
	p, data := readPath(b[2:n]), b[n:]
	s.count(c, b[0], p)
	switch {
	case p.class == classConnections && b[0] == unconnectedSend:
		s.embedded(c, data, depth)
	case p.class == classRouter && b[0] == multiple:
		s.several(c, data, route, depth)
	case p.hasClass && p.class == classIdentity && b[0] == getAll:
		s.asked = identityRequest{pending: true, routed: len(route) > 0}
	default:
		s.act(c, b[0], p, data)
	}
}

// embedded takes the message of an unconnected send (volume 1, 3-5.5.4): time-out
// (2), size (2), message, padding, length of route in words, 0, route.
func (s *stream) embedded(c *dissector.Context, b []byte, depth int) {
	if len(b) < 4 {
		return
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	b = b[4:]
	if n > len(b) {
		return
	}
	route := b[n:]
	if n%2 == 1 && len(route) > 0 {
		route = route[1:]
	}
	if len(route) < 3 {
		route = nil
	}
	s.message(c, b[:n], route, depth+1)
}

// several takes the messages of a multiple service packet: their number (2), where
// each begins (2), messages.
func (s *stream) several(c *dissector.Context, b, route []byte, depth int) {
	if len(b) < 2 {
		return
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n > 256 || len(b) < 2+2*n {
		c.Count("enip_cip_malformed")
		return
	}
	for i := range n {
		from, to := int(binary.LittleEndian.Uint16(b[2+2*i:])), len(b)
		if i+1 < n {
			to = min(to, int(binary.LittleEndian.Uint16(b[4+2*i:])))
		}
		if from < 2+2*n || from >= to {
			c.Count("enip_cip_malformed")
			return
		}
		s.message(c, b[from:to], route, depth+1)
	}
}

// reply takes an answer: an identity that was asked for, and refusals.
func (s *stream) reply(c *dissector.Context, b []byte) {
	if len(b) < 4 {
		c.Count("enip_cip_malformed")
		return
	}
	n := 4 + 2*int(b[3])
	if b[2] == 0 && b[0] == getAll|isReply && s.asked.pending && len(b) > n {
		s.told(c, b[n:])
		s.asked = identityRequest{}
	}
	if b[2] != 0 && b[2] != 6 { // 6: there is more
		key := "error " + strconv.Itoa(int(b[0])) + " " + strconv.Itoa(int(b[2]))
		if s.once.First(key) {
			f := dissector.Fact{Kind: "error", Subject: dissector.Subject{Side: c.Side}}
			f.Attributes.Set("role", "server")
			f.Attributes.Set("service", serviceName(b[0]&^isReply, path{}))
			f.Attributes.Set("status", "0x"+strconv.FormatUint(uint64(b[2]), 16))
			c.Emit(&f)
		}
	}
}

func serviceName(service byte, p path) string {
	name := services[service]
	switch {
	case p.hasClass && p.class == classConnections && connectionServices[service] != "":
		name = connectionServices[service]
	case p.hasClass && p.class == classPCCC && service == executePCCC:
		name = "execute_pccc"
	}
	if name == "" {
		name = "0x" + strconv.FormatUint(uint64(service), 16)
	}
	return name
}

// act tells of what changes something: of writes each service and class once, of
// starting, stopping and resetting each time.
func (s *stream) act(c *dissector.Context, service byte, p path, data []byte) {
	name := serviceName(service, p)
	kind := ""
	switch name {
	case "reset", "start", "stop", "restore", "delete":
		kind = "control"
	case "set_attributes_all", "set_attribute_list", "set_attribute_single", "set_member", "insert_member", "remove_member", "write_tag",
		"write_tag_fragmented", "read_modify_write_tag", "create", "apply_attributes", "save":
		kind = "write"
	case "execute_pccc":
		kind, name = pccc(data)
	}
	if kind == "" || kind == "write" && !s.once.First(name+" "+className(p.class)) {
		return
	}
	if s.controls++; s.controls > maxControls {
		c.Count("enip_control_skipped")
		return
	}
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("service", name)
	if p.hasClass {
		f.Attributes.Set("class", className(p.class))
	}
	c.Emit(&f)
}

// pccc reads which command of older controllers is meant: length of who asks,
// that, command, status, number (2), function (DF1 Protocol and Command Set
// reference manual, 1770-6.5.16, chapter 7).
func pccc(b []byte) (kind, name string) {
	if len(b) < 1 || len(b) < int(b[0])+5 {
		return "", ""
	}
	b = b[b[0]:]
	switch b[0] {
	case 0x00, 0x08:
		return "write", "pccc_unprotected_write"
	case 0x0f:
	default:
		return "", ""
	}
	switch b[4] {
	case 0x3a, 0x80:
		return "control", "pccc_change_mode"
	case 0x26, 0x50, 0x53, 0x57, 0x67, 0xa9, 0xaa, 0xab, 0xaf:
		return "write", "pccc_write"
	}
	return "", ""
}

// count counts a service that is asked for; each hour they are told.
func (s *stream) count(c *dissector.Context, service byte, p path) {
	if s.services.Due(c) {
		s.summary(c)
	}
	s.services.Count(serviceName(service, p))
	s.client = c.Side
}

func (s *stream) summary(c *dissector.Context) { s.services.Transactions(c, s.client, "services") }
