package filter

import (
	"golang.org/x/net/bpf"

	"github.com/wardflow/wardflow/pkg/packet"
)

// label is a place in the program, that is not known before all is laid out.
type label int

// line is an instruction, a conditional jump between two labels, or a place.
type line struct {
	in     bpf.Instruction // nil for the others
	cond   bpf.JumpTest
	val    uint32
	t, f   label
	isJump bool
	place  label // of a line that is neither
	long   bool  // a jump that does not reach its labels in 8 bits
}

type emitter struct {
	lines  []line
	labels label
}

func (e *emitter) label() label {
	e.labels++
	return e.labels
}

func (e *emitter) do(in ...bpf.Instruction) {
	for _, i := range in {
		e.lines = append(e.lines, line{in: i})
	}
}

func (e *emitter) jump(cond bpf.JumpTest, val uint32, t, f label) {
	e.lines = append(e.lines, line{isJump: true, cond: cond, val: val, t: t, f: f})
}

func (e *emitter) place(l label) { e.lines = append(e.lines, line{place: l}) }

// gen goes to t when the filter is true of the frame, else to f.
func (e *emitter) gen(n node, t, f label) {
	switch n := n.(type) {
	case test:
		e.do(n.load...)
		e.jump(n.cond, n.val, t, f)
	case negated:
		e.gen(n.a, f, t)
	case both:
		next := e.label()
		e.gen(n.a, next, f)
		e.place(next)
		e.gen(n.b, t, f)
	case either:
		next := e.label()
		e.gen(n.a, t, next)
		e.place(next)
		e.gen(n.b, t, f)
	}
}

// emit lays the program out: all jumps go forward, and those that do not reach
// far enough are made of three instructions.
func emit(begin func(*emitter), tree node) []bpf.Instruction {
	e := &emitter{}
	begin(e)
	yes, no := e.label(), e.label()
	e.gen(tree, yes, no)
	e.place(yes)
	e.do(bpf.RetConstant{Val: keep})
	e.place(no)
	e.do(bpf.RetConstant{})
	at := make([]int, e.labels+1)
	for changed := true; changed; {
		changed = false
		pos := 0
		for i := range e.lines {
			l := &e.lines[i]
			if l.place != 0 {
				at[l.place] = pos
			}
			pos += l.size()
		}
		pos = 0
		for i := range e.lines {
			l := &e.lines[i]
			if l.isJump && !l.long && max(at[l.t], at[l.f])-pos-1 > 255 {
				l.long, changed = true, true
			}
			pos += l.size()
		}
	}
	var out []bpf.Instruction
	for i := range e.lines {
		out = e.lines[i].write(out, at)
	}
	return out
}

func (l *line) size() int {
	switch {
	case l.place != 0:
		return 0
	case l.long:
		return 3
	}
	return 1
}

func (l *line) write(out []bpf.Instruction, at []int) []bpf.Instruction {
	pos := len(out)
	switch {
	case l.place != 0:
		return out
	case l.long:
		return append(out,
			bpf.JumpIf{Cond: l.cond, Val: l.val, SkipFalse: 1},
			bpf.Jump{Skip: uint32(at[l.t] - pos - 2)},
			bpf.Jump{Skip: uint32(at[l.f] - pos - 3)})
	case l.isJump:
		return append(out, bpf.JumpIf{Cond: l.cond, Val: l.val, SkipTrue: uint8(at[l.t] - pos - 1), SkipFalse: uint8(at[l.f] - pos - 1)})
	}
	return append(out, l.in)
}

// prologue fills the scratch memory: where the network header is, of which type,
// and which VLAN tags there are (IEEE 802.1Q 9.6). The kernel wants every cell
// written before it is read, whichever way was taken.
func prologue(cfg Config) func(*emitter) {
	return func(e *emitter) {
		e.do(bpf.LoadConstant{Dst: bpf.RegA})
		for i := range tags {
			e.do(bpf.StoreScratch{Src: bpf.RegA, N: cellTag + i})
		}
		if cfg.Link == packet.LinkRaw {
			e.rawNetwork()
			return
		}
		if cfg.Stripped {
			there, next := e.label(), e.label()
			e.do(bpf.LoadExtension{Num: bpf.ExtVLANTagPresent})
			e.jump(bpf.JumpNotEqual, 0, there, next)
			e.place(there)
			e.do(bpf.LoadExtension{Num: bpf.ExtVLANTag})
			e.keepTag(0)
			e.place(next)
		}
		done := e.label()
		const header, tag = 14, 4
		for i := range tags {
			off := uint32(header + tag*i)
			e.do(
				bpf.LoadConstant{Dst: bpf.RegX, Val: off}, bpf.StoreScratch{Src: bpf.RegX, N: cellNetwork},
				bpf.LoadAbsolute{Off: off - 2, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: cellEtherType})
			if i == tags-1 {
				break
			}
			more := e.label()
			for _, t := range []uint32{uint32(packet.EtherTypeVLAN), uint32(packet.EtherTypeQinQ), etherTypeOldQ} {
				next := e.label()
				e.jump(bpf.JumpEqual, t, more, next)
				e.place(next)
			}
			e.jump(bpf.JumpEqual, 0, done, done)
			e.place(more)
			e.do(bpf.LoadAbsolute{Off: off, Size: 2})
			e.keepTag(1 + i)
		}
		e.place(done)
	}
}

func (e *emitter) keepTag(i int) {
	e.do(
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: tagID}, bpf.ALUOpConstant{Op: bpf.ALUOpOr, Val: tagThere},
		bpf.StoreScratch{Src: bpf.RegA, N: cellTag + i})
}

// rawNetwork gives a frame that begins with IP the type that its version has.
func (e *emitter) rawNetwork() {
	e.do(bpf.StoreScratch{Src: bpf.RegA, N: cellNetwork}, bpf.StoreScratch{Src: bpf.RegA, N: cellEtherType})
	done := e.label()
	for _, v := range [...]struct{ version, kind uint32 }{{4, uint32(packet.EtherTypeIPv4)}, {6, uint32(packet.EtherTypeIPv6)}} {
		is, next := e.label(), e.label()
		e.do(bpf.LoadAbsolute{Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
		e.jump(bpf.JumpEqual, v.version, is, next)
		e.place(is)
		e.do(bpf.LoadConstant{Dst: bpf.RegA, Val: v.kind}, bpf.StoreScratch{Src: bpf.RegA, N: cellEtherType})
		e.jump(bpf.JumpEqual, 0, done, done)
		e.place(next)
	}
	e.place(done)
}
