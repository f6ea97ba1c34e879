package wsdiscovery

import (
	"bytes"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
)

// Protocol is WS-Discovery.
var Protocol = dissector.Protocol{Name: "ws_discovery", Ports: []uint16{port}, Datagram: datagram}

const (
	port       = 3702
	maxMatches = 32 // of one message
	maxTold    = 16 // messages that are remembered, so that they are told once
)

// marks are in every message, whatever its prefixes: the ends of the two namespaces.
var (
	mark2009 = []byte("/ns/discovery/2009/01")
	mark2005 = []byte("/ws/2005/04/discovery")
)

// state is what is kept of a flow: hashes of what was told. Each message is sent
// several times (SOAP over UDP, appendix I), and searches are repeated all day.
type state struct {
	told [maxTold]uint64
	next int
}

func (*state) End(*dissector.Context) {}

func (*state) Size() int { return 8*maxTold + 32 }

func (s *state) news(sum uint64) bool {
	for _, x := range s.told {
		if x == sum {
			return false
		}
	}
	s.told[s.next] = sum
	s.next = (s.next + 1) % maxTold
	return true
}

func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	start := bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), "\r\n\t ")
	if len(start) == 0 || start[0] != '<' || !bytes.Contains(b, mark2009) && !bytes.Contains(b, mark2005) {
		return dissector.No
	}
	var m message
	scan := xmlscan.Scanner{Vocabulary: vocabulary}
	scan.Write(&m, start)
	scan.Close(&m)
	if m.kind == 0 {
		return dissector.No
	}
	if m.broken {
		c.Count("ws_discovery_incomplete")
	}
	st, ok := c.State.(*state)
	if !ok {
		st = new(state)
		c.State = st
	}
	m.tell(c, st)
	return dissector.Yes
}

// message is one message.
type message struct {
	kind     xmlscan.Name
	broken   bool
	instance string
	matches  []match
	skipped  int // matches beyond maxMatches
}

// match is what is said of one device, or what is looked for.
type match struct {
	uid     string
	types   []string
	scopes  []byte
	xaddrs  []byte
	version string
}

// Broken notes that the document has no end.
func (m *message) Broken() { m.broken = true }

// Start asks for the texts of the elements that are read.
func (m *message) Start(s *xmlscan.Scanner) {
	switch s.Name() {
	case envelope:
		if s.Depth() == 1 && s.Space() == soap {
			return
		}
	case header, body:
		if s.Depth() == 2 {
			return
		}
	case action:
		if s.Up(1) == header && s.Space() == addressing {
			s.Keep()
		}
	case sequence:
		if s.Space() == discovery {
			m.instance = number(s.Attr("InstanceId"))
		}
	case hello, bye, probe, resolve, probeMatches, resolveMatches:
		if s.Depth() == 3 && s.Up(1) == body && s.Space() == discovery {
			m.kind = s.Name()
			if m.kind != probeMatches && m.kind != resolveMatches {
				m.matches = append(m.matches[:0], match{})
			}
		}
	case probeMatch, resolveMatch:
		if len(m.matches) == maxMatches {
			m.skipped++
			s.Skip()
		} else if s.Depth() == 4 && m.kind != 0 {
			m.matches = append(m.matches, match{})
		}
	case address:
		if s.Up(1) == reference && m.describes(s.Up(2)) {
			s.Keep()
		}
	case types, scopes, xaddrs, version:
		if m.describes(s.Up(1)) {
			s.Keep()
		}
	}
	if s.Depth() == 1 {
		s.Skip() // not SOAP
	}
}

// describes reports whether an element is one that holds a device's description.
func (m *message) describes(n xmlscan.Name) bool {
	return len(m.matches) > 0 && (n == probeMatch || n == resolveMatch || n == m.kind)
}

// End takes the text of an element.
func (m *message) End(s *xmlscan.Scanner) {
	v := bytes.TrimSpace(s.Text())
	if len(v) == 0 {
		return
	}
	if s.Name() == action {
		if i := bytes.LastIndexByte(v, '/'); i > 0 && (bytes.HasSuffix(v[:i], mark2009) || bytes.HasSuffix(v[:i], mark2005)) && m.kind == 0 {
			m.kind = actions[string(v[i+1:])]
		}
		return
	}
	if len(m.matches) == 0 {
		return
	}
	x := &m.matches[len(m.matches)-1]
	switch s.Name() {
	case address:
		x.uid = uuid(v)
	case types:
		x.types = typeNames(s, v)
	case scopes:
		x.scopes = bytes.Clone(v)
	case xaddrs:
		x.xaddrs = bytes.Clone(v)
	case version:
		x.version = number(v)
	}
}

// typeNames are the types of a list of qualified names with their usual prefixes;
// those of other namespaces count as "other".
func typeNames(s *xmlscan.Scanner, v []byte) []string {
	var list []string
	for _, w := range bytes.Fields(v) {
		name := "other"
		if space, local := s.Resolve(w); space >= named && word(local) {
			name = prefixes[space-named] + ":" + string(local)
		}
		list = add(list, name)
	}
	return list
}

// word holds for names of types.
func word(b []byte) bool {
	if len(b) == 0 || len(b) > 48 {
		return false
	}
	for _, x := range b {
		if (x < 'A' || x > 'Z') && (x < 'a' || x > 'z') && (x < '0' || x > '9') && x != '_' && x != '-' {
			return false
		}
	}
	return true
}

func sum(kind string, x *match) uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, v := range [][]byte{[]byte(kind), []byte(x.uid), x.scopes, x.xaddrs, []byte(x.version)} {
		_, _ = d.Write(v)
		_, _ = d.Write([]byte{0})
	}
	for _, t := range x.types {
		_, _ = d.WriteString(t)
	}
	return d.Sum64()
}
