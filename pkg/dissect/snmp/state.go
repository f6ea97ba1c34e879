package snmp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxTold  = 64 // different facts of a flow
	maxList  = 32 // values of one list
	maxParts = 64 // values of parts of one message

	maxEnterprise = 1 << 20 // IANA is at 65,000
	maxRun        = 5       // printable characters in a row that chance makes
)

// How the rest of an engine id is made (RFC 3411 5).
const (
	formIPv4 = 1
	formIPv6 = 2
	formMAC  = 3
	formText = 4
)

// state is what is kept of a flow: what was said of it, and counts.
type state struct {
	told      []uint64         // hashes of facts
	identity  proto.Attributes // as last said of the agent
	pdus      [len(kinds)]int
	encrypted int
	errors    [len(errorNames)]int
	informs   bool
	opener    string // role of who opened the flow
	chassis   uint64 // row of the whole device in ENTITY-MIB
	sure      bool   // because its class says so
	rows      map[rowKey]*row
	recent    map[uint64]proto.Time // hashes of rows, and when they were told
}

// errorNames are the values of error-status (RFC 3416 3).
var errorNames = [...]string{
	"", "too_big", "no_such_name", "bad_value", "read_only", "gen_err", "no_access", "wrong_type", "wrong_length", "wrong_encoding", "wrong_value",
	"no_creation", "inconsistent_value", "resource_unavailable", "commit_failed", "undo_failed", "authorization_error", "not_writable", "inconsistent_name",
}

// trapNames are the generic traps (RFC 1157 4.1.6), which are numbered from 0 in
// version 1, and from 1 as identifiers (RFC 3418).
var trapNames = [...]string{"cold_start", "warm_start", "link_down", "link_up", "authentication_failure", "egp_neighbor_loss", "enterprise_specific"}

// Size is about how many bytes are kept.
func (s *state) Size() int {
	n := 512 + 8*cap(s.told) + 160*len(s.rows) + 32*len(s.recent)
	for _, a := range s.identity {
		n += 64 + len(a.Value)
		for _, v := range a.List {
			n += 16 + len(v)
		}
	}
	return n
}

// End sums the flow up, where there was more than a question and its answer.
func (s *state) End(c *dissector.Context) {
	total, list := s.encrypted, []string(nil)
	counts := map[string]int{"encrypted": s.encrypted}
	for i, n := range s.pdus {
		counts[kinds[i]] += n
		total += n
	}
	for _, k := range []string{"get", "get_next", "get_bulk", "set", "response", "trap", "inform", "report", "encrypted"} {
		if counts[k] > 0 {
			list = append(list, k+":"+strconv.Itoa(counts[k]))
		}
	}
	if total <= 2 {
		return
	}
	f := dissector.Fact{Kind: "messages", Subject: dissector.Subject{Side: dissector.Src}}
	f.Attributes.Set("role", s.opener)
	f.Attributes.SetList("pdus", list)
	var errors []string
	for i, n := range s.errors {
		if n > 0 && i > 0 {
			errors = append(errors, errorNames[i]+":"+strconv.Itoa(n))
		}
	}
	f.Attributes.SetList("errors", errors)
	c.Emit(&f)
}

// message tells what is new in a message.
func (s *state) message(c *dissector.Context, m *message) {
	role, kind := m.sender(c)
	if kind == "inform" {
		s.informs = true
	}
	if kind == "response" && (s.informs || c.Headers.SrcPort == portTrap) {
		role = "client" // whoever takes informs is a manager
	}
	if s.opener == "" {
		s.opener = role
		if c.Side == dissector.Dst {
			s.opener = map[string]string{"client": "server", "server": "client"}[role]
		}
	}
	if m.malformed {
		c.Count("snmp_pdu_malformed")
	}
	e := event{c: c, s: s, role: role, kind: kind, from: c.Headers.SrcIP}
	e.head(m)
	if m.encrypted {
		s.encrypted++
	} else {
		s.pdus[m.tag-tagFirstPDU]++
		e.body(m)
	}
	e.emit()
	e.emitTables()
	if role == "client" && m.v3.named && m.expects(c) {
		s.asked(c, m.v3.engine)
	}
}

// asked tells of the engine that a manager's message names: that of the device which is
// asked (RFC 3414 1.5.1), and so is about the other side. Once the agent has said the
// same itself there is nothing to add. Boots and time are only the manager's reckoning.
func (s *state) asked(c *dissector.Context, id []byte) {
	e := event{c: c, s: s}
	e.engine(id)
	name := e.identity.Get("engine_id")
	if name == "" || name == s.identity.Get("engine_id") || s.isTold(xxhash.Sum64String("engine "+name)) {
		return
	}
	e.identity.Set("role", "server")
	c.Emit(&dissector.Fact{Kind: "engine", Subject: dissector.Subject{Side: c.Side.Peer()}, Attributes: e.identity})
}

