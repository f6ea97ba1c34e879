package packet_test

import (
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

var snapIPv4 = []byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}

// wlanFrame is an 802.11 data frame from macC to macD with an IPv4 packet: ds are
// the two flags of its way, qos the QoS control and what follows it.
func wlanFrame(ds byte, qos, body []byte) []byte {
	bssid := proto.MAC{2, 0, 0, 0, 0, 0xff}
	b := []byte{0x08, ds, 0, 0}
	if len(qos) > 0 {
		b[0] = 0x88
	}
	var a [3]proto.MAC
	switch ds & 3 {
	case 0:
		a = [3]proto.MAC{macD, macC, bssid}
	case 1:
		a = [3]proto.MAC{bssid, macC, macD}
	case 2:
		a = [3]proto.MAC{macD, bssid, macC}
	case 3:
		a = [3]proto.MAC{bssid, bssid, macD}
	}
	for _, m := range a {
		b = append(b, m[:]...)
	}
	b = append(b, 0, 0)
	if ds&3 == 3 {
		b = append(b, macC[:]...)
	}
	return slices.Concat(b, qos, snapIPv4, body)
}

func radiotap(flags byte, frame []byte) []byte {
	return slices.Concat([]byte{0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0}, make([]byte, 4), make([]byte, 8), []byte{flags}, frame)
}

func TestWLAN(t *testing.T) {
	amsdu := slices.Concat(macD[:], macC[:], be16(8+len(inner4)), snapIPv4, inner4)
	two := slices.Concat(amsdu, make([]byte, 4-len(amsdu)%4), amsdu)
	aggregated := func(b []byte) []byte {
		f := wlanFrame(1, []byte{0x80, 0}, nil)
		return slices.Concat(f[:len(f)-8], b)
	}
	secret := wlanFrame(0x41, nil, nil)
	secret = append(secret[:24], make([]byte, 60)...)
	fragment := wlanFrame(1, nil, inner4)
	fragment[22] = 1
	padded := wlanFrame(2, []byte{0, 0}, inner4)
	padded = slices.Concat(padded[:26], []byte{0, 0}, padded[26:])
	beacon := slices.Concat([]byte{0x80, 0, 0, 0}, macD[:], macC[:], macC[:], make([]byte, 30))
	null := wlanFrame(1, nil, nil)[:24]
	null[0] = 0x48
	for name, tt := range map[string]struct {
		link    packet.LinkType
		frame   []byte
		reason  packet.Reason
		counted packet.Reason
		empty   bool // usable, without IP
	}{
		"ad hoc":             {link: 105, frame: wlanFrame(0, nil, inner4)},
		"to the network":     {link: 105, frame: wlanFrame(1, nil, inner4)},
		"from the network":   {link: 105, frame: wlanFrame(2, nil, inner4)},
		"four addresses":     {link: 105, frame: wlanFrame(3, nil, inner4)},
		"qos":                {link: 105, frame: wlanFrame(1, []byte{0, 0}, inner4)},
		"qos, ht":            {link: 105, frame: wlanFrame(0x81, []byte{0, 0, 1, 2, 3, 4}, inner4)},
		"aggregate of one":   {link: 105, frame: aggregated(amsdu)},
		"aggregate of two":   {link: 105, frame: aggregated(two), counted: packet.LinkAggregate},
		"decrypted":          {link: 105, frame: wlanFrame(0x41, nil, inner4)},
		"protected":          {link: 105, frame: secret, reason: packet.LinkProtected},
		"later fragment":     {link: 105, frame: fragment, counted: packet.LinkFragment, empty: true},
		"beacon":             {link: 105, frame: beacon, empty: true},
		"no data":            {link: 105, frame: null, empty: true},
		"acknowledgement":    {link: 105, frame: []byte{0xd4, 0, 0, 0, 1, 2, 3, 4, 5, 6}, empty: true},
		"version":            {link: 105, frame: []byte{0x01, 0, 0, 0}, reason: packet.LinkMalformed},
		"cut":                {link: 105, frame: wlanFrame(1, nil, inner4)[:20], reason: packet.LinkCut},
		"radiotap":           {link: 127, frame: radiotap(0, wlanFrame(1, nil, inner4))},
		"radiotap, check":    {link: 127, frame: radiotap(0x10, slices.Concat(wlanFrame(1, nil, inner4), be32(9)))},
		"radiotap, padded":   {link: 127, frame: radiotap(0x20, padded)},
		"radiotap, damaged":  {link: 127, frame: radiotap(0x50, wlanFrame(1, nil, inner4)), reason: packet.LinkDamaged},
		"radiotap, endless":  {link: 127, frame: slices.Concat([]byte{0, 0, 12, 0}, slices.Repeat([]byte{0xff}, 20)), reason: packet.LinkMalformed},
		"radiotap, too long": {link: 127, frame: []byte{0, 0, 200, 0, 0, 0, 0, 0}, reason: packet.LinkCut},
		"prism":              {link: 119, frame: slices.Concat([]byte{0x44, 0, 0, 0, 144, 0, 0, 0}, make([]byte, 136), wlanFrame(1, nil, inner4))},
		"avs":                {link: 163, frame: slices.Concat(be32(0x80211001), be32(64), make([]byte, 56), wlanFrame(1, nil, inner4))},
		"ppi":                {link: 192, frame: slices.Concat([]byte{0, 0, 8, 0, 105, 0, 0, 0}, wlanFrame(1, nil, inner4))},
		"ppi in ppi":         {link: 192, frame: slices.Repeat([]byte{0, 0, 8, 0, 192, 0, 0, 0}, 30), reason: packet.LinkTags},
		"ppi, too long":      {link: 192, frame: slices.Concat([]byte{0, 0, 99, 0, 105, 0, 0, 0}, wlanFrame(1, nil, inner4)), reason: packet.LinkCut},
	} {
		t.Run(name, func(t *testing.T) {
			var d packet.Decoder
			var h packet.Headers
			if r := d.Decode(tt.link, now, tt.frame, len(tt.frame), &h); r != tt.reason {
				t.Fatalf("reason %v, want %v", r, tt.reason)
			}
			if tt.counted != packet.OK && d.Counters[tt.counted] != 1 {
				t.Errorf("%v is not counted", tt.counted)
			}
			switch {
			case tt.reason != packet.OK:
			case tt.empty:
				if h.IsIP() || h.EtherType != 0 || len(h.LinkPayload) != 0 {
					t.Errorf("%+v", h)
				}
			case h.SrcMAC != macC || h.DstMAC != macD || h.CarrierMAC || h.SrcIP != innerA || string(h.Payload) != "hello":
				t.Errorf("%+v", h)
			}
		})
	}
}

