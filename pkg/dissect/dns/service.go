package dns

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxServices  = 32 // services of one message that are told
	maxTypes     = 64 // types of services of one message that are told
	maxLabel     = 32 // bytes of a service's name; RFC 6335 allows 15, and makers more
	maxAddresses = 64 // addresses of one message that are remembered
)

// discovery is what one message says about services (RFC 6763).
type discovery struct {
	types     []string // asked for, or said to be there
	byes      []string // withdrawn
	services  []service
	addresses []hostAddress
	systems   []system
}

// service is one instance of a service: "instance._type._tcp.local".
type service struct {
	key    string // its whole name, which does not leave
	kind   string
	target string
	facts  proto.Attributes
}

type hostAddress struct {
	host string
	ip   netip.Addr
}

// system is a host information record (RFC 1035 3.3.2).
type system struct{ host, cpu, os string }

// discover reads the questions and records of a message. The answers in a query
// are what the sender knows of others (RFC 6762 7.1); its authorities are records
// that it is about to have (8.1).
func discover(c *dissector.Context, m *message, off int) *discovery {
	d := new(discovery)
	skip, records := 0, m.counts[1]+m.counts[2]+m.counts[3]
	if !m.response() {
		d.asked(c, m)
		skip, records = m.counts[1], m.counts[1]+m.counts[2]
	}
	var r record
	for i := range min(records, maxRecords) {
		var ok bool
		if off, ok = m.record(off, &r); !ok {
			c.Count("mdns_record_malformed")
			break
		}
		if i >= skip && r.class&0x7fff == 1 {
			d.record(c, m, &r)
		}
	}
	return d
}

// asked notes the types of services that the questions are about. An instance
// that is asked for is somebody else's: only its type counts. A probe asks for
// names that the sender wants for itself.
func (d *discovery) asked(c *dissector.Context, m *message) {
	var n name
	off := headerSize
	for range m.counts[0] {
		qtype, _, end, ok := m.question(off, &n)
		if !ok {
			return
		}
		if _, kind, ok := serviceName(&n); ok && (qtype != 255 || m.counts[2] == 0) {
			d.add(c, &d.types, kind)
		}
		off = end
	}
}

func (d *discovery) add(c *dissector.Context, list *[]string, kind string) {
	switch {
	case slices.Contains(*list, kind):
	case len(*list) == maxTypes:
		c.Count("mdns_types_skipped")
	default:
		*list = append(*list, kind)
	}
}

// record notes what one record of a response says.
func (d *discovery) record(c *dissector.Context, m *message, r *record) {
	data := m.b[r.data : r.data+r.size]
	switch r.kind {
	case 1, 28:
		if ip, host := r.host(m); ip.IsValid() && len(d.addresses) < maxAddresses && r.ttl > 0 {
			d.addresses = append(d.addresses, hostAddress{string(host), ip})
		}
	case 13:
		d.system(r, data)
	case 12:
		if m.response() {
			d.pointer(c, m, r)
		}
	case 33, 16:
		instance, kind, ok := serviceName(&r.owner)
		switch {
		case !ok:
		case r.ttl == 0:
			d.add(c, &d.byes, kind)
		default:
			s := d.service(c, instance, kind, string(r.owner.bytes()))
			if s == nil {
				return
			}
			if r.kind == 16 {
				s.text(c, data)
			} else {
				s.place(c, m, r)
			}
		}
	}
}

// pointer notes what a PTR record says that there is: of the enumeration a type
// (RFC 6763 9), of a type an instance.
func (d *discovery) pointer(c *dissector.Context, m *message, r *record) {
	_, kind, ok := serviceName(&r.owner)
	if !ok {
		return
	}
	var n name
	if kind == "_services._dns-sd._udp" {
		if _, ok = m.name(r.data, &n); !ok {
			return
		}
		if _, kind, ok = serviceName(&n); !ok {
			return
		}
	}
	if r.ttl == 0 {
		d.add(c, &d.byes, kind)
		return
	}
	d.add(c, &d.types, kind)
}

// service gives the instance of that name; nil when there are too many.
func (d *discovery) service(c *dissector.Context, instance []byte, kind, key string) *service {
	for i := range d.services {
		if d.services[i].key == key {
			return &d.services[i]
		}
	}
	if len(d.services) == maxServices {
		c.Count("mdns_services_skipped")
		return nil
	}
	s := service{key: key, kind: kind}
	s.facts.Set("service_type", kind)
	s.facts.Set("mac", instanceMAC(instance))
	d.services = append(d.services, s)
	return &d.services[len(d.services)-1]
}

