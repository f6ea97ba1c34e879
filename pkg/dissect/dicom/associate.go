package dicom

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The items of A-ASSOCIATE (PS3.8 9.3.2, 9.3.3; user information PS3.7 D.3.3).
// Those that contain others are walked through, so that an association of any
// size is read item by item.
const (
	itemContextRQ      = 0x20
	itemContextAC      = 0x21
	itemAbstract       = 0x30
	itemTransfer       = 0x40
	itemUser           = 0x50
	itemMaxPDU         = 0x51
	itemImplementation = 0x52
	itemAsync          = 0x53
	itemRole           = 0x54
	itemVersion        = 0x55
	itemExtended       = 0x56
	itemCommonExtended = 0x57
	itemIdentity       = 0x58
)

const (
	maxItem     = 128 // of the items that are kept: UIDs of 64, names of 16
	maxBegin    = 68  // of those whose beginning is enough
	maxContexts = 128 // odd numbers of a byte
	maxSyntaxes = 64
	maxRoles    = 128
)

// syntax is a transfer syntax, as far as it matters for reading.
type syntax uint8

const (
	unknown  syntax = iota // or not agreed on: to be guessed from the data
	implicit               // little endian
	explicit               // little endian, compressed pixels included
	bigEndian
	deflated
	several // of a proposal: more than one
)

// context is one presentation context.
type context struct {
	id       uint8
	result   uint8 // of the acceptance, 0 accepted
	abstract string
	transfer syntax
}

// items reads the body of an A-ASSOCIATE-RQ or AC.
type items struct {
	buf                     []byte
	fixed                   bool // the fixed part was read
	damaged                 bool
	skip                    int // bytes of an item that are of no interest
	need                    int // bytes of the item in hand that are kept
	rest                    int // bytes of it beyond these
	item                    uint8
	called, calling         string
	implementation, version string
	contexts                []context
	transfers               []string // all transfer syntaxes, each once
	maxPDU                  uint32
	async                   string
	roles, extended         []string
	identity                identity
}

func (it *items) size() int {
	return cap(it.buf) + contextsSize(it.contexts) + 80*(cap(it.transfers)+cap(it.roles)+cap(it.extended))
}

func contextsSize(list []context) int { return 112 * cap(list) }

// read takes some of b, at least one byte, and returns how many.
func (it *items) read(b []byte) int {
	if it.skip > 0 {
		n := min(it.skip, len(b))
		it.skip -= n
		return n
	}
	need := it.need
	switch {
	case !it.fixed:
		need = fixedSize
	case it.item == 0:
		need = 4
	}
	n := min(need-len(it.buf), len(b))
	it.buf = append(it.buf, b[:n]...)
	if len(it.buf) < need {
		return n
	}
	switch {
	case !it.fixed:
		it.fixed = true
		it.called, it.calling = dissector.Text(it.buf[4:20], 16), dissector.Text(it.buf[20:36], 16)
	case it.item == 0:
		it.begin(it.buf[0], int(binary.BigEndian.Uint16(it.buf[2:])))
	default:
		it.value(it.buf)
		clear(it.buf)
		it.item = 0
		it.skip = it.rest
	}
	it.buf = it.buf[:0]
	return n
}

// begin decides about an item by its header.
func (it *items) begin(kind uint8, size int) {
	switch kind {
	case itemUser:
		return // its items follow
	case itemContextRQ, itemContextAC:
		size = 4 // its number; its items follow
	case itemAbstract, itemTransfer, itemImplementation, itemVersion, itemMaxPDU, itemAsync, itemRole:
	case itemExtended, itemCommonExtended, itemIdentity:
		if size > maxBegin {
			it.item, it.need, it.rest = kind, maxBegin, size-maxBegin
			return
		}
	default:
		it.skip = size // the application context, the answer to an identity
		return
	}
	if size == 0 || size > maxItem {
		it.skip = size
		return
	}
	it.item, it.need, it.rest = kind, size, 0
}

func (it *items) value(b []byte) {
	switch it.item {
	case itemContextRQ, itemContextAC:
		if len(it.contexts) == maxContexts {
			it.damaged = true
			it.contexts = it.contexts[:maxContexts-1]
		}
		it.contexts = append(it.contexts, context{id: b[0], result: b[2]})
	case itemAbstract:
		if x := it.last(); x != nil {
			x.abstract = uid(b)
		}
	case itemTransfer:
		x := it.last()
		if s := uid(b); s != "" && !slices.Contains(it.transfers, s) && len(it.transfers) < maxSyntaxes && (x == nil || x.result == 0) {
			it.transfers = append(it.transfers, s)
		}
		switch {
		case x == nil:
		case x.transfer == unknown:
			x.transfer = syntaxOf(uid(b))
		case x.transfer != syntaxOf(uid(b)):
			x.transfer = several
		}
	case itemImplementation:
		it.implementation = uid(b)
	case itemVersion:
		it.version = dissector.Text(b, 16)
	case itemIdentity:
		it.identity.read(b)
	default:
		it.negotiate(b)
	}
}