// isTold reports whether this was said before, and remembers it.
func (s *state) isTold(h uint64) bool {
	if slices.Contains(s.told, h) || len(s.told) == maxTold {
		return true
	}
	s.told = append(s.told, h)
	return false
}

// learn takes what an agent says of itself, and reports whether it is news.
func (s *state) learn(a proto.Attributes) bool {
	news := false
	for _, x := range a {
		if x.List != nil {
			known := s.identity.List(x.Name)
			for _, v := range x.List {
				if len(known) < maxList && !slices.Contains(known, v) {
					known, news = append(slices.Clone(known), v), true
				}
			}
			s.identity.SetList(x.Name, known)
		} else if s.identity.Get(x.Name) != x.Value {
			s.identity.Set(x.Name, x.Value)
			news = true
		}
	}
	return news
}

// event is what one message says.
type event struct {
	c          *dissector.Context
	s          *state
	role, kind string
	from       netip.Addr
	a          proto.Attributes // said once for each value
	identity   proto.Attributes // said when it changes
	volatile   proto.Attributes // said along
	parts      []part
	tables     tableRows
}

// part is a value of a row of ENTITY-MIB.
type part struct {
	attribute, value string
	row              uint64
}

// head takes what stands before the PDU.
func (e *event) head(m *message) {
	a := &e.a
	a.Set("role", e.role)
	switch m.version {
	case version1, version2c:
		a.Set("snmp_version", [...]string{"1", "2c"}[m.version])
		a.Set("cleartext_credential", "community")
		a.Set("account", account(m.community))
		return
	}
	a.Set("snmp_version", "3")
	a.Set("security_level", m.v3.level())
	a.Set("authentication", m.v3.authentication())
	// Who expects an answer names the engine of the one who is to answer; else it is the
	// sender's own.
	if e.role == "server" && !m.expects(e.c) {
		e.engine(m.v3.engine)
		if m.v3.boots > 0 {
			e.identity.Set("engine_boots", strconv.FormatUint(m.v3.boots, 10))
			e.volatile.Set("engine_time_s", strconv.FormatUint(m.v3.time, 10))
		}
	}
}

// account says what kind of community it is, never which.
func account(community []byte) string {
	switch string(community) {
	case "":
		return "empty"
	case "public", "private", "Public", "Private", "PUBLIC", "PRIVATE":
		return "default"
	}
	return "other"
}

// engine tells an engine id (RFC 3411 5): the maker's number, then a MAC, an
// address, a text or bytes. A text leaves as its HMAC only.
func (e *event) engine(id []byte) {
	if len(id) < 5 || len(id) > maxEngineID {
		return
	}
	a := &e.identity
	n := binary.BigEndian.Uint32(id) & 0x7fff_ffff
	formed := id[0]&0x80 != 0
	if n > 0 && n < maxEnterprise && (formed || len(id) == 12) {
		a.Set("engine_enterprise", strconv.FormatUint(uint64(n), 10))
	}
	if formed && id[4] == formText || letters(id) {
		a.Set("engine_id", dissector.Pseudonym(e.c.Key, id))
		return
	}
	a.Set("engine_id", hex.EncodeToString(id))
	if !formed {
		return
	}
	rest := id[5:]
	switch id[4] {
	case formIPv4, formIPv6:
		if ip := addrOf(rest); ip.IsValid() && !ip.IsUnspecified() {
			a.Set("engine_ip", ip.Unmap().String())
		}
	case formMAC:
		if len(rest) == 7 && n == 9 && rest[0] == 0 { // Cisco writes seven bytes
			rest = rest[1:]
		}
		a.Set("engine_mac", mac(tagOctets, rest))
	}
}

// letters reports that there are more printable characters in a row than chance
// makes: an id that somebody may have typed.
func letters(b []byte) bool {
	run := 0
	for _, x := range b {
		if x < ' ' || x > '~' {
			run = 0
		} else if run++; run > maxRun {
			return true
		}
	}
	return false
}

// emit tells the message, if there is news in it.
func (e *event) emit() {
	e.whole()
	h := xxhash.New()
	_, _ = h.WriteString(e.kind)
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(e.c.Side)))
	for _, x := range e.a {
		_, _ = h.WriteString(x.Name + "=" + x.Value + ";")
	}
	first := !e.s.isTold(h.Sum64())
	news := e.s.learn(e.identity)
	if !first && !news {
		return
	}
	f := dissector.Fact{Kind: e.kind, Subject: dissector.Subject{Side: e.c.Side}, Attributes: e.a}
	if e.from != e.c.Headers.SrcIP { // a trap that another hands on
		f.Subject = dissector.Subject{Side: dissector.Other, IP: e.from}
	}
	for _, list := range []proto.Attributes{e.identity, e.volatile} {
		for _, x := range list {
			if x.List != nil {
				f.Attributes.SetList(x.Name, x.List)
			} else {
				f.Attributes.Set(x.Name, x.Value)
			}
		}
	}
	e.c.Emit(&f)
}
