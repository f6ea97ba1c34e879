package quic

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

// Protocol is QUIC.
var Protocol = dissector.Protocol{Name: "quic", Ports: []uint16{port}, Datagram: datagram}

const (
	port = 443

	client = 0
	server = 1

	maxTries     = 32  // Initial packets of a flow that are opened
	maxDatagrams = 256 // of a flow that are looked at
	minInitial   = 1200
	minID        = 8
	maxVersions  = 64
)

// state is what is kept of a flow until both hellos were seen.
type state struct {
	keys      [2]keys // the client's first
	keyed     bool
	version   uint32
	id        []byte // that the keys come from
	client    dissector.Side
	hello     [2]assembly
	read      [2]int // bytes of it that are done with
	told      [2]bool
	retried   bool
	tries     int
	datagrams int
}

// Size is about how many bytes are kept.
func (s *state) Size() int { return 2048 + s.hello[0].size() + s.hello[1].size() }

// End has nothing to say: what there was was told at once.
func (s *state) End(*dissector.Context) {}

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	missing := max(0, c.Headers.PayloadLen-len(b))
	name, isGoogle := google(b)
	if !known && !isGoogle && !recognise(b, missing) && !rejection(c, b) {
		return dissector.No
	}
	s, _ := c.State.(*state)
	if s == nil {
		s = new(state)
		c.State = s
	}
	switch {
	case isGoogle:
		s.googleHello(c, b, name)
	case b[0]&formLong != 0:
		s.packets(c, b, missing)
	}
	if s.datagrams++; s.told[client] && s.told[server] || s.datagrams >= maxDatagrams {
		c.Sink.Done()
	}
	return dissector.Yes
}

// recognise wants a long header of a version that is known, whose lengths fill the
// datagram. A client that asks for a version that exists to be refused needs the
// first byte, the id and the size of a first datagram (RFC 9000 7.2, 14.1).
func recognise(b []byte, missing int) bool {
	var h header
	if !h.read(b, missing) {
		return false
	}
	if h.kind == negotiation {
		return offers(h.rest)
	}
	if _, ok := versionOf(h.version); ok {
		// Behind the first packet there is another, or padding of zeros.
		return h.end == len(b) || b[h.end]&fixedBit != 0 || b[h.end] == 0
	}
	return reserved(h.version) && b[0]&0xf0 == formLong|fixedBit && len(b)+missing >= minInitial && len(h.dst) >= minID
}

// offers reports that a list of versions has one that is known.
func offers(list []byte) bool {
	if len(list) > 4*maxVersions {
		return false
	}
	for ; len(list) >= 4; list = list[4:] {
		if _, ok := versionOf(binary.BigEndian.Uint32(list)); ok || googles(list) {
			return true
		}
	}
	return false
}

// packets goes over the packets of a datagram (RFC 9000 12.2).
func (s *state) packets(c *dissector.Context, b []byte, missing int) {
	for len(b) > 0 && b[0]&formLong != 0 {
		var h header
		if !h.read(b, missing) {
			return
		}
		switch h.kind {
		case negotiation:
			s.negotiation(c, h.rest)
		case retry:
			s.retry(c, &h)
		case initial:
			s.initial(c, b, &h)
		}
		b = b[h.end:]
	}
}

// negotiation tells which versions a server has.
func (s *state) negotiation(c *dissector.Context, list []byte) {
	if s.retried {
		return
	}
	s.retried = true
	var names []string
	for ; len(list) >= 4 && len(names) < maxVersions; list = list[4:] {
		n := binary.BigEndian.Uint32(list)
		v, ok := versionOf(n)
		switch {
		case googles(list):
			v.name = string(list[:4])
		case reserved(n):
			continue
		case !ok:
			v.name = "other"
		}
		if !slices.Contains(names, v.name) {
			names = append(names, v.name)
		}
	}
	f := dissector.Fact{Kind: "version_negotiation", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "server")
	f.Attributes.SetList("quic_versions", names)
	c.Emit(&f)
}

