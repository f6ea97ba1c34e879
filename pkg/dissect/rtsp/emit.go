package rtsp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// whole acts on a whole head.
func (s *stream) whole(c *dissector.Context, x *head) {
	f := dissector.Fact{Kind: "response", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	role, key := "server", x.server+x.auth+x.realm
	if x.method != "" {
		f.Kind, role = "request", "client"
		s.client = c.Side
		s.counts[slices.Index(methods, x.method)]++
		key = "request " + x.agent + x.auth + x.account
		a.Set("method", strings.ToLower(x.method))
		a.Set("account", x.account)
		if x.auth == "basic" {
			a.Set("cleartext_credential", "basic")
		}
	} else {
		a.Set("status", strconv.Itoa(x.status))
		a.Set("realm", x.realm)
	}
	a.Set("role", role)
	a.Set("user_agent", x.agent)
	a.Set("server", x.server)
	a.Set("auth", x.auth)
	if !slices.Contains(s.told, key) && len(s.told) < maxFacts {
		s.told = append(s.told, key)
		c.Emit(&f)
	}
	if x.transport != "" && x.status == 200 {
		announce(c, x.transport)
	}
}

// announce reads the transport that a server agreed to (RFC 2326 12.39):
//
//	RTP/AVP;unicast;client_port=4588-4589;server_port=6256-6257;source=10.1.2.3
func announce(c *dissector.Context, transport string) {
	h := c.Headers
	server, client := h.SrcIP, h.DstIP
	part := strings.Split(transport, ";")
	if !strings.HasPrefix(strings.ToUpper(part[0]), "RTP/") || strings.HasSuffix(strings.ToUpper(part[0]), "/TCP") {
		return
	}
	ends := map[string][2]uint16{}
	for _, p := range part[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch name {
		case "source", "destination":
			a, err := netip.ParseAddr(value)
			if err != nil {
				break
			}
			if name == "source" {
				server = a
			} else {
				client = a
			}
		case "client_port", "server_port", "port":
			low, high, two := strings.Cut(value, "-")
			n, err1 := strconv.ParseUint(low, 10, 16)
			m, err2 := strconv.ParseUint(high, 10, 16)
			if err1 != nil {
				break
			}
			if !two || err2 != nil {
				m = 0
			}
			ends[name] = [2]uint16{uint16(n), uint16(m)}
		}
	}
	for _, name := range []string{"client_port", "server_port", "port"} {
		ports := ends[name]
		a := client
		if name == "server_port" {
			a = server
		}
		if !a.IsValid() {
			continue
		}
		c.Sink.Expect(proto.UDP, netip.AddrPortFrom(a, ports[0]), "rtp")
		if ports[1] != 0 {
			c.Sink.Expect(proto.UDP, netip.AddrPortFrom(a, ports[1]), "rtcp")
		}
	}
}

// sum tells what was done, once.
func (s *stream) sum(c *dissector.Context, incomplete bool) {
	if s.summed {
		return
	}
	s.summed = true
	var list []string
	for i, n := range s.counts[:len(methods)] {
		if n > 0 {
			list = append(list, strings.ToLower(methods[i])+":"+strconv.Itoa(n))
		}
	}
	if len(list) == 0 {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.client}}
	a := &f.Attributes
	a.Set("role", "client")
	a.SetList("methods", list)
	if incomplete {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
}

// Gap steps over what is missing of media or of a body; else the head is lost.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	if h.lines.Gap(n) {
		h.head, h.frame = head{}, nil
	}
}

// End sums up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.ended[c.Side&1] = true
	if s.ended[0] && s.ended[1] {
		s.sum(c, false)
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 1024 + s.half[0].lines.Size() + s.half[1].lines.Size() }
