package dissect

import (
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The calls into dissectors. A panic in one costs the message in hand and is
// counted; its value is never looked at, because it may quote the packet.

func (e *Engine) frame(p *dissector.Protocol, b []byte) {
	defer e.contain(p)
	e.speaking = p.Name
	p.Frame(&e.ctx, b)
}

func (e *Engine) transport(p *dissector.Protocol, b []byte) (v dissector.Verdict) {
	defer e.contain(p)
	e.speaking = p.Name
	return p.Message(&e.ctx, b)
}

func (e *Engine) datagram(p *dissector.Protocol, b []byte, known bool) (v dissector.Verdict) {
	c, ok := e.packet.Flow.conn, false
	e.speaking, e.ctx.State = p.Name, nil
	if c != nil {
		e.ctx.State = c.state
	}
	defer func() {
		if !ok && c != nil {
			c.state = nil // whatever it was about to become
		}
	}()
	defer e.contain(p)
	v = p.Datagram(&e.ctx, b, known)
	ok = true
	return v
}

// finish tells the protocol that a flow of datagrams is over.
func (e *Engine) finish(c *conn) {
	p := c.flow.proto
	defer e.contain(p)
	e.speaking, e.ctx.State, e.ctx.Side = p.Name, nil, sender(e.packet)
	c.state.End(&e.ctx)
}

// trial is a protocol that cannot tell yet, with what it keeps until the next datagram.
type trial struct {
	proto *dissector.Protocol
	state dissector.State
}

// ask tries protocols on a datagram of a flow that none has known yet, until one
// does, and gives the first that cannot tell yet. One that panics is left out.
func (e *Engine) ask(list []*dissector.Protocol, b []byte) (known *dissector.Protocol, maybe trial) {
	for i := 0; i < len(list) && known == nil; {
		known = e.askFrom(list, &i, b, &maybe)
	}
	return known, maybe
}

// askFrom has one containment for all that it asks: what a flow that nobody knows
// costs is these calls.
func (e *Engine) askFrom(list []*dissector.Protocol, i *int, b []byte, maybe *trial) (known *dissector.Protocol) {
	defer func() { e.contained(recover(), list[*i-1]) }()
	for *i < len(list) {
		p := list[*i]
		*i++
		e.speaking, e.ctx.State = p.Name, nil
		switch p.Datagram(&e.ctx, b, false) {
		case dissector.Yes:
			return p
		case dissector.More:
			if maybe.proto == nil {
				*maybe = trial{p, e.ctx.State}
			}
		}
	}
	return nil
}

// recognise asks protocols about the first bytes of a direction, until one knows
// them; more says that one could not tell yet.
func (e *Engine) recognise(list []*dissector.Protocol, b []byte, midstream bool) (known *dissector.Protocol, more bool) {
	for i := 0; i < len(list) && known == nil; {
		known = e.recogniseFrom(list, &i, b, midstream, &more)
	}
	return known, more
}

func (e *Engine) recogniseFrom(list []*dissector.Protocol, i *int, b []byte, midstream bool, more *bool) (known *dissector.Protocol) {
	defer func() { e.contained(recover(), list[*i-1]) }()
	for *i < len(list) {
		p := list[*i]
		*i++
		switch p.Recognise(b, midstream) {
		case dissector.Yes:
			return p
		case dissector.More:
			*more = true
		}
	}
	return nil
}

// stream calls one method of the connection's dissector. Where that panics, a
// new one goes on from an unknown place.
func (e *Engine) stream(c *conn, dir int, call func(dissector.Stream, *dissector.Context)) {
	p := c.flow.proto
	e.speaking = p.Name
	e.ctx.Side = Side(dir)
	ok := false
	defer func() {
		if !ok {
			c.stream = p.NewStream()
			c.lost = true
		}
	}()
	defer e.contain(p)
	if c.lost {
		c.lost = false
		for d := range c.probe {
			e.ctx.Side = Side(d)
			c.stream.Gap(&e.ctx, -1)
		}
		e.ctx.Side = Side(dir)
	}
	call(c.stream, &e.ctx)
	ok = true
}

// contain is deferred around every call into a dissector.
func (e *Engine) contain(p *dissector.Protocol) { e.contained(recover(), p) }

// contained counts what was recovered from p.
func (e *Engine) contained(recovered any, p *dissector.Protocol) {
	if recovered == nil {
		return
	}
	(*sink)(e).Count(p.Name + "_panic")
	if e.cfg.OnPanic != nil {
		e.cfg.OnPanic(p.Name, panicSite())
	}
}

// panicSite is file:line of the code that panicked: the first frame outside of
// the runtime and of this file.
func panicSite() string {
	var pc [32]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") && path.Base(f.File) != "contain.go" {
			return fmt.Sprintf("%s:%d", path.Base(f.File), f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}
