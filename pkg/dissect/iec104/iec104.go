// Package iec104 dissects IEC 60870-5-104, with which power supply is telecontrolled
// over TCP: which stations there are, and who commands them.
//
// Here live the frames, and of the data units in them type, cause and station.
// Objects and values are not read.
package iec104

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is IEC 60870-5-104.
var Protocol = dissector.Protocol{
	Name: "iec104", Ports: []uint16{2404},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// A frame (clause 5): 0x68, length of what follows, control (4); with data:
//
//	6 type   7 number of objects   8 cause (2)   10 station (2)   12 objects
const (
	apci = 6
	asdu = 12
)

// size is the size of the frame that b begins with, 0 and negative as in
// framing.Format.
func size(b []byte, _ bool) int {
	if b[0] != 0x68 || len(b) > 1 && (b[1] < 4 || b[1] > 253) {
		return -1
	}
	if len(b) < apci {
		return 0
	}
	n := 2 + int(b[1])
	switch {
	case b[2]&1 == 0: // numbered, with data
		if b[4]&1 != 0 || n < asdu+3 {
			return -1
		}
		if len(b) < asdu {
			return 0
		}
		cause := b[8] & 0x3f
		if b[6] >= 128 || types[b[6]] == "" || cause == 0 || cause > 47 || b[7] == 0 {
			return -1
		}
	case b[2] == 1: // acknowledgement
		if b[3] != 0 || b[4]&1 != 0 || n != apci {
			return -1
		}
	default: // start, stop, test: one bit each
		if b[3]|b[4]|b[5] != 0 || n != apci {
			return -1
		}
		switch b[2] {
		case 0x07, 0x0b, 0x13, 0x23, 0x43, 0x83:
		default:
			return -1
		}
	}
	return n
}

var format = framing.Format{Keep: 255, Length: size, Odd: "iec104_not_a_frame"}

func recognise(b []byte, _ bool) dissector.Verdict {
	n, v := framing.Judge(b, size)
	if v == dissector.Yes && len(b) > n && size(b[n:], false) < 0 {
		return dissector.No
	}
	return v
}

// types are the types of data units (IEC 60870-5-101, 7.2.1.1; -104, 6), in words
// of their own where something is done to a station.
var types = func() (t [128]string) {
	for _, r := range [...]struct {
		from, to int
		name     string
	}{
		{1, 40, "monitoring"},
		{45, 45, "single_command"},
		{46, 46, "double_command"},
		{47, 47, "step_command"},
		{48, 50, "setpoint_command"},
		{51, 51, "bitstring_command"},
		{58, 58, "single_command"},
		{59, 59, "double_command"},
		{60, 60, "step_command"},
		{61, 63, "setpoint_command"},
		{64, 64, "bitstring_command"},
		{70, 70, "end_of_initialisation"},
		{100, 100, "interrogation"},
		{101, 101, "counter_interrogation"},
		{102, 102, "read"},
		{103, 103, "clock_synchronisation"},
		{104, 104, "test"},
		{105, 105, "reset_process"},
		{106, 106, "delay_acquisition"},
		{107, 107, "test"},
		{110, 112, "parameter"},
		{113, 113, "parameter_activation"},
		{120, 127, "file_transfer"},
	} {
		for i := r.from; i <= r.to; i++ {
			t[i] = r.name
		}
	}
	return t
}()

// once are the types that are told of once for a station; other commands each time.
var once = map[string]bool{"interrogation": true, "counter_interrogation": true, "clock_synchronisation": true, "file_transfer": true, "parameter": true}

const (
	maxControls = 64
	maxStations = 32
	activation  = 6
)

// stream is one connection.
type stream struct {
	framing.Both
	told     dissector.Once
	controls int
	stations []uint16
	counts   dissector.Tally
	station  dissector.Side // who monitors
	known    bool
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		if m[2]&1 == 0 {
			s.unit(c, m)
		}
		return false
	})
}

// End tells what the connection came to.
func (s *stream) End(c *dissector.Context) {
	s.Both.End(c)
	if s.Ended() {
		s.summary(c)
	}
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	return s.Both.Size() + s.told.Size() + s.counts.Size() + 2*len(s.stations)
}

// unit takes one data unit.
func (s *stream) unit(c *dissector.Context, b []byte) {
	name, cause, station := types[b[6]], b[8]&0x3f, binary.LittleEndian.Uint16(b[10:])
	if name == "" {
		return
	}
	if s.counts.Due(c) {
		s.summary(c)
	}
	s.counts.Count(name)
	if name == "monitoring" || name == "end_of_initialisation" {
		s.station, s.known = c.Side, true
		if !slices.Contains(s.stations, station) && len(s.stations) < maxStations {
			s.stations = append(s.stations, station)
		}
		return
	}
	if cause != activation || name == "test" || name == "read" || name == "delay_acquisition" {
		return // the echo of it, or no change
	}
	if once[name] && !s.told.First(name+strconv.Itoa(int(station))) {
		return
	}
	if s.controls++; s.controls > maxControls {
		c.Count("iec104_control_skipped")
		return
	}
	f := dissector.Fact{Kind: "control", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("operation", name)
	f.Attributes.Set("station", strconv.Itoa(int(station)))
	c.Emit(&f)
}

// summary tells what went over the connection since the last one, as the
// station's: which stations it speaks for.
func (s *stream) summary(c *dissector.Context) {
	if s.counts.Empty() {
		return
	}
	side := dissector.Dst
	if s.known {
		side = s.station
	}
	f := dissector.Fact{Kind: "transactions", Subject: dissector.Subject{Side: side}}
	f.Attributes.Set("role", "server")
	s.counts.Tell(&f.Attributes, "types")
	var list []string
	for _, n := range s.stations {
		list = append(list, strconv.Itoa(int(n)))
	}
	f.Attributes.SetList("stations", list)
	c.Emit(&f)
}
