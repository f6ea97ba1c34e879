package modbus

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const maxText = 128 // bytes of a text that is told

// The identification objects (V1.1b3, 6.21), and their attributes. The code of the
// product is what tells models apart; its names are the maker's and the user's words.
const objects = 7

var objectNames = [objects]string{"manufacturer", "product_code", "software_version", "", "product", "model_name", "application"}

// identity is what a unit has said of itself.
type identity struct {
	unit  uint8
	texts [objects]string
	told  [objects]string
}

// identification reads a response of function 43, type 14:
//
//	0 43   1 14   2 code   3 conformity   4 more   5 next object   6 number   7 id, length, text ...
func (s *stream) identification(c *dissector.Context, unit uint8, p []byte) {
	id := s.identity(unit)
	if id == nil {
		c.Count("modbus_identities_skipped")
		return
	}
	number, more := int(p[6]), p[4] == 0xff
	b := p[7:]
	for range number {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			c.Count("modbus_identification_malformed")
			break
		}
		n := int(b[1])
		if o := b[0]; o < objects && objectNames[o] != "" {
			id.texts[o] = dissector.Text(b[2:2+n], maxText)
		}
		b = b[2+n:]
	}
	if more || id.texts == id.told {
		return
	}
	id.told = id.texts
	f := s.fact(c, "identification", "server")
	f.Attributes.Set("unit", strconv.Itoa(int(unit)))
	for i, name := range objectNames {
		if name != "" {
			f.Attributes.Set(name, id.texts[i])
		}
	}
	s.behind(c, &f, unit, strings.Join(id.texts[:3], "\x00"))
	c.Emit(&f)
}

func (s *stream) identity(unit uint8) *identity {
	for i := range s.identities {
		if s.identities[i].unit == unit {
			return &s.identities[i]
		}
	}
	if len(s.identities) == maxIdentities {
		return nil
	}
	s.identities = append(s.identities, identity{unit: unit})
	return &s.identities[len(s.identities)-1]
}

// behind makes the fact one of a device behind a gateway, where its unit says
// that it is another device than the connection's first.
func (s *stream) behind(c *dissector.Context, f *dissector.Fact, unit uint8, device string) {
	if s.first == "" {
		s.first, s.firstUnit = device, unit
	}
	if unit == s.firstUnit || device == s.first {
		return
	}
	f.Subject = dissector.Subject{Side: dissector.Other, Equipment: "modbus:" + server(c).String() + ":" + strconv.Itoa(int(unit)), Gateway: c.Side}
}

// server is the server's address; the packet in hand may be either side's.
func server(c *dissector.Context) netip.Addr {
	if c.Headers.DstPort == port {
		return c.Headers.DstIP
	}
	return c.Headers.SrcIP
}

// serverID is what was told of one unit.
type serverID struct {
	unit uint8
	text string
}

// serverID reads a response of function 17 (6.13): the device's own words, the
// last byte of which often says whether it runs. Only words leave as they are.
func (s *stream) serverID(c *dissector.Context, unit uint8, b []byte) {
	id, status := b, byte(0)
	if n := len(b); b[n-1] == 0xff || b[n-1] == 0 {
		id, status = b[:n-1], b[n-1]
	} else if n > 2 && (b[1] == 0xff || b[1] == 0) { // id of one byte, status, what else there is
		id, status = b[2:], b[1]
	}
	words := dissector.Text(id, maxText)
	if strings.ContainsRune(words, '?') || len(words) < 3 {
		words = ""
		if len(id) <= 8 {
			words = hex.EncodeToString(id)
		}
	}
	for _, x := range s.servers {
		if x.unit == unit && x.text == words {
			return
		}
	}
	if words == "" || len(s.servers) == maxIdentities {
		return
	}
	s.servers = append(s.servers, serverID{unit, words})
	f := s.fact(c, "server_id", "server")
	f.Attributes.Set("unit", strconv.Itoa(int(unit)))
	f.Attributes.Set("server_id", words)
	if status == 0xff {
		f.Attributes.Set("running", "true")
	}
	c.Emit(&f)
}

// summary tells what came of the connection since the last one.
func (s *stream) summary(c *dissector.Context) {
	a := &s.account
	if a.asked+a.answered == 0 {
		return
	}
	f := dissector.Fact{Kind: "transactions", Subject: dissector.Subject{Side: dissector.Side(s.asks)}}
	attrs := &f.Attributes
	attrs.Set("role", "client")
	attrs.Set("requests", strconv.Itoa(int(a.asked)))
	attrs.Set("responses", strconv.Itoa(int(a.answered)))
	if a.unmatched > 0 {
		attrs.Set("unmatched", strconv.Itoa(int(a.unmatched)))
	}
	var list []string
	for i, n := range a.functions {
		if n > 0 {
			list = append(list, functionName(uint8(i))+":"+strconv.Itoa(int(n)))
		}
	}
	attrs.SetList("functions", list)
	s.listUnits(attrs)
	list = nil
	for _, x := range s.exceptions {
		if x.count > 0 {
			list = append(list, functionName(x.function)+" "+exceptionName(x.code)+":"+strconv.Itoa(int(x.count)))
		}
	}
	attrs.SetList("exceptions", list)
	list = nil
	for _, r := range a.ranges {
		if r.count > 0 {
			list = append(list, r.String())
		}
	}
	attrs.SetList("written", list)
	if a.more {
		attrs.Set("incomplete", "true")
	}
	c.Emit(&f)
	for i := range s.exceptions {
		s.exceptions[i].count = 0
	}
	ranges := a.ranges
	*a = account{ranges: ranges} // where was written stays known
	for i := range ranges {
		ranges[i].count = 0
	}
}

// String writes a run as "unit 1 registers 100-109:5".
func (r span) String() string {
	what := " coils "
	if r.registers {
		what = " registers "
	}
	s := "unit " + strconv.Itoa(int(r.unit)) + what + strconv.Itoa(r.from)
	if r.to > r.from {
		s += "-" + strconv.Itoa(r.to)
	}
	return s + ":" + strconv.Itoa(int(r.count))
}

// listUnits lists the units that were asked.
func (s *stream) listUnits(a *proto.Attributes) {
	var list []string
	n := 0
	for u := range 256 {
		if s.units[u>>6]&(1<<(u&63)) != 0 {
			if n++; len(list) < maxUnits {
				list = append(list, strconv.Itoa(u))
			}
		}
	}
	a.SetList("units", list)
	a.Set("units_count", strconv.Itoa(n))
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := cap(s.half[0].buf) + cap(s.half[1].buf) + 1500 + 24*len(s.ranges) + 8*len(s.exceptions) + len(s.first)
	for i := range s.identities {
		for _, t := range s.identities[i].texts {
			n += 32 + len(t)
		}
	}
	for _, x := range s.servers {
		n += 24 + len(x.text)
	}
	return n
}
