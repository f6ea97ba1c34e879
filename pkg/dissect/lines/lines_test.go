package lines

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// sink takes nothing but that the reading is over.
type sink struct{ done int }

func (*sink) Emit(*dissector.Fact)                           {}
func (*sink) Count(string)                                   {}
func (*sink) Inner(string)                                   {}
func (*sink) Expect(proto.Transport, netip.AddrPort, string) {}
func (s *sink) Done()                                        { s.done++ }

// handler notes what it gets.
type handler struct {
	conn *Conn
	got  []string
}

func (h *handler) Line(c *dissector.Context, line []byte, long bool) {
	s := "> "
	if c.Side == dissector.Dst {
		s = "< "
	}
	if s += string(line); long {
		s += "..."
	}
	h.got = append(h.got, s)
	if n, ok := strings.CutPrefix(string(line), "skip "); ok {
		h.conn.Half[c.Side].Skip(int64(len(n)))
	}
}
func (*handler) Begins(b []byte) bool      { return strings.HasPrefix(string(b), "ok") }
func (h *handler) Lost(*dissector.Context) { h.got = append(h.got, "lost") }
func (h *handler) Over(*dissector.Context) { h.got = append(h.got, "over") }

func run(t *testing.T, cut int, steps ...string) []string {
	t.Helper()
	x := new(Conn)
	h := &handler{conn: x}
	s := new(sink)
	c := &dissector.Context{Headers: new(packet.Headers), Sink: s}
	for _, step := range steps {
		c.Side = dissector.Src
		if step[0] == '<' {
			c.Side = dissector.Dst
		}
		switch body := step[1:]; body {
		case "gap":
			x.Gap(c, -1, h)
		case "gap2":
			x.Gap(c, 2, h)
		case "end":
			x.End(c, h)
		case "stop":
			x.Stop(c, h)
		default:
			n := min(cut, len(body))
			x.Data(c, []byte(body[:n]), h)
			x.Data(c, []byte(body[n:]), h)
		}
	}
	if x.Size() <= 0 || x.Size() > 8<<10 {
		t.Errorf("size %d", x.Size())
	}
	return h.got
}

func TestConn(t *testing.T) {
	long := strings.Repeat("x", 3*Max)
	for _, tc := range []struct {
		name  string
		steps []string
		want  []string
	}{
		{"lines of both", []string{">a\r\nb\n", "<c\r\n\r\n", ">end", "<end"}, []string{"> a", "> b", "< c", "< ", "over"}},
		{"no end", []string{">a\r\nb", ">end", "<end"}, []string{"> a", "over"}},
		{"a long line", []string{">" + long + "\r\nb\r\n"}, []string{"> " + long[:Max] + "...", "> b"}},
		{"a body", []string{">skip four\r\n1\n34next\r\n"}, []string{"> skip four", "> next"}},
		{"a body with a gap", []string{">skip four\r\n1", ">gap2", ">4next\r\n"}, []string{"> skip four", "> next"}},
		{"a line after a gap", []string{">a", ">gap", ">ok b\r\nc\r\n"}, []string{"lost", "> ok b", "> c"}},
		{"half a line after a gap", []string{">a", ">gap", ">b\r\nc\r\n"}, []string{"lost", "> c"}},
		{"TLS", []string{">a\r\n", ">\x16\x03\x01\x00\x01\x00x\r\n", "<go\r\n", "<\x16\x03\x01", ">gap", ">end", "<end"}, []string{"> a", "over"}},
		{"TLS after a gap", []string{">a\r\n", ">\x16\x03\x01\x00\x01\x00", "<gap", "<\x17\x03\x03\x00\x20aaaa", "<end"}, []string{"> a", "over", "lost"}},
		{"stopped", []string{">a\r\n", ">stop", ">b\r\n", ">end", "<end"}, []string{"> a", "over"}},
	} {
		for cut := range 12 {
			if got := run(t, cut, tc.steps...); !slices.Equal(got, tc.want) {
				t.Errorf("%s, cut at %d:\n got %q\nwant %q", tc.name, cut, got, tc.want)
			}
		}
	}
}
