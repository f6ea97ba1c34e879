package reassembly

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wardflow/wardflow/proto"
)

// record writes down what a handler was told: bytes as they are, a gap as
// <gap n>, the end as <end>.
type record struct {
	out [2]bytes.Buffer
}

func (r *record) Data(dir int, b []byte) { r.out[dir].Write(b) }
func (r *record) Gap(dir int, n int64)   { fmt.Fprintf(&r.out[dir], "<gap %d>", n) }
func (r *record) End(dir int)            { r.out[dir].WriteString("<end>") }
func (r *record) want(t *testing.T, dir int, s string) {
	t.Helper()
	if got := r.out[dir].String(); got != s {
		t.Errorf("direction %d: got %q, want %q", dir, got, s)
	}
}

const (
	start = uint32(0xffff_fff0) // so that every test wraps
	sec   = proto.Time(time.Second)
)

func seg(off int, s string) *Segment {
	return &Segment{Seq: start + uint32(off), Data: []byte(s)}
}

func at(t proto.Time, s *Segment) *Segment { s.Time = t; return s }

func TestPacket(t *testing.T) {
	for _, tc := range []struct {
		name     string
		limits   Limits
		segments []*Segment
		want     string
		check    func(c *Counters) bool
	}{
		{"in order", Limits{}, []*Segment{seg(0, "abc"), seg(3, "def")}, "abcdef<end>", func(c *Counters) bool { return *c == Counters{Segments: 2} }},
		{"swapped", Limits{}, []*Segment{seg(3, "def"), seg(0, "abc")}, "abcdef<end>", func(c *Counters) bool { return c.OutOfOrder == 1 && c.Gaps == 0 }},
		{"wrap with swap", Limits{}, []*Segment{seg(20, "klm"), seg(0, "abcdefghijklmnopqrst")}, "abcdefghijklmnopqrstklm<end>", nil},
		{"retransmitted", Limits{}, []*Segment{seg(0, "abc"), seg(0, "abc"), seg(3, "d")}, "abcd<end>", func(c *Counters) bool { return c.Retransmitted == 3 && c.Conflicts == 0 && c.Unchecked == 0 }},
		{"coalesced retransmission", Limits{}, []*Segment{seg(0, "abc"), seg(3, "def"), seg(0, "abcdefghi")}, "abcdefghi<end>", func(c *Counters) bool { return c.Retransmitted == 6 && c.Conflicts == 0 }},
		{"other bytes delivered before", Limits{}, []*Segment{seg(0, "abc"), seg(0, "XYZ"), seg(3, "d")}, "abcd<end>", func(c *Counters) bool { return c.Conflicts == 1 }},
		{"other and more bytes", Limits{}, []*Segment{seg(0, "abc"), seg(0, "XYZd")}, "abcd<end>", func(c *Counters) bool { return c.Conflicts == 1 }},
		{"part of a delivered one", Limits{}, []*Segment{seg(0, "abc"), seg(1, "b"), seg(3, "d")}, "abcd<end>", func(c *Counters) bool { return c.Unchecked == 1 }},
		{"overlap of waiting, first wins", Limits{}, []*Segment{seg(2, "cde"), seg(4, "EFG"), seg(0, "abCD")}, "abcdeFG<end>", func(c *Counters) bool { return c.Conflicts == 2 }},
		{"fills two holes", Limits{}, []*Segment{seg(1, "b"), seg(3, "d"), seg(0, "abcde")}, "abcde<end>", func(c *Counters) bool { return c.Conflicts == 0 && c.Gaps == 0 }},
		{"never filled", Limits{}, []*Segment{seg(0, "a"), seg(3, "d")}, "a<gap 2>d<end>", func(c *Counters) bool { return c.Gaps == 1 && c.GapBytes == 2 }},
		{"too old", Limits{Wait: time.Second}, []*Segment{seg(2, "c"), at(sec, seg(3, "d")), at(2*sec, seg(0, "ab"))}, "<gap 2>cd<end>", func(c *Counters) bool { return c.GapOld == 1 }},
		{"full of bytes", Limits{StreamBytes: 300}, []*Segment{seg(2, "c"), seg(4, "e"), seg(6, "g"), seg(8, "i"), seg(0, "ab")}, "<gap 2>c<gap 1>e<gap 1>g<gap 1>i<end>", func(c *Counters) bool { return c.GapFull > 0 }},
		{"full of pieces", Limits{Pieces: 3}, []*Segment{seg(2, "c"), seg(4, "e"), seg(6, "g"), seg(3, "d")}, "<gap 2>cde<gap 1>g<end>", func(c *Counters) bool { return c.GapFull == 1 }},
		{"pool full", Limits{TotalBytes: 1}, []*Segment{seg(2, "c"), seg(0, "ab"), seg(3, "d")}, "<gap 2>cd<end>", func(c *Counters) bool { return c.GapMemory == 1 }},
		{"cut by snaplen", Limits{}, []*Segment{{Seq: start, Data: []byte("ab"), Missing: 3}, seg(5, "f")}, "ab<gap 3>f<end>", func(c *Counters) bool { return c.GapBytes == 3 }},
		{"cut while waiting", Limits{}, []*Segment{{Seq: start + 1, Data: []byte("b"), Missing: 2}, seg(0, "a"), seg(4, "e")}, "ab<gap 2>e<end>", nil},
		{"one far segment", Limits{Ahead: 100}, []*Segment{seg(0, "a"), seg(5000, "zzz"), seg(1, "b")}, "ab<end>", func(c *Counters) bool { return c.OutOfWindow == 1 }},
		{"moved on far", Limits{Ahead: 100}, []*Segment{seg(0, "a"), seg(500, "u"), seg(501, "v"), seg(502, "w"), seg(503, "x")}, "a<gap -1>wx<end>", func(c *Counters) bool { return c.Restarts == 1 }},
		{"fin in order", Limits{}, []*Segment{seg(0, "a"), {Seq: start + 1, Data: []byte("b"), FIN: true}, seg(2, "late")}, "ab<end>", func(c *Counters) bool { return c.AfterEnd == 1 }},
		{"fin early", Limits{}, []*Segment{{Seq: start + 2, FIN: true}, seg(1, "b"), seg(0, "a")}, "ab<end>", nil},
		{"beyond fin", Limits{}, []*Segment{{Seq: start + 2, FIN: true}, seg(0, "abcd")}, "ab<end>", func(c *Counters) bool { return c.AfterEnd == 1 }},
		{"fin inside hole", Limits{}, []*Segment{seg(4, "e"), {Seq: start + 2, FIN: true}, seg(6, "g")}, "<gap 2><end>", nil},
		{"rst", Limits{}, []*Segment{seg(0, "a"), seg(2, "c"), {Seq: start + 1, RST: true}, seg(1, "b")}, "a<gap 1>c<end>", func(c *Counters) bool { return c.AfterEnd == 1 }},
		{"blind rst", Limits{Ahead: 100}, []*Segment{seg(0, "a"), {Seq: start - 9000, RST: true}, seg(1, "b")}, "ab<end>", func(c *Counters) bool { return c.OutOfWindow == 1 }},
		{"keep-alive", Limits{}, []*Segment{seg(0, "ab"), seg(1, "b"), seg(2, "c")}, "abc<end>", nil},
		{"syn again", Limits{}, []*Segment{{Seq: start - 1, SYN: true}, seg(0, "a")}, "a<end>", nil},
		{"syn with data", Limits{}, []*Segment{{Seq: start - 1, SYN: true, Data: []byte("ab")}, seg(2, "c")}, "abc<end>", nil},
		{"another syn", Limits{}, []*Segment{seg(0, "a"), seg(4, "x"), {Seq: 77, SYN: true}, {Seq: 78, Data: []byte("b")}}, "a<gap 3>x<gap -1>b<end>", func(c *Counters) bool { return c.Restarts == 1 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := NewPool(tc.limits)
			c := p.Conn()
			c.Start(0, start-1)
			var r record
			for _, s := range tc.segments {
				c.Packet(0, s, &r)
			}
			c.Close(&r)
			r.want(t, 0, tc.want)
			if tc.check != nil && !tc.check(&p.Counters) {
				t.Errorf("counters: %+v", p.Counters)
			}
			if p.Held() != 0 || c.Held() != 0 {
				t.Errorf("%d bytes held after Close", p.Held())
			}
		})
	}
}

