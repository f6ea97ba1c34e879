// Package mqtt dissects MQTT 3.1, 3.1.1 and 5 (OASIS): which clients connect to a broker,
// how they authenticate, whether they are let in, and how much they publish and
// subscribe to.
//
// Here live the framing and the first two packets. Topics, messages, names of users and
// passwords never leave. Of a client's id only its kind is told, and a MAC address or a
// library's name in it.
package mqtt

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is MQTT over TCP.
var Protocol = dissector.Protocol{
	Name: "mqtt", Ports: []uint16{1883},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// Types of packets (MQTT 5, 2.1.2).
const (
	connect = 1
	connack = 2
	publish = 3

	maxKept    = 2 << 10
	maxPackets = 2048 // of a connection that are counted
	maxLost    = 64 << 10
)

var types = [...]string{"", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "subscribe", "suback", "unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect", "auth"}

// length reads the remaining length, of at most four bytes of seven bits each, behind
// the first byte: size is the header's, 0 where more is needed.
func length(b []byte) (n int64, size int, ok bool) {
	for i := 1; i <= 4; i++ {
		if i == len(b) {
			return 0, 0, true
		}
		n |= int64(b[i]&0x7f) << (7 * (i - 1))
		if b[i]&0x80 == 0 {
			return n, i + 1, i == 1 || b[i] != 0
		}
	}
	return 0, 0, false
}

// size is a packet's. The flags of most types are fixed (MQTT 5, 2.1.3).
func size(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	kind, flags := b[0]>>4, b[0]&15
	switch {
	case kind == 0, kind == publish && flags&6 == 6, (kind == 6 || kind == 8 || kind == 10) && flags != 2:
		return -1
	case kind != publish && kind != 6 && kind != 8 && kind != 10 && flags != 0:
		return -1
	}
	n, head, ok := length(b)
	switch {
	case !ok:
		return -1
	case head == 0:
		return 0
	}
	return int64(head) + n
}

// names are what a CONNECT begins with, and the version behind it.
var names = []struct {
	text     string
	versions string
}{{"\x00\x04MQTT", "\x04\x05"}, {"\x00\x06MQIsdp", "\x03"}}

// recognise wants a CONNECT, or midstream a segment of whole packets that begins with a
// PUBLISH to a plausible topic.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if midstream && b[0]>>4 == publish && whole(b) && topic(b) {
		return dissector.Yes
	}
	if b[0] != connect<<4 {
		return dissector.No
	}
	n, head, ok := length(b)
	switch {
	case !ok, head > 0 && n < 12:
		return dissector.No
	case head == 0:
		return dissector.More
	}
	b = b[head:]
	for _, x := range names {
		k := min(len(b), len(x.text))
		if string(b[:k]) != x.text[:k] {
			continue
		}
		if len(b) < len(x.text)+2 {
			return dissector.More
		}
		// A bridge of mosquitto sets the highest bit of the version.
		if bytes.IndexByte([]byte(x.versions), b[k]&0x7f) >= 0 && b[k+1]&1 == 0 {
			return dissector.Yes
		}
	}
	return dissector.No
}

// topic holds for the name that a PUBLISH begins with: printable, without wildcards.
func topic(b []byte) bool {
	const shortest = 3
	_, head, _ := length(b)
	r := reader{b: b[head:]}
	name := r.text()
	for _, x := range name {
		if x < ' ' || x > '~' || x == '+' || x == '#' {
			return false
		}
	}
	return !r.bad && len(name) >= shortest
}

// stream is one connection.
type stream struct {
	half    [2]framing.Reader
	lost    int
	client  dissector.Side
	version byte
	counts  [2][16]int // of the client, of the broker
	packets int
	ended   [2]bool
	summed  bool
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	r := &s.half[c.Side&1]
	if r.Lost {
		if r.Bad || !whole(b) {
			if s.lost += len(b); s.lost > maxLost {
				s.stop(c)
			}
			return
		}
		*r = framing.Reader{}
	}
	for len(b) > 0 && !r.Lost {
		m, rest, _, status := r.Next(b, maxKept, size)
		b = rest
		switch status {
		case framing.Bad:
			c.Count("mqtt_malformed")
		case framing.Message:
			s.packet(c, m)
			if s.packets++; s.packets == maxPackets {
				s.stop(c)
				return
			}
		}
	}
}

// whole holds for a segment that is made of whole packets: after a gap the next one
// may begin there.
func whole(b []byte) bool {
	for len(b) > 0 {
		n := size(b)
		if n <= 0 || n > int64(len(b)) {
			return false
		}
		b = b[n:]
	}
	return true
}

func (s *stream) stop(c *dissector.Context) {
	s.sum(c, true)
	c.Sink.Done()
}

// packet takes a packet.
func (s *stream) packet(c *dissector.Context, m []byte) {
	_, head, _ := length(m)
	kind := m[0] >> 4
	switch kind {
	case connect:
		s.client = c.Side
	case connack:
		s.client = c.Side.Peer()
	}
	who := 0
	if c.Side != s.client {
		who = 1
	}
	s.counts[who][kind]++
	switch kind {
	case connect:
		s.connect(c, m[head:])
	case connack:
		s.connack(c, m[head:])
	}
}

// Gap loses where the next packet begins, unless that is known.
func (s *stream) Gap(c *dissector.Context, n int64) { s.half[c.Side&1].Gap(n) }

// End sums up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.ended[c.Side&1] = true
	if s.ended[0] && s.ended[1] {
		s.sum(c, false)
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 512 + s.half[0].Size() + s.half[1].Size() }

// sum tells how many packets there were of each type, once.
func (s *stream) sum(c *dissector.Context, incomplete bool) {
	if s.summed {
		return
	}
	s.summed = true
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.client}}
	a := &f.Attributes
	a.Set("role", "client")
	for who, name := range []string{"sent", "received"} {
		var list []string
		for kind, n := range s.counts[who] {
			if n > 0 && types[kind] != "" {
				list = append(list, types[kind]+":"+strconv.Itoa(n))
			}
		}
		slices.Sort(list)
		a.SetList(name, list)
	}
	if len(*a) == 1 {
		return
	}
	if incomplete {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
}
