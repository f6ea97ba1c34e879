package snmp_test

import (
	"slices"
	"strconv"
	"strings"
)

// tlv is one BER element.
func tlv(tag byte, parts ...[]byte) []byte {
	v := slices.Concat(parts...)
	head := []byte{tag, byte(len(v))}
	if len(v) > 127 {
		head = []byte{tag, 0x82, byte(len(v) >> 8), byte(len(v))}
	}
	return append(head, v...)
}

func str(s string) []byte { return tlv(4, []byte(s)) }

func num(n int64) []byte {
	b := []byte{byte(n)}
	for n > 127 || n < -128 {
		n >>= 8
		b = append([]byte{byte(n)}, b...)
	}
	return tlv(2, b)
}

// oid encodes dotted numbers.
func oid(s string) []byte {
	var b []byte
	for i, p := range strings.Split(s, ".") {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			panic(err)
		}
		if i == 1 {
			b = []byte{byte(40*uint64(b[0]) + n)}
			continue
		}
		part := []byte{byte(n & 0x7f)}
		for n >>= 7; n > 0; n >>= 7 {
			part = append([]byte{byte(n)&0x7f | 0x80}, part...)
		}
		b = append(b, part...)
	}
	return tlv(6, b)
}

// The PDUs' tags.
const (
	get = 0xa0 + iota
	getNext
	response
	set
	trapV1
	getBulk
	inform
	trap
	report
)

func bind(id string, value []byte) []byte { return tlv(0x30, oid(id), value) }

func pdu(kind byte, status int64, binds ...[]byte) []byte {
	return tlv(kind, num(4711), num(status), num(0), tlv(0x30, binds...))
}

func v1(community string, pdu []byte) []byte { return tlv(0x30, num(0), str(community), pdu) }
func v2(community string, pdu []byte) []byte { return tlv(0x30, num(1), str(community), pdu) }

// v3 is a message of the user-based model; data is a scoped PDU or a string.
func v3(flags byte, engine string, boots int64, user, auth string, data []byte) []byte {
	parameters := tlv(0x30, str(engine), num(boots), num(77), str(user), str(auth), str(""))
	return tlv(0x30, num(3), tlv(0x30, num(1), num(65507), str(string(flags)), num(3)), tlv(4, parameters), data)
}

func scoped(engine string, pdu []byte) []byte { return tlv(0x30, str(engine), str("context"), pdu) }

var null = []byte{5, 0}
