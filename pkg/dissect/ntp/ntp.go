package ntp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is NTP.
var Protocol = dissector.Protocol{Name: "ntp", Ports: []uint16{port}, Datagram: datagram}

// The packet (RFC 5905 7.3):
//
//	0 leap(2) version(3) mode(3)   1 stratum   2 poll   3 precision   4 root delay   8 root dispersion
//	12 reference id   16 reference, 24 origin, 32 receive, 40 transmit time   48 extensions, key id and digest
const (
	port = 123

	size       = 48
	maxStratum = 16
	maxPoll    = 24
	minPoll    = -8
	maxTold    = 32
)

// Modes.
const (
	reserved = iota
	symmetricActive
	symmetricPassive
	client
	server
	broadcast
	control
	private
)

var kinds = [...]string{"", "symmetric_active", "symmetric_passive", "client", "server", "broadcast", "control", "private"}

var roles = [...]string{"", "peer", "peer", "client", "server", "server"}

// state is which facts of a flow were told.
type state struct{ told []uint64 }

// End has nothing to say: what there was was told at once.
func (s *state) End(*dissector.Context) {}

// Size is about how many bytes are kept.
func (s *state) Size() int { return 48 + 8*cap(s.told) }

func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	h := c.Headers
	if h.SrcPort != port && h.DstPort != port || len(b) < 8 {
		return dissector.No
	}
	version, mode := b[0]>>3&7, b[0]&7
	if version == 0 || version > 4 {
		return dissector.No
	}
	var a proto.Attributes
	switch mode {
	case control:
		if !readControl(c, b, &a) {
			return dissector.No
		}
	case private:
		if !readPrivate(b, &a) {
			return dissector.No
		}
	default:
		if mode == reserved && version == 1 { // RFC 1059 has no modes: the ports say who asks
			mode = server
			if h.SrcPort != port {
				mode = client
			}
		}
		if mode == reserved || !readTime(h.SrcIP, b, mode, h.PayloadLen, &a) {
			return dissector.No
		}
	}
	a.Set("ntp_version", strconv.Itoa(int(version)))
	if version < 3 && mode < control {
		a.Set("legacy", "true")
	}
	tell(c, kinds[mode], a)
	return dissector.Yes
}

// tell emits what was not said of the flow yet.
func tell(c *dissector.Context, kind string, a proto.Attributes) {
	s, _ := c.State.(*state)
	if s == nil {
		s = new(state)
		c.State = s
	}
	h := xxhash.New()
	_, _ = h.WriteString(kind)
	_, _ = h.Write([]byte{byte(c.Side)})
	for _, x := range a {
		_, _ = h.WriteString(x.Name + "=" + x.Value + ";")
	}
	sum := h.Sum64()
	if slices.Contains(s.told, sum) || len(s.told) == maxTold {
		return
	}
	s.told = append(s.told, sum)
	c.Emit(&dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}, Attributes: a})
}

// readTime reads a packet of modes 1 to 5.
func readTime(from netip.Addr, b []byte, mode byte, length int, a *proto.Attributes) bool {
	poll := int(int8(b[2]))
	if len(b) < size || length%4 != 0 || b[1] > maxStratum || poll > maxPoll || poll < minPoll {
		return false
	}
	authentication, ok := trailer(b, length)
	if !ok {
		return false
	}
	a.Set("role", roles[mode])
	a.Set("authentication", authentication)
	if poll > 0 {
		a.Set("poll_s", strconv.Itoa(1<<poll))
	}
	if mode == client && b[1] == 0 {
		return true // a client that says no more of itself
	}
	stratum := int(b[1])
	a.Set("stratum", strconv.Itoa(stratum))
	a.Set("leap", [...]string{"", "insert", "delete", "unsynchronized"}[b[0]>>6])
	id := b[12:16]
	switch name := clock(id); {
	case stratum == 0 && name != "":
		a.Set("kiss", name)
	case stratum == 1:
		a.Set("reference", name)
	case stratum > 1 && stratum < maxStratum && from.Is4(): // between IPv6 hosts it may be part of a hash
		if ip := netip.AddrFrom4([4]byte(id)); !ip.IsUnspecified() {
			a.Set("reference", ip.String())
		}
	}
	return true
}

// clock is the name of a reference clock or a kiss code: up to four letters,
// digits or hyphens and zeros behind them; "" for anything else.
func clock(id []byte) string {
	n := len(id)
	for n > 0 && (id[n-1] == 0 || id[n-1] == ' ') {
		n--
	}
	for _, x := range id[:n] {
		if (x < 'A' || x > 'Z') && (x < 'a' || x > 'z') && (x < '0' || x > '9') && x != '-' && x != '.' && x != '_' {
			return ""
		}
	}
	if n < 2 {
		return ""
	}
	return string(id[:n])
}

// Extensions of network time security (RFC 8915 5.7).
const (
	ntsUnique        = 0x0104
	ntsAuthenticator = 0x0404
)

// trailer goes over what follows the header: extensions of 16 bytes and more, then
// a key id with or without a digest (RFC 5905 7.3, RFC 7822).
func trailer(b []byte, length int) (authentication string, ok bool) {
	rest := length - size
	for rest > 24 {
		at := length - rest
		if at+4 > len(b) {
			return authentication, true // not captured
		}
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		if n < 16 || n > rest || n%4 != 0 {
			return "", rest == 68 || rest == 52 || rest == 36 // a digest of SHA-2
		}
		if kind := binary.BigEndian.Uint16(b[at:]); kind == ntsUnique || kind == ntsAuthenticator {
			authentication = "nts"
		}
		rest -= n
	}
	switch rest {
	case 0, 4:
	case 12, 20, 24: // key id with DES, MD5, SHA-1
		if authentication == "" {
			authentication = "symmetric"
		}
	case 16: // an extension at its shortest
	default:
		return "", false
	}
	return authentication, true
}
