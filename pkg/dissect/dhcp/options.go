package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The options that are read (IANA BOOTP/DHCP options).
const (
	optPad           = 0
	optMask          = 1
	optRouter        = 3
	optNameServers   = 6
	optHostname      = 12
	optDomain        = 15
	optTimeServers   = 42
	optRequestedIP   = 50
	optLease         = 51
	optOverload      = 52
	optMessageType   = 53
	optServerID      = 54
	optParameterList = 55
	optMessage       = 56
	optVendorClass   = 60
	optClientID      = 61
	optBootServer    = 66
	optFQDN          = 81
	optAgent         = 82
	optArchitecture  = 93
	optUUID          = 97
	optVendors       = 124
	optVendorData    = 125
	optTFTPServers   = 150
	optEnd           = 255
)

const maxAddrs = 8 // of one option that are told

// options are the raw values by number; parts of one option are put together
// (RFC 3396). Values point into the message where they came in one part.
type options struct {
	value   [256][]byte
	damaged bool
}

// read collects the options field and, where option 52 says so, those in the
// file and sname fields (RFC 2132 9.3), in that order (RFC 3396 5).
func (o *options) read(b []byte) {
	o.field(b[optionsAt:])
	overload := o.value[optOverload]
	if len(overload) != 1 {
		return
	}
	if overload[0]&1 != 0 {
		o.field(b[fileAt:cookieAt])
	}
	if overload[0]&2 != 0 {
		o.field(b[snameAt:fileAt])
	}
}

// field reads code, length, value until the end option; a length beyond the
// field ends it.
func (o *options) field(b []byte) {
	for len(b) > 0 {
		code := b[0]
		switch {
		case code == optPad:
			b = b[1:]
			continue
		case code == optEnd:
			return
		case len(b) < 2 || 2+int(b[1]) > len(b):
			o.damaged = true
			return
		}
		n := 2 + int(b[1])
		if old := o.value[code]; old != nil {
			o.value[code] = append(old[:len(old):len(old)], b[2:n]...)
		} else {
			o.value[code] = b[2:n]
		}
		b = b[n:]
	}
}

func (o *options) text(code byte) string { return dissector.Text(o.value[code], maxText) }

// addr is the first address of an option.
func (o *options) addr(code byte) string {
	v := o.value[code]
	if len(v) < 4 {
		return ""
	}
	if a := addr4(v[:4]); a.IsValid() {
		return a.String()
	}
	return ""
}

func (o *options) seconds(code byte) string {
	v := o.value[code]
	if len(v) != 4 {
		return ""
	}
	return strconv.FormatUint(uint64(binary.BigEndian.Uint32(v)), 10)
}

// numbers lists the bytes of an option, "1,3,6": the order tells systems apart.
func (o *options) numbers(code byte) string {
	v := o.value[code]
	if len(v) == 0 || len(v) > maxText {
		return ""
	}
	s := make([]byte, 0, 4*len(v))
	for i, n := range v {
		if i > 0 {
			s = append(s, ',')
		}
		s = strconv.AppendUint(s, uint64(n), 10)
	}
	return string(s)
}

// hardwareID is the client identifier in hex where it is a hardware address
// (type 1, six bytes), or is made of one or of a UUID (type 255, RFC 4361: four
// bytes of the interface, then a DUID of that kind); any other form may say
// anything, a user's name included.
func (o *options) hardwareID() string {
	v := o.value[optClientID]
	switch {
	case len(v) == 7 && v[0] == 1:
	case len(v) >= 15 && len(v) <= 27 && v[0] == 255 && v[5] == 0 && (v[6] == 1 || v[6] == 3 || v[6] == 4):
	default:
		return ""
	}
	return hex.EncodeToString(v)
}

// addrs are the addresses of an option.
func (o *options) addrs(code byte) (list []string) {
	v := o.value[code]
	for ; len(v) >= 4 && len(list) < maxAddrs; v = v[4:] {
		if a := addr4(v[:4]); a.IsValid() {
			list = append(list, a.String())
		}
	}
	return list
}

// fqdn reads option 81 (RFC 4702): flags, two codes, then a name, in DNS labels
// where the E flag is set and plain ASCII otherwise.
func (o *options) fqdn() string {
	v := o.value[optFQDN]
	if len(v) < 4 {
		return ""
	}
	name := v[3:]
	if v[0]&4 == 0 {
		return dissector.Text(name, maxText)
	}
	var s []byte
	for len(name) > 0 && name[0] > 0 {
		n := int(name[0])
		if n > 63 || 1+n > len(name) {
			return ""
		}
		if len(s) > 0 {
			s = append(s, '.')
		}
		s = append(s, name[1:1+n]...)
		name = name[1+n:]
	}
	return dissector.Text(s, maxText)
}
