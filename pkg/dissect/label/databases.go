package label

import (
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

var databases = []*dissector.Protocol{
	tcp("mongodb", mongodb, 27017),
	tcp("redis", redis, 6379),
	tcp("cassandra", cassandra, 9042),
	atHome(both("memcached", memcached, memcachedUDP, 11211)),
	tcp("drda", drda, 446),
	tcp("elasticsearch", whole("E", 6, func(b []byte) bool { // transport protocol: "ES", length
		return b[0] == 'E' && b[1] == 'S' && be32(b[2:]) > 0 && be32(b[2:]) < 1<<27
	}), 9300),
}

// mongodb knows the header of a message: length, number, answer to, and a kind of
// its own with the beginning of its body (MongoDB's documentation, wire protocol).
func mongodb(b []byte) dissector.Verdict {
	if len(b) > 3 && (b[3] > 2 || le32(b) < 26) {
		return dissector.No
	}
	if len(b) < 21 {
		return dissector.More
	}
	n := le32(b)
	if n < 26 || n > 48000000 {
		return dissector.No
	}
	switch le32(b[12:]) {
	case 1: // OP_REPLY: flags, cursor, from, number
		return yes(le32(b[8:]) != 0 && n >= 36 && le32(b[16:]) < 16)
	case 2004: // OP_QUERY: flags, "admin.$cmd"
		return yes(le32(b[16:]) < 256 && b[20] >= 'A' && b[20] <= 'z')
	case 2013: // OP_MSG: flags, a section of kind 0 or 1
		return yes(le32(b[16:])&^0x10003 == 0 && b[20] <= 1)
	case 2012: // OP_COMPRESSED: what is in it
		return yes(le32(b[16:]) == 2013 || le32(b[16:]) == 2004)
	}
	return dissector.No
}

// redis knows RESP: an array of bulk strings, the first a command word.
func redis(b []byte) dissector.Verdict {
	if len(b) == 0 || b[0] != '*' {
		return dissector.No
	}
	i := 1
	number := func() bool {
		begin := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > begin && i-begin < 5
	}
	wait := func(s string) dissector.Verdict {
		v := begins(s)(b[i:])
		i += len(s)
		return v
	}
	if !number() {
		if i == len(b) {
			return dissector.More
		}
		return dissector.No
	}
	if v := wait("\r\n$"); v != dissector.Yes {
		return v
	}
	if i >= len(b) {
		return dissector.More
	}
	if !number() {
		return dissector.No
	}
	return wait("\r\n")
}

// cassandra knows a frame of the native protocol 3 to 5 that begins a connection:
// OPTIONS, STARTUP with its string map, or SUPPORTED (native_protocol_v4.spec 2).
func cassandra(b []byte) dissector.Verdict {
	if len(b) >= 4 && be32(b) == 0xca552dfa { // between nodes
		return dissector.Yes
	}
	if len(b) > 0 && b[0] != 0xca && (b[0]&0x7f < 3 || b[0]&0x7f > 5) {
		return dissector.No
	}
	if len(b) < 9 {
		return dissector.More
	}
	version, n := b[0]&0x7f, be32(b[5:])
	if version < 3 || version > 5 || b[1]&^0x1f != 0 {
		return dissector.No
	}
	switch {
	case b[0] < 0x80 && b[4] == 5:
		return yes(n == 0)
	case b[0] < 0x80 && b[4] == 1, b[0] >= 0x80 && b[4] == 6:
		if len(b) < 13 {
			return dissector.More
		}
		return yes(n > 4 && n < 4096 && be16(b[9:]) > 0 && be16(b[9:]) < 20 && be16(b[11:]) < 64)
	}
	return dissector.No
}

func memcached(b []byte) dissector.Verdict {
	if len(b) > 0 && (b[0] == 0x80 || b[0] == 0x81) { // binary: magic, opcode, key length, extras, type 0, status, length
		if len(b) < 12 {
			return dissector.More
		}
		return yes(b[5] == 0 && be32(b[8:]) >= be16(b[2:])+int(b[4]) && be32(b[8:]) < 1<<20)
	}
	return begins("get ", "gets ", "set ", "add ", "stats", "version", "delete ", "incr ", "VALUE ", "STORED", "STAT ", "END\r\n")(b)
}

// memcachedUDP has a frame of request, number, count and 0 before the text.
func memcachedUDP(_ *dissector.Context, b []byte) bool {
	return len(b) > 10 && be16(b[4:]) > 0 && be16(b[2:]) < be16(b[4:]) && be16(b[6:]) == 0 && memcached(b[8:]) == dissector.Yes
}

// drda knows a DSS: length, 0xd0, kind, number, and the length of the object in it,
// of EXCSAT or its answer (The Open Group, DRDA volume 3).
func drda(b []byte) dissector.Verdict {
	if len(b) > 2 && b[2] != 0xd0 {
		return dissector.No
	}
	if len(b) < 10 {
		return dissector.More
	}
	n := be16(b)
	return yes(n >= 10 && b[2] == 0xd0 && b[3]&0x0f >= 1 && b[3]&0x0f <= 3 && be16(b[6:]) == n-6 && (be16(b[8:]) == 0x1041 || be16(b[8:]) == 0x1443))
}
