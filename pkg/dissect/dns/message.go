package dns

import (
	"encoding/binary"
)

// header is the fixed part: id, flags, and the number of questions, answers,
// authorities and additionals (RFC 1035 4.1.1).
const headerSize = 12

// Flag bits and fields of the second word.
const (
	flagResponse      = 0x8000
	flagAuthoritative = 0x0400
	flagCut           = 0x0200
	flagRecursion     = 0x0080 // is to be had
	flagZ             = 0x0040
)

// Operations (RFC 1035 4.1.1, RFC 1996, RFC 2136).
const (
	opQuery  = 0
	opNotify = 4
	opUpdate = 5
)

const (
	maxJumps   = 32  // compression pointers followed in one name
	maxName    = 255 // bytes of a name on the wire, RFC 1035 2.3.4
	maxRecords = 512 // records of one message that are looked at
)

// message is a DNS message under the cursor.
type message struct {
	b      []byte
	flags  uint16
	counts [4]int
}

func (m *message) response() bool { return m.flags&flagResponse != 0 }
func (m *message) opcode() uint16 { return m.flags >> 11 & 15 }
func (m *message) rcode() uint16  { return m.flags & 15 }

// open reads the header.
func open(b []byte) (m message, ok bool) {
	if len(b) < headerSize {
		return m, false
	}
	m = message{b: b, flags: binary.BigEndian.Uint16(b[2:])}
	for i := range m.counts {
		m.counts[i] = int(binary.BigEndian.Uint16(b[4+2*i:]))
	}
	return m, true
}

// name is a domain name in lower case: its labels, their text joined by dots,
// and where each label begins in it.
type name struct {
	text   [maxName + 1]byte
	n      int
	starts [128]uint8
	labels int
	plain  bool // letters, digits, hyphen and underscore only
}

func (n *name) bytes() []byte { return n.text[:n.n] }

// last gives the text of the last k labels, all of it if there are fewer.
func (n *name) last(k int) []byte {
	if n.labels == 0 {
		return nil
	}
	return n.text[n.starts[max(0, n.labels-k)]:n.n]
}

// name reads the name at off and returns where it ends (RFC 1035 4.1.4). A loop
// of pointers ends at maxJumps.
func (m *message) name(off int, n *name) (end int, ok bool) {
	n.n, n.labels, n.plain = 0, 0, true
	jumps := 0
	for size := 0; ; {
		if off >= len(m.b) {
			return 0, false
		}
		l := int(m.b[off])
		switch l >> 6 {
		case 0:
			if l == 0 {
				if jumps == 0 {
					end = off + 1
				}
				return end, true
			}
			if size += l + 1; off+1+l > len(m.b) || size > maxName-1 {
				return 0, false
			}
			n.append(m.b[off+1 : off+1+l])
			off += 1 + l
		case 3:
			if off+2 > len(m.b) || jumps == maxJumps {
				return 0, false
			}
			if jumps == 0 {
				end = off + 2
			}
			jumps++
			off = int(binary.BigEndian.Uint16(m.b[off:]) & 0x3fff)
		default: // extended labels, RFC 6891 5: never deployed
			return 0, false
		}
	}
}

func (n *name) append(label []byte) {
	if n.labels > 0 {
		n.text[n.n] = '.'
		n.n++
	}
	n.starts[n.labels] = uint8(n.n)
	n.labels++
	for _, c := range label {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		n.plain = n.plain && letter(c)
		n.text[n.n] = c
		n.n++
	}
}

// letter holds for what names of hosts and services are made of, in lower case.
func letter(c byte) bool {
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'
}

// label is the i-th label, from the left.
func (n *name) label(i int) []byte {
	end := n.n
	if i+1 < n.labels {
		end = int(n.starts[i+1]) - 1
	}
	return n.text[n.starts[i]:end]
}

// hostname holds for labels of nothing else.
func hostname(b []byte) bool {
	for _, c := range b {
		if !letter(c) && c != '.' {
			return false
		}
	}
	return true
}

// question reads the question at off: its name, type and class.
func (m *message) question(off int, n *name) (qtype, class uint16, end int, ok bool) {
	end, ok = m.name(off, n)
	if !ok || end+4 > len(m.b) {
		return 0, 0, 0, false
	}
	return binary.BigEndian.Uint16(m.b[end:]), binary.BigEndian.Uint16(m.b[end+2:]), end + 4, true
}

// record is a resource record; its data are m.b[data : data+size].
type record struct {
	owner      name
	kind       uint16
	class      uint16
	ttl        uint32
	data, size int
}

// record reads the record at off (RFC 1035 4.1.3).
func (m *message) record(off int, r *record) (end int, ok bool) {
	off, ok = m.name(off, &r.owner)
	if !ok || off+10 > len(m.b) {
		return 0, false
	}
	r.kind = binary.BigEndian.Uint16(m.b[off:])
	r.class = binary.BigEndian.Uint16(m.b[off+2:])
	r.ttl = binary.BigEndian.Uint32(m.b[off+4:])
	r.size = int(binary.BigEndian.Uint16(m.b[off+8:]))
	r.data = off + 10
	if r.data+r.size > len(m.b) {
		return 0, false
	}
	return r.data + r.size, true
}

// strict reports whether b is beyond doubt an ordinary query or response: on a
// port that means nothing, the whole structure has to be right.
func (m *message) strict(n *name, r *record, whole bool) bool {
	if m.opcode() != 0 || m.flags&flagZ != 0 || m.counts[0] != 1 || m.rcode() > 10 {
		return false
	}
	if !m.response() && (m.counts[1] != 0 || m.counts[2] != 0 || m.counts[3] > 2 || m.rcode() != 0) {
		return false
	}
	qtype, class, off, ok := m.question(headerSize, n)
	if !ok || typeNames[qtype] == "" || (class != 1 && class != 3 && class != 255) || !n.plain || netbios(n) {
		return false
	}
	records := m.counts[1] + m.counts[2] + m.counts[3]
	if records > maxRecords {
		return false
	}
	for range records {
		if off, ok = m.record(off, r); !ok {
			return !whole
		}
	}
	return !whole || off == len(m.b)
}

// netbios recognises a first-level encoded NetBIOS name (RFC 1001 14.1): the
// NetBIOS name service looks like DNS otherwise.
func netbios(n *name) bool {
	if n.labels == 0 || len(n.last(n.labels)) < 32 || (n.labels > 1 && n.starts[1] != 33) || (n.labels == 1 && n.n != 32) {
		return false
	}
	for _, c := range n.text[:32] {
		if c < 'a' || c > 'p' {
			return false
		}
	}
	return true
}

// typeNames are the record types (IANA DNS parameters) that are named; others
// are TYPE and their number (RFC 3597).
var typeNames = map[uint16]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 11: "WKS", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB",
	24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 37: "CERT", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP",
	46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 61: "OPENPGPKEY", 64: "SVCB", 65: "HTTPS",
	99: "SPF", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA",
}

// rcodeNames are the response codes of the header (IANA DNS parameters).
var rcodeNames = [16]string{
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
	"DSOTYPENI", "RCODE12", "RCODE13", "RCODE14", "RCODE15",
}
