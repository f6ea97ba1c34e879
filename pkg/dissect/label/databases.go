package label

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

var databases = []*dissector.Protocol{
	tcp("mysql", mysql, 3306),
	tcp("postgresql", postgresql, 5432),
	tcp("tds", tds, 1433),
	tcp("oracle", oracle, 1521),
	tcp("mongodb", mongodb, 27017),
	tcp("redis", redis, 6379),
	tcp("cassandra", cassandra, 9042),
	atHome(both("memcached", memcached, memcachedUDP, 11211)),
	tcp("drda", drda, 446),
	tcp("elasticsearch", whole("E", 6, func(b []byte) bool { // transport protocol: "ES", length
		return b[0] == 'E' && b[1] == 'S' && be32(b[2:]) > 0 && be32(b[2:]) < 1<<27
	}), 9300),
}

// mysql knows a server's greeting: length 3, number 0, protocol 10, the version
// until NUL, the connection's number, eight bytes of salt and a NUL (MySQL's
// documentation, Protocol::HandshakeV10).
func mysql(b []byte) dissector.Verdict {
	if len(b) > 3 && (b[3] != 0 || b[1] > 2) {
		return dissector.No
	}
	if len(b) < 7 {
		return dissector.More
	}
	n := le32(b) & 0xffffff
	if b[3] != 0 || n < 32 || n > 512 {
		return dissector.No
	}
	if b[4] == 0xff { // refused: error packet
		return yes(le16(b[5:]) >= 1000 && le16(b[5:]) < 5000 && n < 400)
	}
	if b[4] != 10 || b[5] < '0' || b[5] > '9' {
		return dissector.No
	}
	v, rest, found := bytes.Cut(b[5:], []byte{0})
	switch {
	case !printable(v) || len(v) > 80:
		return dissector.No
	case !found || len(rest) < 13:
		return dissector.More
	}
	return yes(rest[12] == 0 && bytes.IndexByte(v, '.') > 0)
}

// postgresql knows what a client begins with: a length and the number of protocol 3,
// or of a request for TLS, GSSAPI or cancellation (PostgreSQL's documentation 55.7).
func postgresql(b []byte) dissector.Verdict {
	if len(b) > 0 && b[0] != 0 {
		return dissector.No
	}
	if len(b) < 8 {
		return dissector.More
	}
	n := be32(b)
	switch be32(b[4:]) {
	case 80877103, 80877104:
		return yes(n == 8)
	case 80877102:
		return yes(n == 16)
	case 3 << 16, 3<<16 | 2:
		if n < 9 || n > 10000 {
			return dissector.No
		}
		return begins("user\x00", "database\x00", "application_name\x00", "client_encoding\x00", "replication\x00", "options\x00")(b[8:])
	}
	return dissector.No
}

// tds knows MS-TDS: a packet header (2.2.3.1) with PRELOGIN, whose first token is
// VERSION, with LOGIN7, or with a server's tabular result in answer to one.
func tds(b []byte) dissector.Verdict {
	if len(b) > 0 && b[0] > 0x04 && b[0] != 0x12 && b[0] != 0x10 {
		return dissector.No
	}
	if len(b) < 9 {
		return dissector.More
	}
	n := be16(b[2:])
	if b[1] > 1 && b[1] != 9 || n < 9 || n > 32767 || b[7] > 1 || b[6] > 1 {
		return dissector.No
	}
	switch b[0] {
	case 0x12: // VERSION, its offset and its length of 6
		if len(b) < 14 {
			return dissector.More
		}
		return yes(b[8] == 0 && be16(b[9:]) >= 6 && be16(b[9:]) < n && be16(b[11:]) == 6)
	case 0x10: // length, and a version of TDS 7
		if len(b) < 16 {
			return dissector.More
		}
		return yes(le32(b[8:]) >= 86 && le32(b[8:]) <= n+8 && b[15] >= 0x70 && b[15] <= 0x74)
	case 0x04: // an answer to PRELOGIN, or LOGINACK, ERROR, INFO, ENVCHANGE
		if b[8] == 0 && len(b) < 13 {
			return dissector.More
		}
		return yes(b[8] == 0 && be16(b[9:]) < n && be16(b[11:]) == 6 || (b[8] == 0xad || b[8] == 0xe3) && n > 30 && b[4] == 0 || n == len(b) && b[7] == 0 && n >= 17 && tdsToken(b[8]))
	case 0x01, 0x03: // a batch, a call: ALL_HEADERS with the transaction's first
		if len(b) < 18 {
			return dissector.More
		}
		name := le16(b[8:]) // of a call without headers (TDS 7.1): length in characters, UTF-16
		return yes(le32(b[8:]) == 22 && le32(b[12:]) == 18 && le16(b[16:]) == 2 ||
			b[0] == 3 && (n == len(b) || len(b) == dissector.MaxPrefix && n > len(b)) && name > 1 && name <= 128 && 10+2*name < n && b[11]|b[13] == 0 && printable([]byte{b[10], b[12]}))
	case 0x02: // TDS 4 and 5: host name padded to 30
		return yes(n == 512 && b[1] == 0 && b[8] >= ' ' && len(b) > 38 && b[38] > 0 && b[38] <= 30)
	}
	return dissector.No
}

// tdsToken reports the tokens that an answer begins with: COLMETADATA, ERROR, INFO,
// RETURNSTATUS, DONE, DONEPROC, DONEINPROC (2.2.7).
func tdsToken(b byte) bool {
	switch b {
	case 0x81, 0xaa, 0xab, 0x79, 0xfd, 0xfe, 0xff:
		return true
	}
	return false
}

// oracle knows TNS: length, checksum 0, kind, and of a CONNECT the versions, of the
// answers their few kinds with lengths that fit (Oracle Net, as Wireshark lists it).
func oracle(b []byte) dissector.Verdict {
	if len(b) > 3 && b[2]|b[3] != 0 {
		return dissector.No
	}
	if len(b) < 8 {
		return dissector.More
	}
	n := be16(b)
	if n < 8 || b[2]|b[3]|b[6]|b[7] != 0 || b[5] > 0x20 {
		return dissector.No
	}
	switch b[4] {
	case 1:
		if len(b) < 34 {
			return dissector.More
		}
		version, compatible, offset := be16(b[8:]), be16(b[10:]), be16(b[26:])
		return yes(version >= 300 && version <= 330 && compatible >= 300 && compatible <= version && offset >= 34 && offset <= n)
	case 2:
		if len(b) < 24 {
			return dissector.More
		}
		return yes(be16(b[8:]) >= 300 && be16(b[8:]) <= 330 && n >= 24 && n < 200)
	case 4: // REFUSE: reasons, length of text
		if len(b) < 13 {
			return dissector.More
		}
		return yes(n < 2048 && be16(b[10:]) == n-12 && b[12] == '(')
	}
	return dissector.No
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
