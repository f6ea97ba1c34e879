package ssh

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is SSH.
var Protocol = dissector.Protocol{
	Name: "ssh", Ports: []uint16{port},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	port         = 22
	maxBanner    = 255      // bytes of a banner line, RFC 4253 4.2
	maxLines     = 50       // lines of a server before its banner
	maxKexinit   = 16 << 10 // bytes of a packet that is kept
	maxSilent    = 64 << 10 // bytes of a finished side after which the other one is not waited for
	kexinit      = 20
	cookie       = 16
	lists        = 10
	packetHeader = 5 // length (4), padding length (1)
)

// recognise wants "SSH-1." or "SSH-2.".
func recognise(b []byte, _ bool) dissector.Verdict {
	const start = "SSH-"
	n := min(len(b), len(start))
	if string(b[:n]) != start[:n] || len(b) > 4 && b[4] != '1' && b[4] != '2' || len(b) > 5 && b[5] != '.' {
		return dissector.No
	}
	if len(b) < 6 {
		return dissector.More
	}
	return dissector.Yes
}

// stream reads each direction on its own: a banner line, then one packet.
type stream struct {
	half [2]half
}

type half struct {
	buf      []byte // of the line or packet in hand
	lines    int
	software string
	banner   bool // was read
	lost     bool
	over     bool
	after    int // bytes since then
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.lost && !h.banner && recognise(b[:min(len(b), dissector.MaxPrefix)], true) != dissector.No {
		h.lost = false // the capture began before the banner, but after the handshake
	}
	for len(b) > 0 && !h.over && !h.lost {
		if h.banner {
			b = h.packet(c, b)
		} else {
			b = h.line(c, b)
		}
	}
	if h.over {
		h.after += len(b)
		h.buf = nil
	}
	other := &s.half[1-c.Side&1]
	if h.over && (other.over || other.lost || h.after > maxSilent) {
		c.Sink.Done()
	}
}

// line takes bytes up to the end of a line.
func (h *half) line(c *dissector.Context, b []byte) []byte {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		if len(h.buf)+len(b) > maxBanner {
			c.Count("ssh_banner_malformed")
			h.over = true
			return nil
		}
		h.buf = append(h.buf, b...)
		return nil
	}
	line := b[:i]
	if len(h.buf) > 0 {
		line = append(h.buf, line...)
		h.buf = line[:0]
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	h.lines++
	switch {
	case len(line) > maxBanner, h.lines > maxLines:
		c.Count("ssh_banner_malformed")
		h.over = true
	case bytes.HasPrefix(line, []byte("SSH-")):
		h.identify(c, line[4:])
	}
	return b[i+1:]
}

// identify reads "2.0-OpenSSH_9.6p1 Debian-4": version, software, comment.
func (h *half) identify(c *dissector.Context, line []byte) {
	version, rest, ok := bytes.Cut(line, []byte("-"))
	if !ok || len(version) == 0 || len(rest) == 0 {
		c.Count("ssh_banner_malformed")
		h.over = true
		return
	}
	software, comment, _ := bytes.Cut(rest, []byte(" "))
	h.banner, h.software = true, dissector.Text(software, maxBanner)
	f := dissector.Fact{Kind: "banner", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", role(c, nil))
	f.Attributes.Set("software", h.software)
	f.Attributes.Set("comment", dissector.Text(comment, maxBanner))
	f.Attributes.Set("ssh_version", dissector.Text(version, 8))
	c.Emit(&f)
	// 1.99 is 2.0 that can do 1.x too (RFC 4253 5.1).
	h.over = version[0] != '2' && string(version) != "1.99"
}

// packet takes the bytes of the first binary packet:
//
//	length (4) | padding (1) | 20 | cookie (16) | ten lists, each length (4) and names
func (h *half) packet(c *dissector.Context, b []byte) []byte {
	p := b
	if len(h.buf) > 0 {
		n := min(len(b), 4+maxKexinit-len(h.buf))
		h.buf = append(h.buf, b[:n]...)
		p = h.buf
	}
	if len(p) < packetHeader+1 {
		h.keep(b)
		return nil
	}
	size := int64(binary.BigEndian.Uint32(p))
	if p[packetHeader] != kexinit || size > maxKexinit || size < 2+cookie+4*lists {
		if p[packetHeader] == kexinit {
			c.Count("ssh_kexinit_size")
		}
		h.over = true
		return nil
	}
	if int64(len(p)) < 4+size {
		h.keep(b)
		return nil
	}
	h.offer(c, p[packetHeader+1:4+size])
	h.over = true
	return nil
}

// keep keeps b as the beginning of the packet; a continuation is kept already.
func (h *half) keep(b []byte) {
	if len(h.buf) == 0 {
		h.buf = append(h.buf, b...)
	}
}

// offer emits HASSH: MD5 over key exchange, encryption, MAC and compression
// names, those of the sender's own direction.
func (h *half) offer(c *dissector.Context, b []byte) {
	var names [lists][]byte
	b = b[cookie:]
	for i := range names {
		if len(b) < 4 || int64(binary.BigEndian.Uint32(b)) > int64(len(b)-4) {
			c.Count("ssh_kexinit_malformed")
			return
		}
		n := int(binary.BigEndian.Uint32(b))
		names[i], b = b[4:4+n], b[4+n:]
	}
	// 0 kex, 1 host key, then client to server and server to client: 2 3 encryption, 4 5 MAC, 6 7 compression.
	who := role(c, names[0])
	attribute, way := "hassh", 0
	if who == "server" {
		attribute, way = "hassh_server", 1
	}
	sum := md5.Sum(bytes.Join([][]byte{names[0], names[2+way], names[4+way], names[6+way]}, []byte(";")))
	f := dissector.Fact{Kind: "kexinit", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", who)
	f.Attributes.Set("software", h.software)
	f.Attributes.Set(attribute, hex.EncodeToString(sum[:]))
	c.Emit(&f)
}

// role says whether the sender is client or server: who opened the flow is the
// client, unless its names say otherwise (RFC 8308 2.1; "kex-strict" of OpenSSH's
// PROTOCOL) or, in a flow whose beginning was missed, its port does.
func role(c *dissector.Context, kex []byte) string {
	for _, name := range strings.Split(string(kex), ",") {
		switch name {
		case "ext-info-c", "kex-strict-c-v00@openssh.com":
			return "client"
		case "ext-info-s", "kex-strict-s-v00@openssh.com":
			return "server"
		}
	}
	mine, others := c.Headers.SrcPort, c.Headers.DstPort
	switch {
	case mine == port && others != port:
		return "server"
	case others == port && mine != port:
		return "client"
	case c.Side == dissector.Dst:
		return "server"
	}
	return "client"
}

// Gap gives the direction up: both messages stand at its beginning.
func (s *stream) Gap(c *dissector.Context, _ int64) {
	h := &s.half[c.Side&1]
	h.lost, h.buf = true, nil
	if other := &s.half[1-c.Side&1]; other.lost || other.over {
		c.Sink.Done()
	}
}

// End drops what is incomplete.
func (s *stream) End(c *dissector.Context) { s.half[c.Side&1].buf = nil }

// Size is the bytes that are kept.
func (s *stream) Size() int { return cap(s.half[0].buf) + cap(s.half[1].buf) + 192 }