// place reads an SRV record (RFC 2782): priority, weight, port, target.
func (s *service) place(c *dissector.Context, m *message, r *record) {
	var n name
	if r.size < 7 {
		c.Count("mdns_record_malformed")
		return
	}
	if _, ok := m.name(r.data+6, &n); !ok {
		c.Count("mdns_record_malformed")
		return
	}
	s.facts.Set("port", strconv.Itoa(int(binary.BigEndian.Uint16(m.b[r.data+4:]))))
	if n.n > 0 {
		s.target = string(n.bytes())
		s.facts.Set("hostname", dissector.Text(n.bytes(), maxName))
	}
}

// system reads the processor and operating system that a host says it has.
func (d *discovery) system(r *record, data []byte) {
	var said [2]string
	for i := range said {
		if len(data) == 0 || len(data) < 1+int(data[0]) {
			return
		}
		said[i] = model(data[1 : 1+int(data[0])])
		data = data[1+int(data[0]):]
	}
	if len(d.systems) < maxServices && r.ttl > 0 {
		d.systems = append(d.systems, system{string(r.owner.bytes()), said[0], said[1]})
	}
}

// serviceName takes the name of a service or of an instance apart: the last
// "_type._tcp" or "_type._udp" in it, and the label before that, unless that is
// the mark of a subtype.
func serviceName(n *name) (instance []byte, kind string, ok bool) {
	for i := n.labels - 2; i >= 0; i-- {
		proto := n.label(i + 1)
		if string(proto) != "_tcp" && string(proto) != "_udp" {
			continue
		}
		l := n.label(i)
		if len(l) < 2 || len(l) > 1+maxLabel || l[0] != '_' || !hostname(l) {
			return nil, "", false
		}
		kind = string(l) + "." + string(proto)
		if i > 0 && string(n.label(i-1)) == "_dns-sd" {
			return nil, "", false // browsing domains, RFC 6763 11
		}
		if string(l) == "_dns-sd" {
			if i == 0 || string(n.label(i-1)) != "_services" {
				return nil, "", false
			}
			return nil, "_services." + kind, true
		}
		if i > 0 && string(n.label(i-1)) != "_sub" {
			instance = n.label(i - 1)
		}
		return instance, kind, true
	}
	return nil, "", false
}

// instanceMAC finds the MAC that some services put before or after the name of
// their instance: "a1b2c3d4e5f6@...", "a1:b2:...@fe80...", "... [a1:b2:c3:d4:e5:f6]".
func instanceMAC(b []byte) string {
	if i := bytes.IndexByte(b, '@'); i > 0 {
		return macText(string(b[:i]))
	}
	if i := bytes.LastIndexByte(b, '['); i >= 0 && bytes.HasSuffix(b, []byte("]")) {
		return macText(string(b[i+1 : len(b)-1]))
	}
	return ""
}

// macText is a MAC in our form, "" for what is none.
func macText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ':' || r == '-' {
			return -1
		}
		return r
	}, s)
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 12 || v == 0 {
		return ""
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	m := proto.MAC(b[2:])
	if m.IsGroup() {
		return ""
	}
	return m.String()
}

// owner is who a host name of the message is: the sender, unless the message
// gives the name to other addresses of the sender's family. Then the sender
// speaks for another (a sleep proxy, a relay between networks).
func (d *discovery) owner(c *dissector.Context, host string) dissector.Subject {
	sender := c.Headers.SrcIP
	own := dissector.Subject{Side: c.Side}
	other := own
	for _, a := range d.addresses {
		switch {
		case a.host != host && host != "" || a.ip.Is4() != sender.Is4():
		case a.ip == sender:
			return own
		case c.Inside(a.ip) && other == own:
			other = dissector.Subject{Side: dissector.Other, IP: a.ip}
		}
	}
	return other
}

// typesOf are the types of services that the sender asks for, or has: none where
// it speaks for another.
func (d *discovery) typesOf(c *dissector.Context) []string {
	if d == nil || d.owner(c, "") != (dissector.Subject{Side: c.Side}) {
		return nil
	}
	return d.types
}

// emit says what services there are, and what hosts say of themselves.
func (d *discovery) emit(c *dissector.Context) {
	if d == nil {
		return
	}
	for i := range d.services {
		s := &d.services[i]
		c.Emit(&dissector.Fact{Kind: "service", Subject: d.owner(c, s.target), Attributes: s.facts})
	}
	for _, s := range d.systems {
		f := dissector.Fact{Kind: "host", Subject: d.owner(c, s.host)}
		f.Attributes.Set("hostname", dissector.Text([]byte(s.host), maxName))
		f.Attributes.Set("cpu", s.cpu)
		f.Attributes.Set("os", s.os)
		c.Emit(&f)
	}
	if len(d.byes) > 0 {
		f := dissector.Fact{Kind: "goodbye", Subject: d.owner(c, "")}
		f.Attributes.SetList("service_types", d.byes)
		c.Emit(&f)
	}
}
