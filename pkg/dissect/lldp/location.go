package lldp

import (
	"math"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The formats of a location (TIA-1057 10.2.4).
const (
	locationCoordinate = 1
	locationCivic      = 2
	locationELIN       = 3
)

// civicParts are the elements of a civic address that say where in a hospital a
// port is, in the order in which they are told (RFC 4776 3.4). Street addresses
// tell no more than the site, the name of an occupant (23) is a person's, and
// landmark and additional text (21, 22) are free.
var civicParts = [...]byte{25, 26, 27, 28, 33} // building, unit, floor, room, seat

const maxCivic = 64 // bytes of an element

// location reads where the switch says that the port is.
func (n *announcement) location(v []byte) bool {
	if len(v) < 2 {
		return false
	}
	switch format, v := v[0], v[1:]; format {
	case locationCoordinate:
		return n.coordinates(v)
	case locationCivic:
		return n.civic(v)
	case locationELIN:
		s := dissector.Text(v, 25)
		if s == "" || strings.Trim(s, "0123456789") != "" {
			return false
		}
		n.a.Set("elin", s)
	}
	return true
}

// coordinates reads latitude and longitude (RFC 6225 2.2): six bits of
// resolution, then 34 bits of two's complement degrees with 25 bits of fraction,
// each. Altitude and datum follow and are not used.
func (n *announcement) coordinates(v []byte) bool {
	if len(v) != 16 {
		return false
	}
	degrees := func(b []byte) float64 {
		var x int64
		for _, c := range b[:5] {
			x = x<<8 | int64(c)
		}
		return float64(x<<30>>30) / (1 << 25)
	}
	lat, lon := degrees(v), degrees(v[5:])
	if math.Abs(lat) > 90 || math.Abs(lon) > 180 {
		return false
	}
	n.a.Set("coordinates", strconv.FormatFloat(lat, 'f', 5, 64)+","+strconv.FormatFloat(lon, 'f', 5, 64))
	return true
}

// civic reads a civic address: the length of what follows, what it is the place
// of, a country, and elements of type, length and value.
func (n *announcement) civic(v []byte) bool {
	if len(v) < 4 || int(v[0]) < 3 || int(v[0]) > len(v)-1 {
		return false
	}
	n.a.Set("country", dissector.Text(v[2:4], 2))
	var parts [len(civicParts)]string
	for b := v[4 : 1+int(v[0])]; len(b) > 0; {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return false
		}
		for i, kind := range civicParts {
			if b[0] == kind {
				parts[i] = dissector.Text(b[2:2+int(b[1])], maxCivic)
			}
		}
		b = b[2+int(b[1]):]
	}
	var said []string
	for _, s := range parts {
		if s != "" {
			said = append(said, s)
		}
	}
	n.a.Set("location", strings.Join(said, " / "))
	return true
}
