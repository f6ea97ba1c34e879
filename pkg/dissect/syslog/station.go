package syslog

import (
	"bytes"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lldp"
	"github.com/wardflow/wardflow/proto"
)

// Where a station is, as a switch, an access point or a controller tells its log: a login
// at a port, an association. Whose login it is stays in the message.

const (
	maxPort     = 32
	maxSSID     = 32 // IEEE 802.11 9.4.2.2
	maxStations = 64 // of a flow that are remembered, so that a login's lines are told once

	// onceWithin is how long the lines of one login are one fact.
	onceWithin = 10 * time.Second
)

// station reads a message for a station and where it is.
func station(b []byte, m *message, from string, patterns []*Pattern) (mac proto.MAC, a proto.Attributes, ok bool) {
	for _, p := range patterns {
		if !bytes.Contains(b, p.contains) {
			continue
		}
		found := p.regex.FindSubmatch(b)
		if found == nil {
			continue
		}
		group := func(name string) []byte {
			if i := p.regex.SubexpIndex(name); i >= 0 {
				return found[i]
			}
			return nil
		}
		sender := senderName(b, m, from)
		if mac, ok = macOf(group("mac")); !ok || sender == "" {
			return mac, nil, false
		}
		a.Set("mac", mac.String())
		port := bytes.TrimRight(group("port"), ".,;")
		switch p.By {
		case "switch":
			if s := dissector.Text(port, maxPort); made(port, "/-._:") && lldp.PortName(s) {
				a.Set("switch", sender)
				a.Set("port", s)
			}
		case "access_point":
			a.Set("access_point", sender)
		case "controller":
			a.Set("controller", sender)
			if s := group("access_point"); len(s) <= maxApp && made(s, "/-._:") {
				a.Set("access_point", dissector.Text(s, maxApp))
			}
		}
		if a.Get("port") == "" && p.By == "switch" {
			return mac, nil, false
		}
		if s := group("ssid"); s != nil {
			a.Set("ssid", dissector.Text(s, maxSSID))
		}
		if s := group("vlan"); digits(s) {
			a.Set("vlan", string(s))
		}
		return mac, a, true
	}
	return mac, nil, false
}

// senderName is who writes: the head's host; of Cisco's form the name that stands between
// the message's number and its time, where it is set up; else the address.
func senderName(b []byte, m *message, from string) string {
	if m.host != "" {
		return m.host
	}
	if m.format == formatCisco {
		_, b, _ = bytes.Cut(b, []byte(">"))
		before, _, _ := bytes.Cut(b, []byte("%"))
		for part := range bytes.SplitSeq(before, []byte(": ")) {
			if name := host(part); name != "" && bytes.ContainsFunc(part, letter) && !uptime(part) {
				return name
			}
		}
	}
	return from
}

func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// uptime holds for "1w0d", "3d02h" and the like, which stand where the time is not set.
func uptime(b []byte) bool {
	for _, x := range b {
		if (x < '0' || x > '9') && bytes.IndexByte([]byte("ywdhms:"), x) < 0 {
			return false
		}
	}
	return len(b) > 0 && b[0] >= '0' && b[0] <= '9'
}

// macOf reads a MAC with or without signs between its digits.
func macOf(b []byte) (m proto.MAC, ok bool) {
	n := 0
	for _, x := range bytes.ToLower(b) {
		var d byte
		switch {
		case x == '.' || x == ':' || x == '-':
			continue
		case x >= '0' && x <= '9':
			d = x - '0'
		case x >= 'a' && x <= 'f':
			d = x - 'a' + 10
		default:
			return m, false
		}
		if n == 12 {
			return m, false
		}
		m[n/2] = m[n/2]<<4 | d
		n++
	}
	return m, n == 12 && !m.IsZero() && !m.IsGroup()
}

// toldStation is what was said of a station last.
type toldStation struct {
	mac  proto.MAC
	what uint64
	at   proto.Time
}

// station tells where a station is, once for the lines of a login.
func (t *tally) station(c *dissector.Context, b []byte, m *message) {
	from := ""
	if c.Headers.PayloadLen > 0 { // else it is the receiver's packet that has shown a gap to be one
		from = c.Headers.SrcIP.Unmap().String()
	}
	mac, a, ok := station(b, m, from, looked())
	if !ok {
		return
	}
	text, err := a.MarshalJSON()
	if err != nil { // a list of texts has no way to fail
		return
	}
	now := toldStation{mac, xxhash.Sum64(text), c.Headers.Time}
	i := slices.IndexFunc(t.stations, func(s toldStation) bool { return s.mac == mac })
	switch {
	case i >= 0 && t.stations[i].what == now.what && now.at.Sub(t.stations[i].at) < onceWithin && now.at >= t.stations[i].at:
		return
	case i >= 0:
		t.stations[i] = now
	case len(t.stations) == maxStations:
		t.stations = append(t.stations[:0], t.stations[1:]...)
		t.stations = append(t.stations, now)
	default:
		t.stations = append(t.stations, now)
	}
	c.Emit(&dissector.Fact{Kind: "attached", Subject: dissector.Subject{Side: dissector.Other, MAC: mac}, Attributes: a})
}