func TestMidstream(t *testing.T) {
	p := NewPool(Limits{})
	c := p.Conn()
	var r record
	c.Packet(1, seg(100, "abc"), &r)
	c.Packet(1, seg(50, "old"), &r)
	c.Packet(1, seg(103, "d"), &r)
	c.Close(&r)
	r.want(t, 1, "abcd<end>")
	if p.Counters.Midstream != 1 || c.Synced(1) {
		t.Errorf("counters %+v", p.Counters)
	}
}

// A hole that the receiver acknowledged will not be filled: the sensor lost it.
func TestAcknowledgedHole(t *testing.T) {
	p := NewPool(Limits{})
	c := p.Conn()
	c.Start(0, start-1)
	var r record
	ack := func(now proto.Time, off int) {
		c.Packet(1, &Segment{Time: now, Seq: 1, ACK: true, Ack: start + uint32(off)}, &r)
	}
	c.Packet(0, seg(0, "a"), &r)
	c.Packet(0, seg(2, "c"), &r)
	ack(sec, 1)
	r.want(t, 0, "a")
	ack(sec, 3)
	r.want(t, 0, "a<gap 1>c")
}

func TestConflicted(t *testing.T) {
	p := NewPool(Limits{})
	c := p.Conn()
	var r record
	c.Packet(0, seg(0, "GET /1"), &r)
	if c.Conflicted() {
		t.Error("conflict without overlap")
	}
	c.Packet(0, seg(0, "GET /2 longer"), &r)
	if !c.Conflicted() {
		t.Error("three requests on one range are not flagged")
	}
}