// retry tells that a server wants to see the client's address proved.
func (s *state) retry(c *dissector.Context, h *header) {
	v, ok := versionOf(h.version)
	if s.retried || !ok {
		return
	}
	s.retried = true
	f := dissector.Fact{Kind: "retry", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "server")
	f.Attributes.Set("quic_version", v.name)
	c.Emit(&f)
}

// initial opens an Initial packet and takes what it has of the handshake.
func (s *state) initial(c *dissector.Context, b []byte, h *header) {
	v, ok := versionOf(h.version)
	if !ok || h.cut || s.tries >= maxTries {
		return
	}
	if s.keyed && s.told[s.role(c)] && (c.Side != s.client || s.told[server] || bytes.Equal(h.dst, s.id)) {
		return // else it may be the client's answer to a Retry, with which the keys change
	}
	s.tries++
	plain := s.open(c, &v, b[:h.end], h)
	if plain == nil {
		return
	}
	role := s.role(c)
	if !frames(plain, v.google, func(offset int, data []byte) {
		if !s.told[role] && !s.hello[role].add(offset, data) {
			c.Count("quic_hello_long")
		}
	}) {
		c.Count("quic_frame_malformed")
	}
	s.messages(c, role, v.name)
}

func (s *state) role(c *dissector.Context) int {
	if c.Side == s.client {
		return client
	}
	return server
}

// open takes the protection off with the keys of the flow, or with those of this
// packet's own id: the flow's first one, or a client's after a Retry.
func (s *state) open(c *dissector.Context, v *version, packet []byte, h *header) []byte {
	if s.keyed && s.version != h.version { // RFC 9368: both agreed on another
		if k, ok := derive(v, s.id); ok {
			if plain := k[s.role(c)].open(packet, h.number); plain != nil {
				s.keys, s.version = k, h.version
				return plain
			}
		}
	} else if s.keyed {
		if plain := s.keys[s.role(c)].open(packet, h.number); plain != nil {
			return plain
		}
	}
	if s.keyed && (c.Side != s.client || bytes.Equal(h.dst, s.id) && s.version == h.version) {
		return nil
	}
	k, ok := derive(v, h.dst)
	if !ok {
		return nil
	}
	plain := k[client].open(packet, h.number)
	if plain != nil {
		s.keys, s.keyed, s.version, s.client, s.id = k, true, h.version, c.Side, bytes.Clone(h.dst)
	}
	return plain
}

// messages tells the hello of a direction once it is there.
func (s *state) messages(c *dissector.Context, role int, name string) {
	for !s.told[role] {
		b := s.hello[role].whole()
		if len(b) < s.read[role]+4 {
			return
		}
		b = b[s.read[role]:]
		if role == client && bytes.HasPrefix(b, chlo) { // Q050
			s.googleHello(c, b, name)
			return
		}
		size := 4 + (int(b[1])<<16 | int(b[2])<<8 | int(b[3]))
		if size > maxHello {
			c.Count("quic_hello_long")
			s.told[role] = true
			return
		}
		if len(b) < size {
			return
		}
		s.read[role] += size
		s.message(c, role, name, b[:size])
	}
	s.hello[role] = assembly{}
}

// message tells a hello.
func (s *state) message(c *dissector.Context, role int, name string, b []byte) {
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}}
	var ok bool
	if role == client {
		f.Kind = "client_hello"
		f.Attributes, ok = tls.QUICClient(c, b)
	} else {
		var again bool
		f.Kind = "server_hello"
		if f.Attributes, again, ok = tls.QUICServer(b); again {
			return // its real hello follows
		}
	}
	s.told[role] = true
	if !ok {
		c.Count("quic_hello_malformed")
		return
	}
	f.Attributes.Set("quic_version", name)
	c.Emit(&f)
}
