package dns

import "github.com/wardflow/wardflow/pkg/dissect/dissector"

// Carried tells, as DNS, of a message that another protocol carries whole (RFC 8484);
// false for what is none. sure is whether its carrier says that it is one.
func Carried(c *dissector.Context, b []byte, sure bool) bool {
	x := *c
	x.Sink = named{c.Sink}
	return dissect(&x, b, sure, true, global) == dissector.Yes
}

// named has facts be DNS's.
type named struct{ dissector.Sink }

// Emit gives a fact away.
func (n named) Emit(f *dissector.Fact) {
	f.Protocol = Protocol.Name
	n.Sink.Emit(f)
}
