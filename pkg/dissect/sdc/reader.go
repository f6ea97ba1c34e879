package sdc

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
)

// Bodies reads the SOAP messages of DPWS and SDC that HTTP carries.
var Bodies = httpbody.Kind{
	Wants: func(m *httpbody.Message) bool { return string(m.Type) == "application/soap+xml" },
	New:   func() httpbody.Reader { return newReader() },
	Limit: 1 << 20, // a whole MDIB
}

// The roles.
const (
	roleProvider = "provider"
	roleConsumer = "consumer"
)

// reader reads the messages of one connection.
type reader struct {
	half     [2]half
	sdc      bool           // BICEPS or an SDC device was seen
	provider dissector.Side // Other while not known
	greeted  bool           // the consumer was told of
	told     string         // the state that was told last
	toldAt   int64          // and when
	measures string
	empty    int            // reports without values in a row
	counts   map[string]int // reports by name
	faults   int
	asked    map[string]bool // lists of reports that were subscribed
}

// half is the message in hand of one direction.
type half struct {
	scan xmlscan.Scanner
	msg  soapMessage
}

func newReader() *reader {
	r := &reader{provider: dissector.Other, counts: map[string]int{}, asked: map[string]bool{}}
	for i := range r.half {
		r.half[i].scan.Vocabulary = vocabulary
	}
	return r
}

// Body takes the next bytes of a message.
func (r *reader) Body(c *dissector.Context, _ *httpbody.Message, b []byte) bool {
	h := &r.half[c.Side&1]
	h.scan.Write(&h.msg, b)
	return true
}

// End tells what the message says.
func (r *reader) End(c *dissector.Context, m *httpbody.Message) {
	h := &r.half[c.Side&1]
	h.scan.Close(&h.msg)
	h.msg.broken = h.msg.broken || m.Incomplete
	if h.msg.kind != 0 {
		r.tell(c, &h.msg)
	}
	h.msg.reset()
}

// Size is the bytes that are kept.
func (r *reader) Size() int {
	n := 4096
	for i := range r.half {
		n += r.half[i].scan.Size() + r.half[i].msg.guard.Size()
	}
	return n
}

func list(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}
