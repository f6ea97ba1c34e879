package http

import (
	"encoding/base64"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dns"
)

// DNS over HTTP/2 (RFC 8484), where that is in clear: a question in the path's query, in
// base64, or as a body of a type of its own, as the answers are. What is told of it is
// what DNS tells; the path goes no further.
const (
	dnsType    = "application/dns-message"
	dnsQuery   = "dns="
	maxDNS     = 4 << 10 // bytes of a message that are kept
	maxDNSBody = 8       // streams of a direction whose bodies are awaited

	frameData     = 0
	flagEndStream = 0x01
)

// dnsBody is what there is of a body.
type dnsBody struct {
	stream uint32
	b      []byte
	long   bool // or not all of it was seen
}

// question takes a question out of a path.
func question(path string) []byte {
	_, query, _ := strings.Cut(path, "?")
	for part := range strings.SplitSeq(query, "&") {
		value, ok := strings.CutPrefix(part, dnsQuery)
		if !ok || len(value) > base64.RawURLEncoding.EncodedLen(maxDNS) {
			continue
		}
		if b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "=")); err == nil {
			return b
		}
	}
	return nil
}

// dns acts on a block of fields: a question in its path is told, a body that is to come
// awaited.
func (h *h2half) dns(c *dissector.Context) {
	if h.asked != nil && h.method {
		carried(c, h.asked, false)
	}
	if h.isDNS && h.head[4]&flagEndStream == 0 && h.body() == nil {
		if len(h.bodies) == maxDNSBody { // a stream that was broken off, for all we know
			h.bodies = append(h.bodies[:0], h.bodies[1:]...)
		}
		h.bodies = append(h.bodies, dnsBody{stream: h.streamID()})
	}
	h.asked, h.isDNS = nil, false
}

// body finds the body that the frame in hand is of.
func (h *h2half) body() *dnsBody {
	for i := range h.bodies {
		if h.bodies[i].stream == h.streamID() {
			return &h.bodies[i]
		}
	}
	return nil
}

func (d *dnsBody) add(b []byte) {
	if d.long = d.long || len(d.b)+len(b) > maxDNS; !d.long {
		d.b = append(d.b, b...)
	}
}

// ended tells of a body that is whole.
func (h *h2half) ended(c *dissector.Context) {
	for i := range h.bodies {
		if d := &h.bodies[i]; d.stream == h.streamID() {
			if !d.long && len(d.b) > 0 {
				carried(c, d.b, true)
			}
			h.bodies = append(h.bodies[:i], h.bodies[i+1:]...)
			return
		}
	}
}

func carried(c *dissector.Context, b []byte, sure bool) {
	if dns.Carried(c, b, sure) {
		c.Sink.Inner("doh")
	} else if sure {
		c.Count("http_dns_malformed")
	}
}
