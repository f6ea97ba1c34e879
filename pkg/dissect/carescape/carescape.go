package carescape

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is CARESCAPE. Its ports are others' too, so that none of them alone makes
// a label.
var Protocol = dissector.Protocol{Name: "carescape", Datagram: datagram}

const (
	portTime      = 2000
	portDiscovery = 7000
	portAlarm     = 7001

	// The documentation counts bytes from 1: address 7 to 10, location 25 to 37, time
	// 61 to 64 of the 64 of a time message.
	addressAt  = 6
	locationAt = 24
	locationTo = 37
	timeAt     = 60
	timeLen    = 64
	maxUnit    = 7
	maxRoom    = 6

	epoch1900 = 2208988800       // seconds from 1900 to 1970
	maxSkew   = 20 * 366 * 86400 // seconds by which a clock can be wrong and still be one
	announce  = 10 * 60 * 1e9    // nanoseconds after which a heartbeat is told again
)

// state is what is kept of a flow.
type state struct {
	beats, alarms int
	told          string
	toldAt        proto.Time
}

// Size is about how many bytes are kept.
func (*state) Size() int { return 96 }

// datagram wants one of the three ports, the sender's address where the documentation
// has it, and a unit and a room where it has the location.
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	h := c.Headers
	port := h.DstPort
	if port != portTime && port != portDiscovery && port != portAlarm {
		port = h.SrcPort
	}
	if len(b) < locationTo || port != portTime && port != portDiscovery && port != portAlarm {
		return dissector.No
	}
	own := h.SrcIP.Unmap()
	if !own.Is4() || netip.AddrFrom4([4]byte(b[addressAt:addressAt+4])) != own {
		return dissector.No
	}
	unit, room, ok := location(b[locationAt:locationTo])
	if !ok || port == portTime && max(len(b), h.PayloadLen) != timeLen {
		return dissector.No
	}
	skew := int64(0)
	if port == portTime {
		if len(b) < timeLen {
			return dissector.No
		}
		skew = int64(binary.BigEndian.Uint32(b[timeAt:])) - epoch1900 - int64(h.Time)/1e9
		if skew > maxSkew || skew < -maxSkew {
			return dissector.No
		}
	}
	s, ok := c.State.(*state)
	if !ok {
		s = new(state)
		c.State = s
	}
	place := dissector.Place(unit, "", room)
	if place == "" && unit+room != "" {
		c.Count("carescape_location_withheld")
	}
	s.tell(c, port, place, skew)
	return dissector.Yes
}

// location reads unit|room: letters, digits and the like, NULs behind.
func location(b []byte) (unit, room string, ok bool) {
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		end = len(b)
	}
	for _, x := range b[end:] {
		if x != 0 {
			return "", "", false
		}
	}
	for _, x := range b[:end] {
		if x < ' ' || x >= 0x7f {
			return "", "", false
		}
	}
	first, second, found := bytes.Cut(b[:end], []byte("|"))
	if !found || len(first) == 0 || len(first) > maxUnit || len(second) > maxRoom || bytes.IndexByte(second, '|') >= 0 {
		return "", "", false
	}
	return string(bytes.TrimSpace(first)), string(bytes.TrimSpace(second)), true
}

func (s *state) tell(c *dissector.Context, port uint16, place string, skew int64) {
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("location", place)
	switch port {
	case portAlarm:
		s.alarms++
		return // whose it is, is not ours to read
	case portTime:
		f.Kind = "time_sync"
		a.Set("role", "master")
		a.Set("clock_skew_s", strconv.FormatInt(skew, 10))
		c.Emit(&f)
		return
	}
	f.Kind = "heartbeat"
	a.Set("role", "node")
	s.beats++
	if now := c.Headers.Time; s.beats == 1 || s.told != place || now-s.toldAt >= announce {
		s.told, s.toldAt = place, now
		c.Emit(&f)
	}
}

// End sums a flow up.
func (s *state) End(c *dissector.Context) {
	if s.beats+s.alarms < 2 && s.alarms == 0 {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "node")
	if s.beats > 0 {
		a.Set("heartbeats", strconv.Itoa(s.beats))
	}
	if s.alarms > 0 {
		a.Set("alarms", strconv.Itoa(s.alarms))
	}
	c.Emit(&f)
}