func (it *items) last() *context {
	if len(it.contexts) == 0 {
		return nil
	}
	return &it.contexts[len(it.contexts)-1]
}

// uid is a UID, "" for anything else (PS3.5 9.1).
func uid(b []byte) string {
	s := strings.TrimRight(string(b), "\x00 ")
	if len(s) > 64 || strings.Trim(s, "0123456789.") != "" {
		return ""
	}
	return s
}

// syntaxOf classes a transfer syntax (PS3.5 A; compressed ones are explicit
// little endian).
func syntaxOf(uid string) syntax {
	switch {
	case uid == "1.2.840.10008.1.2":
		return implicit
	case uid == "1.2.840.10008.1.2.2":
		return bigEndian
	case uid == "1.2.840.10008.1.2.1.99", uid == "1.2.840.10008.1.2.4.95", uid == "1.2.840.10008.1.2.8.1":
		return deflated
	case uid == "1.2.840.10008.1.2.1", strings.HasPrefix(uid, "1.2.840.10008.1.2.4."), uid == "1.2.840.10008.1.2.5":
		return explicit
	}
	return several // a private one
}

// association is what both directions agreed on.
type association struct {
	called, calling string
	proposed        []context
	accepted        []context
	requester       dissector.Side
	tally           tally
}

func (a *association) size() int {
	return contextsSize(a.proposed) + contextsSize(a.accepted) + a.tally.size()
}

// titles names the two ends.
func (a *association) titles(to *proto.Attributes) {
	to.Set("called_ae", a.called)
	to.Set("calling_ae", a.calling)
}

// syntax is the transfer syntax of a context: the accepted one, or the only one
// that was proposed.
func (a *association) syntax(id uint8) syntax {
	for _, list := range [][]context{a.accepted, a.proposed} {
		for i := range list {
			if list[i].id == id && list[i].transfer != unknown && list[i].transfer != several {
				return list[i].transfer
			}
		}
	}
	return unknown
}

// associate ends an A-ASSOCIATE-RQ or AC.
func (s *stream) associate(c *dissector.Context, h *half) {
	it := &h.items
	if !it.fixed {
		c.Count("dicom_associate_size")
		return
	}
	f := dissector.Fact{Kind: "associate_rq", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	role, result := "scu", ""
	if h.kind == associateAC {
		f.Kind, role, result = "associate_ac", "scp", "accepted"
		s.assoc.accepted = it.contexts
		a.SetList("rejected_contexts", s.assoc.rejected())
		if s.assoc.called == "" && s.assoc.calling == "" {
			s.assoc.called, s.assoc.calling = it.called, it.calling
		}
	} else {
		s.tell(c) // the association before, on the same connection
		s.assoc = association{called: it.called, calling: it.calling, proposed: it.contexts, requester: c.Side}
	}
	s.assoc.titles(a)
	a.Set("role", role)
	a.Set("result", result)
	a.Set("implementation_uid", it.implementation)
	a.Set("implementation_version", it.version)
	a.SetList("abstract_syntaxes", s.assoc.abstracts(h.kind == associateAC))
	it.tell(a)
	s.assoc.services(a, h.kind == associateAC)
	if it.damaged || len(it.buf) > 0 || it.item != 0 || it.skip > 0 {
		c.Count("dicom_associate_damaged")
		a.Set("incomplete", "true")
	}
	h.items = items{}
	c.Emit(&f)
}

// abstracts lists the abstract syntaxes, each once in the order proposed; only
// those that were accepted, if asked for.
func (a *association) abstracts(accepted bool) []string {
	var list []string
	for _, x := range a.proposed {
		if x.abstract == "" || slices.Contains(list, x.abstract) {
			continue
		}
		if accepted && !slices.ContainsFunc(a.accepted, func(y context) bool { return y.id == x.id && y.result == 0 }) {
			continue
		}
		list = append(list, x.abstract)
	}
	return list
}

// name picks a word by number, "" beyond the words.
func name(n uint8, words ...string) string {
	if int(n) < len(words) {
		return words[n]
	}
	return ""
}

func decimal(n uint8) string { return strconv.Itoa(int(n)) }
