// Package mms dissects the Manufacturing Message Specification (ISO 9506), with
// which controllers of power supply talk (IEC 61850-8-1), over TPKT and COTP: who
// says which make it is, and who writes and controls.
//
// Session and presentation layer (ISO 8327, ISO 8823) are stepped over: the MMS
// message is looked for in what they carry. Names of variables and values are not
// read.
package mms

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/cotp"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is MMS.
var Protocol = dissector.Protocol{
	Name: "mms", Ports: []uint16{102},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	maxDepth    = 8
	maxText     = 128
	maxControls = 64
)

// oid is the beginning of MMS's own object identifiers, 1.0.9506.
var oid = []byte{0x28, 0xca, 0x22}

// dataPrefix is the session layer's "give tokens" and "data transfer" (ISO 8327,
// 8.3.9, 8.3.12), both empty, and the presentation layer's user data (ISO 8823, 8.4).
var dataPrefix = []byte{1, 0, 1, 0, 0x61}

// recognise wants MMS's object identifier where a connection is set up, or data
// in the frames of session and presentation layer.
func recognise(b []byte, _ bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if b[0] != 3 || len(b) > 1 && b[1] != 0 {
		return dissector.No
	}
	verdict := dissector.More
	whole, valid := cotp.Walk(b, func(m cotp.Message) bool {
		switch {
		case m.Foreign:
			verdict = dissector.No
		case m.Code != cotp.Data || len(m.User) == 0:
			return false
		case m.User[0] == 0x0d || m.User[0] == 0x0e: // CONNECT, ACCEPT
			if bytes.Contains(m.User, oid) {
				verdict = dissector.Yes
			}
			return verdict == dissector.Yes
		case bytes.HasPrefix(m.User, dataPrefix):
			if kind, _, ok := find(m.User); ok && kind >= 0xa0 {
				verdict = dissector.Yes
			}
		case len(m.User) < len(dataPrefix) && bytes.HasPrefix(dataPrefix, m.User):
		default:
			verdict = dissector.No
		}
		return true
	})
	if !valid || whole && verdict == dissector.More && len(b) > 300 {
		return dissector.No
	}
	return verdict
}

// element is one of BER's (X.690, 8.1): definite lengths, tags of up to two bytes.
func element(b []byte) (tag int, value, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	tag, i := int(b[0]), 1
	if b[0]&31 == 31 {
		tag, i = tag<<8|int(b[1]), 2
		if b[1]&0x80 != 0 || len(b) < 3 {
			return 0, nil, nil, false
		}
	}
	n := int(b[i])
	i++
	if n >= 0x80 {
		k := n & 0x7f
		if k == 0 || k > 3 || len(b) < i+k {
			return 0, nil, nil, false
		}
		n = 0
		for _, x := range b[i : i+k] {
			n = n<<8 | int(x)
		}
		i += k
	}
	if n > len(b)-i {
		return tag, b[i:], nil, true // cut: what there is
	}
	return tag, b[i : i+n], b[i+n:], true
}

// find steps through the presentation layer to the MMS message of a data transfer:
//
//	61 user data { 30 list { 02 context, a0 single type { message } } }
func find(b []byte) (tag int, value []byte, ok bool) {
	if len(b) < 5 {
		return 0, nil, false
	}
	tag, value, _, ok = element(b[4:])
	if !ok || tag != 0x61 {
		return 0, nil, false
	}
	if tag, value, _, ok = element(value); !ok || tag != 0x30 {
		return 0, nil, false
	}
	for {
		var v []byte
		if tag, v, value, ok = element(value); !ok {
			return 0, nil, false
		}
		switch tag {
		case 0x06, 0x02:
			continue
		case 0xa0:
			tag, v, _, ok = element(v)
			return tag, v, ok
		}
		return 0, nil, false
	}
}

var format = cotp.Format("")

// stream is one connection.
type stream struct {
	framing.Both
	more     [2]bool // the message before goes on
	told     string
	once     map[string]bool
	controls int
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		x := cotp.Read(m)
		first := !s.more[c.Side&1]
		s.more[c.Side&1] = x.More
		if x.Code == cotp.Data && first && bytes.HasPrefix(x.User, dataPrefix) {
			s.message(c, x.User)
		}
		return false
	})
}

// Gap begins anew with what follows.
func (s *stream) Gap(c *dissector.Context, n int64) {
	s.Both.Gap(c, n)
	s.more[c.Side&1] = false
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	return s.Both.Size() + len(s.told) + 64*len(s.once)
}

// The kinds of messages (ISO 9506-2, MMSpdu) and the services that are told of
// (ConfirmedServiceRequest).
const (
	confirmedRequest  = 0xa0
	confirmedResponse = 0xa1
	identify          = 0xa2
)

var services = map[int]string{
	0xa5:   "write",
	0xbf1a: "initiate_download",
	0xbf1d: "initiate_upload",
	0xbf24: "delete_domain",
	0xbf26: "create_program_invocation",
	0xbf27: "delete_program_invocation",
	0xbf28: "start",
	0xbf29: "stop",
	0xbf2a: "resume",
	0xbf2b: "reset",
	0xbf2c: "kill",
	0xb3:   "take_control",
	0xb4:   "relinquish_control",
	0xbf48: "open_file",
	0x9f4c: "delete_file",
	0xbf4b: "rename_file",
	0xbf2e: "obtain_file",
}

// message reads one MMS message: an id, and what is asked or answered.
func (s *stream) message(c *dissector.Context, b []byte) {
	kind, value, ok := find(b)
	if !ok {
		c.Count("mms_malformed")
		return
	}
	if kind != confirmedRequest && kind != confirmedResponse {
		return
	}
	for range maxDepth {
		tag, v, rest, ok := element(value)
		if !ok {
			return
		}
		if value = rest; tag == 0x02 { // invoke id
			continue
		}
		if kind == confirmedResponse {
			if tag == identify {
				s.identity(c, v)
			}
			return
		}
		if name := services[tag]; name != "" {
			s.control(c, name)
		}
		return
	}
}

// identity reads the answer to Identify: vendor, model, revision.
func (s *stream) identity(c *dissector.Context, b []byte) {
	f := dissector.Fact{Kind: "identity", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	for len(b) > 0 {
		tag, v, rest, ok := element(b)
		if !ok {
			break
		}
		b = rest
		switch tag {
		case 0x80:
			a.Set("manufacturer", dissector.Text(v, maxText))
		case 0x81:
			a.Set("model", dissector.Text(v, maxText))
		case 0x82:
			a.Set("software_version", dissector.Text(v, maxText))
		}
	}
	text := a.Get("manufacturer") + "\x00" + a.Get("model") + "\x00" + a.Get("software_version")
	if len(text) > 2 && text != s.told {
		s.told = text
		c.Emit(&f)
	}
}

// control tells who changes something: writes once, the rest each time.
func (s *stream) control(c *dissector.Context, operation string) {
	if operation == "write" || operation == "open_file" {
		if s.once[operation] {
			return
		}
		if s.once == nil {
			s.once = map[string]bool{}
		}
		s.once[operation] = true
	}
	if s.controls++; s.controls > maxControls {
		c.Count("mms_control_skipped")
		return
	}
	f := dissector.Fact{Kind: "control", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("operation", operation)
	c.Emit(&f)
}
