// Package httpbody is how the bodies of HTTP messages are read by those who know
// their content: FHIR, DICOMweb, IPP, SOAP and whatever else is carried by HTTP.
//
// Here live the form of such a reader and the message that it is told about;
// pkg/dissect/http does the framing, takes the transfer coding off, undoes gzip
// and deflate, and bounds what is read. To add one:
//
//   - make a package that exports a *Kind: Wants says by the head of a message
//     whether its body is to be read, New makes the Reader of one connection;
//   - put it into the list in pkg/dissect/http/bodies.go.
//
// A Reader gets the bodies of both directions, each in order and whatever way it
// was cut; Context.Side says who sent the bytes in hand. Bodies of the two
// directions may overlap in time, so that what belongs to a body is kept for each
// side. A reader whose bodies are small leaves the collecting to Whole.
//
// The rules for dissectors (pkg/dissect) are the rules here: bounded memory, no
// content in counters, facts with named device fields only. A reader sets
// Fact.Protocol itself, or the facts would be HTTP's, and says Context.Sink.Inner
// when it is sure of what it reads, as text/xml may be anybody's.
package httpbody

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Kind is one kind of body that somebody reads.
type Kind struct {
	// Wants reports whether the message's body is to be read. It is asked for every
	// message, also one without a body, and allocates nothing.
	Wants func(m *Message) bool

	// Request, where it is set, judges a request by its method and its target, and
	// gives a number of the reader's own choice that is Message.Tag from then on, of
	// the request and of its response. 0 is for requests of others; the first Kind
	// that gives another number has it.
	Request func(m *Message) uint32

	// New makes the reader of one connection, at the first message that is wanted.
	New func() Reader

	// Limit is the most bytes of a body that are read, 0 for 256 KiB. What follows is
	// stepped over.
	Limit int
}

// DefaultLimit is the Limit of a Kind that sets none.
const DefaultLimit = 256 << 10

// Reader reads the wanted bodies of one connection.
type Reader interface {
	// Body takes the next bytes of a body; false says that the rest is not needed,
	// and End is not called.
	Body(c *dissector.Context, m *Message, b []byte) bool
	// End says that a message is over, also one without a body. Message.Incomplete
	// says that its body was not read to its end.
	End(c *dissector.Context, m *Message)
	// Close says that the connection is over: the time for what was counted.
	Close(c *dissector.Context)
	// Size is about how many bytes the reader keeps.
	Size() int
}

// Message is a message's head, as far as it matters for its body. Neither it nor
// what it points to may be kept beyond the message's End, and nothing of a target
// ever leaves.
type Message struct {
	Response   bool
	Method     string // "GET", "other"; of a response that of its request, "" where that was not seen
	Status     int    // of a response
	Target     []byte // of a request: path and query as they were sent, the first 2 KiB
	Type       []byte // media type in lower case without its parameters, "" for none
	Parameters []byte // of the media type, in lower case
	Boundary   []byte // of a multipart type, as it was sent
	Accept     []byte // of a request, in lower case
	Action     []byte // SOAPAction of a request, without quotes
	Tag        uint32 // what Kind.Request gave; 0 where another Kind has the request
	Incomplete bool   // at End: bytes are missing, or were beyond the limit
}

// Whole makes a Reader that collects a body of at most limit bytes and hands it
// over at once. Of a longer one, or one with missing bytes, read gets the
// beginning, and Message.Incomplete is set.
func Whole(limit int, read func(c *dissector.Context, m *Message, b []byte)) Reader {
	return &whole{limit: limit, read: read}
}

type whole struct {
	limit int
	read  func(c *dissector.Context, m *Message, b []byte)
	half  [2][]byte
}

func (w *whole) Body(c *dissector.Context, m *Message, b []byte) bool {
	buf := &w.half[c.Side&1]
	n := min(len(b), w.limit-len(*buf))
	*buf = append(*buf, b[:n]...)
	if n == len(b) {
		return true
	}
	m.Incomplete = true
	w.End(c, m)
	m.Incomplete = false
	return false
}

func (w *whole) End(c *dissector.Context, m *Message) {
	buf := &w.half[c.Side&1]
	b := *buf
	*buf = nil
	if len(b) > 0 {
		w.read(c, m, b)
	}
}

func (w *whole) Close(*dissector.Context) {}

func (w *whole) Size() int { return cap(w.half[0]) + cap(w.half[1]) + 64 }

// Path is the target's path: without scheme, host, query and fragment.
func (m *Message) Path() []byte {
	t := m.Target
	if i := bytes.Index(t, []byte("://")); i > 0 && t[0] != '/' {
		t = t[i+3:]
		if j := bytes.IndexByte(t, '/'); j >= 0 {
			t = t[j:]
		} else {
			t = nil
		}
	}
	if i := bytes.IndexAny(t, "?#"); i >= 0 {
		t = t[:i]
	}
	return t
}

// Query is the target's query.
func (m *Message) Query() []byte {
	_, q, _ := bytes.Cut(m.Target, []byte("?"))
	return q
}