func TestOtherLinks(t *testing.T) {
	session := slices.Concat([]byte{0x11, 0}, be16(3), be16(2+len(inner4)), ppp(0x21, inner4))
	for name, tt := range map[string]struct {
		link   packet.LinkType
		frame  []byte
		reason packet.Reason
		none   uint16 // the EtherType of a frame without IP
	}{
		"ppp":                    {link: 9, frame: ppp(0x21, inner4)},
		"ppp, address":           {link: 9, frame: slices.Concat([]byte{0xff, 3}, ppp(0x21, inner4))},
		"ppp, short":             {link: 9, frame: slices.Concat([]byte{0x21}, inner4)},
		"ppp, bridged":           {link: 9, frame: slices.Concat(ppp(0x31, []byte{0, 1}), innerFrame)},
		"ppp, control":           {link: 9, frame: ppp(0xc021, be32(0)), none: 0x880b},
		"ppp, empty":             {link: 9, frame: nil, reason: packet.LinkCut},
		"ppp, cut":               {link: 9, frame: []byte{0}, reason: packet.LinkCut},
		"ppp, cisco":             {link: 9, frame: slices.Concat([]byte{0x0f, 0, 8, 0}, inner4)},
		"ppp hdlc":               {link: 50, frame: slices.Concat([]byte{0xff, 3}, ppp(0x21, inner4))},
		"pppoe":                  {link: 51, frame: session},
		"pppd":                   {link: 166, frame: slices.Concat([]byte{1, 3}, ppp(0x21, inner4))},
		"direction":              {link: 204, frame: slices.Concat([]byte{1, 0xff, 3}, ppp(0x21, inner4))},
		"direction, alone":       {link: 204, frame: slices.Concat([]byte{1}, ppp(0x21, inner4))},
		"cisco hdlc":             {link: 104, frame: slices.Concat([]byte{0x8f, 0, 8, 0}, inner4)},
		"cisco hdlc, slarp":      {link: 104, frame: []byte{0x8f, 0, 0x80, 0x35, 0, 0, 0, 2}, none: 0x8035},
		"frame relay":            {link: 107, frame: slices.Concat([]byte{0x18, 0x41, 3, 0xcc}, inner4)},
		"frame relay, pad, snap": {link: 107, frame: slices.Concat([]byte{0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0}, inner4)},
		"frame relay, bridged":   {link: 107, frame: slices.Concat([]byte{0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7}, innerFrame)},
		"frame relay, cisco":     {link: 107, frame: slices.Concat([]byte{0x18, 0x40, 0x40, 0x41, 8, 0}, inner4)},
		"nflog":                  {link: 239, frame: slices.Concat([]byte{2, 0, 0, 0, 5, 0, 10, 0, 0, 0, 0, 0, byte(4 + len(inner4)), 0, 9, 0}, inner4)},
		"nflog, length":          {link: 239, frame: []byte{2, 0, 0, 0, 0, 0, 9, 0}, reason: packet.LinkMalformed},
		"nflog, nothing":         {link: 239, frame: []byte{2, 0, 0, 0}, reason: packet.LinkCut},
		"pktap":                  {link: 258, frame: slices.Concat([]byte{108, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}, make([]byte, 96), innerFrame)},
		"pktap, length":          {link: 258, frame: make([]byte, 40), reason: packet.LinkMalformed},
		"juniper":                {link: 178, frame: slices.Concat([]byte("MGC\x80"), be16(4), be32(0), innerFrame)},
		"juniper, magic":         {link: 178, frame: make([]byte, 40), reason: packet.LinkMalformed},
		"null, cisco":            {link: 0, frame: slices.Concat([]byte{0x0f, 0, 8, 0}, inner4)},
		"vn-tag":                 {link: 1, frame: frameOf(0x8926, slices.Concat(be32(1), be16(0x800), inner4))},
		"e-tag":                  {link: 1, frame: frameOf(0x893f, slices.Concat(be32(1), be16(1), be16(0x800), inner4))},
		"security group":         {link: 1, frame: frameOf(0x8909, slices.Concat(be32(0x01010001), be16(9), be16(0x800), inner4))},
		"macsec, readable":       {link: 1, frame: frameOf(0x88e5, slices.Concat([]byte{0x20, 0}, be32(1), make([]byte, 8), be16(0x800), inner4, make([]byte, 16)))},
		"macsec":                 {link: 1, frame: frameOf(0x88e5, slices.Concat([]byte{0x2c, 0}, be32(1), make([]byte, 90))), none: 0x88e5},
	} {
		t.Run(name, func(t *testing.T) {
			var d packet.Decoder
			var h packet.Headers
			if r := d.Decode(tt.link, now, tt.frame, len(tt.frame), &h); r != tt.reason {
				t.Fatalf("reason %v, want %v", r, tt.reason)
			}
			switch {
			case tt.reason != packet.OK:
			case tt.none != 0:
				if h.IsIP() || h.EtherType != tt.none {
					t.Errorf("%+v", h)
				}
			case h.SrcIP != innerA || h.SrcPort != 1111 || string(h.Payload) != "hello" || h.EtherType != 0x800:
				t.Errorf("%+v", h)
			}
		})
	}
}

// TestAuthenticated: behind an authentication header of IPv4 the transport is read.
func TestAuthenticated(t *testing.T) {
	header := slices.Concat([]byte{17, 4, 0, 0}, make([]byte, 20))
	var d packet.Decoder
	var h packet.Headers
	b := ip4(51, slices.Concat(header, udp(1, 53, []byte("x"))))
	if d.Decode(packet.LinkRaw, now, b, len(b), &h); h.Transport != proto.UDP || h.DstPort != 53 || h.PayloadLen != 1 {
		t.Errorf("%+v", h)
	}
	b = ip4(51, header[:16])
	if r := d.Decode(packet.LinkRaw, now, b, len(b), &h); r != packet.OK || h.Transport != 51 || h.PayloadLen != 16 {
		t.Errorf("%v %+v", r, h)
	}
}
