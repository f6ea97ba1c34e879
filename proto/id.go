package proto

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// ID is a 128-bit identifier: of a flow, an endpoint, a device, a detection. It
// prints as 32 lower-case hex digits; the zero ID means "none" and is null in JSON.
type ID [16]byte

// IsZero reports whether id is "none".
func (id ID) IsZero() bool { return id == ID{} }

// String gives 32 lower-case hex digits, or "" for the zero ID.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// MarshalJSON writes null for the zero ID, else a string of 32 hex digits.
func (id ID) MarshalJSON() ([]byte, error) {
	if id.IsZero() {
		return []byte("null"), nil
	}
	b := make([]byte, 0, 34)
	b = append(b, '"')
	b = hex.AppendEncode(b, id[:])
	return append(b, '"'), nil
}

// UnmarshalJSON reads what MarshalJSON writes; "" counts as none.
func (id *ID) UnmarshalJSON(b []byte) error {
	if len(b) == 2+2*len(id) && b[0] == '"' {
		if _, err := hex.Decode(id[:], b[1:len(b)-1]); err == nil {
			return nil
		}
	}
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("read id: %w", err)
	}
	if s == nil || *s == "" {
		*id = ID{}
		return nil
	}
	v, err := ParseID(*s)
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// ParseID reads 32 hex digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 32 {
		return id, fmt.Errorf("id %q: want 32 hex digits, got %d characters", s, len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("id %q: %w", s, err)
	}
	return id, nil
}

// HashID derives an ID from parts: the first 16 bytes of SHA-256 over the
// length-prefixed parts, so that ("a","bc") and ("ab","c") differ. It is how
// every deterministic id of Wardflow is made.
func HashID(kind string, parts ...[]byte) ID {
	var room [512]byte
	b := appendHashed(room[:0], kind)
	for _, p := range parts {
		b = appendHashed(b, p)
	}
	return hashed(b)
}

// appendHashed appends a part as HashID hashes it.
func appendHashed[T string | []byte](b []byte, part T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}

func hashed(b []byte) ID {
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// MAC is an IEEE 802 48-bit address; the zero MAC means "none" and prints "".
type MAC [6]byte

// IsZero reports whether m is "none".
func (m MAC) IsZero() bool { return m == MAC{} }

// IsGroup reports a multicast or broadcast address (I/G bit, IEEE 802-2014 8.2).
func (m MAC) IsGroup() bool { return m[0]&1 != 0 }

// IsLocal reports a locally administered address (U/L bit), so without an OUI.
func (m MAC) IsLocal() bool { return m[0]&2 != 0 }

// String prints lower case with colons, or "" for none.
func (m MAC) String() string {
	if m.IsZero() {
		return ""
	}
	const digits = "0123456789abcdef"
	b := make([]byte, 17)
	for i, v := range m {
		b[i*3], b[i*3+1] = digits[v>>4], digits[v&15]
		if i < 5 {
			b[i*3+2] = ':'
		}
	}
	return string(b)
}

// MarshalText is String; it makes a MAC a JSON string.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (m *MAC) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = MAC{}
		return nil
	}
	if len(b) != 17 {
		return fmt.Errorf("mac %q: want six hex pairs with colons", b)
	}
	for i := range m {
		v, err := strconv.ParseUint(string(b[i*3:i*3+2]), 16, 8)
		if err != nil || (i < 5 && b[i*3+2] != ':') {
			return fmt.Errorf("mac %q: want six hex pairs with colons", b)
		}
		m[i] = byte(v)
	}
	return nil
}

// Time is an event time in nanoseconds since the Unix epoch, UTC. In JSON it is
// RFC 3339 with nine decimals and Z.
type Time int64

// TimeOf converts from the standard library's type.
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// Std converts to the standard library's type, in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

// Add moves t by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub gives t - u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Hour cuts t down to the start of its UTC hour.
func (t Time) Hour() Time { return t - t%Time(time.Hour) }

// TimeLayout is RFC 3339 with nine decimals, as in every file and topic.
const TimeLayout = "2006-01-02T15:04:05.000000000Z"

// String prints t as RFC 3339 UTC with nine decimals.
func (t Time) String() string { return t.Std().Format(TimeLayout) }

// MarshalText is String.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads RFC 3339.
func (t *Time) UnmarshalText(b []byte) error {
	v, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return fmt.Errorf("time: %w", err)
	}
	*t = TimeOf(v)
	return nil
}

// Transport is an IP protocol number. It prints tcp, udp, icmp, icmp6, sctp,
// else the number as text.
type Transport uint8

// The transports that have a name (IANA protocol numbers).
const (
	ICMP  Transport = 1
	TCP   Transport = 6
	UDP   Transport = 17
	ICMP6 Transport = 58
	SCTP  Transport = 132
)

// String gives the transport's name or number.
func (t Transport) String() string {
	switch t {
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMP6:
		return "icmp6"
	case SCTP:
		return "sctp"
	}
	return strconv.Itoa(int(t))
}

// MarshalText is String.
func (t Transport) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// VLAN is an IEEE 802.1Q VLAN identifier, 0 for none (null in JSON).
type VLAN uint16

// MarshalJSON writes null for none.
func (v VLAN) MarshalJSON() ([]byte, error) {
	if v == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendUint(nil, uint64(v), 10), nil
}

// Strings is a list that is [] and never null in JSON.
type Strings []string

// MarshalJSON writes [] for an empty list.
func (s Strings) MarshalJSON() ([]byte, error) {
	if len(s) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal([]string(s))
}

// Lanes is the number of lanes, fixed for ever: partition = lane modulo the
// partition count, so that a change of the count never splits a lane.
const Lanes = 1024

// Lane is the ordered sequence that all events of an endpoint (or device) share.
type Lane uint16

// Lane gives the lane of an endpoint or device.
func (id ID) Lane() Lane { return Lane(binary.BigEndian.Uint16(id[14:]) % Lanes) }

// Partition gives the lane's partition among n.
func (l Lane) Partition(n int32) int32 { return int32(l) % n }

// MACEndpoint is the endpoint of a MAC that is the device's own.
func MACEndpoint(site string, mac MAC) ID {
	return HashID("endpoint/mac", []byte(site), mac[:])
}

// IPEndpoint is the endpoint of an address seen through a router, or without a MAC.
func IPEndpoint(site string, vlan VLAN, ip netip.Addr) ID {
	a := ip.Unmap().AsSlice()
	return HashID("endpoint/ip", []byte(site), binary.BigEndian.AppendUint16(nil, uint16(vlan)), a)
}

// EquipmentEndpoint is the endpoint of a device that exists on the wire only as
// a name inside a protocol: a pump in OBX-18 behind its gateway. equipment is
// the protocol's own unique id of it.
func EquipmentEndpoint(site, equipment string) ID {
	return HashID("endpoint/equipment", []byte(site), []byte(equipment))
}