// Any segmentation, order and duplication of a stream gives the same bytes.
func TestSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.SliceOfN(rapid.Byte(), 1, 400).Draw(t, "stream")
		isn := rapid.Uint32().Draw(t, "isn")
		var segs []*Segment
		for off := 0; off < len(stream); {
			n := rapid.IntRange(1, min(60, len(stream)-off)).Draw(t, "n")
			s := &Segment{Seq: isn + 1 + uint32(off), Data: stream[off : off+n], FIN: off+n == len(stream)}
			segs = append(segs, s)
			off += n
		}
		for range rapid.IntRange(0, 10).Draw(t, "again") {
			a := rapid.IntRange(0, len(stream)-1).Draw(t, "from")
			b := rapid.IntRange(a+1, len(stream)).Draw(t, "to")
			segs = append(segs, &Segment{Seq: isn + 1 + uint32(a), Data: stream[a:b]})
		}
		segs = rapid.Permutation(segs).Draw(t, "order")
		p := NewPool(Limits{})
		c := p.Conn()
		c.Start(0, isn)
		var r record
		for _, s := range segs {
			c.Packet(0, s, &r)
		}
		if got, want := r.out[0].String(), string(stream)+"<end>"; got != want {
			t.Fatalf("got %q, want %q (%+v)", got, want, p.Counters)
		}
		if p.Counters.Conflicts != 0 || p.Counters.Gaps != 0 || p.Held() != 0 {
			t.Fatalf("counters %+v, held %d", p.Counters, p.Held())
		}
	})
}

// model is the reference: a map from stream offset to the byte captured first (-1
// for one that the capture cut off), and a reader that checks every call against it.
type model struct {
	t     *testing.T
	first map[int64]int
	pos   int64
	ended bool
}

func (m *model) Data(_ int, b []byte) {
	for _, v := range b {
		if w, ok := m.first[m.pos]; !ok || w != int(v) {
			m.t.Fatalf("byte %d is %d, want %d (captured: %v)", m.pos, v, w, ok)
		}
		m.pos++
	}
}

func (m *model) Gap(_ int, n int64) {
	if n <= 0 {
		m.t.Fatalf("gap of %d", n)
	}
	for i := range n { // later bytes of a hole that was given up do not count
		if v, ok := m.first[m.pos+i]; ok && v >= 0 {
			m.t.Fatalf("gap of %d at %d covers captured byte %d", n, m.pos, m.pos+i)
		}
	}
	m.pos += n
}

func (m *model) End(int) { m.ended = true }

// add records a segment before it is given to the connection.
func (m *model) add(off int64, data []byte, missing int) {
	for i := range len(data) + missing {
		o, v := off+int64(i), -1
		if i < len(data) {
			v = int(data[i])
		}
		if _, ok := m.first[o]; !ok && o >= m.pos {
			m.first[o] = v
		}
	}
}

// FuzzConn reads segments from the fuzzer's bytes: offset (2), length (1), flags
// (1), data from the offset or, with a flag, different data.
func FuzzConn(f *testing.F) {
	f.Add([]byte{0, 0, 5, 0, 0, 5, 5, 0, 0, 3, 5, 1})
	f.Add([]byte{0, 9, 5, 0, 0, 0, 5, 0, 0, 5, 5, 4, 0, 1, 200, 1})
	f.Add([]byte{1, 0, 255, 0, 0, 0, 255, 2, 0, 255, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := Limits{StreamBytes: 2000, Pieces: 8, TotalBytes: 1500, Wait: 20 * time.Second}
		p := NewPool(limits)
		c := p.Conn()
		c.Start(0, start-1)
		m := &model{t: t, first: map[int64]int{}}
		now := proto.Time(0)
		for ; len(b) >= 4; b = b[4:] {
			off, n, flags := int64(binary.BigEndian.Uint16(b)), int(b[2]), b[3]
			now += proto.Time(flags>>4) * sec
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(off) + byte(i)
				if flags&1 != 0 {
					data[i] = ^data[i]
				}
			}
			s := Segment{Time: now, Seq: start + uint32(off), Data: data, ACK: flags&8 != 0, Ack: start + uint32(off)}
			if flags&2 != 0 && n > 2 {
				s.Data, s.Missing = data[:2], n-2
			}
			dir := 0
			if flags&4 != 0 && s.ACK {
				dir, s.Data, s.Missing = 1, nil, 0
			}
			m.add(off, s.Data, s.Missing)
			c.Packet(dir, &s, m)
			if p.Held() > 1500+(8+2)*pieceOverhead || int64(c.Held()) != p.Held() {
				t.Fatalf("held %d, pool %d", c.Held(), p.Held())
			}
		}
		c.Close(m)
		if !m.ended || p.Held() != 0 {
			t.Fatalf("ended %v, held %d", m.ended, p.Held())
		}
	})
}

func BenchmarkInOrder(b *testing.B) {
	p := NewPool(Limits{})
	c := p.Conn()
	data := []byte(strings.Repeat("x", 1460))
	var sink discard
	s := Segment{Data: data}
	c.Start(0, s.Seq-1)
	b.SetBytes(1460)
	b.ReportAllocs()
	for b.Loop() {
		c.Packet(0, &s, &sink)
		s.Seq += 1460
	}
}

func TestInOrderDoesNotAllocate(t *testing.T) {
	p := NewPool(Limits{})
	c := p.Conn()
	var sink discard
	s := Segment{Data: make([]byte, 1460)}
	if n := testing.AllocsPerRun(1000, func() {
		c.Packet(0, &s, &sink)
		s.Seq += 1460
	}); n != 0 {
		t.Errorf("%v allocations per segment", n)
	}
}

type discard struct{}

func (*discard) Data(int, []byte) {}
func (*discard) Gap(int, int64)   {}
func (*discard) End(int)          {}
