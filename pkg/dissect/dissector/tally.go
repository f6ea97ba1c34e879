package dissector

import (
	"maps"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/proto"
)

// Fact begins a fact about who sent the bytes in hand.
func (c *Context) Fact(kind, role string) Fact {
	f := Fact{Kind: kind, Subject: Subject{Side: c.Side}}
	f.Attributes.Set("role", role)
	return f
}

// maxNames is how many names are kept, of a Once or a Tally.
const maxNames = 64

// Once keeps a flow from saying a thing twice.
type Once struct{ said map[string]bool }

// First reports whether something was not told yet; what there is no room for counts
// as told.
func (o *Once) First(what string) bool {
	if o.said[what] || len(o.said) >= maxNames {
		return false
	}
	if o.said == nil {
		o.said = map[string]bool{}
	}
	o.said[what] = true
	return true
}

// Size is about the bytes that are kept.
func (o *Once) Size() int {
	n := 0
	for k := range o.said {
		n += 64 + len(k)
	}
	return n
}

// Tally counts what is asked for in a flow, by name, to be told now and then.
type Tally struct {
	counts map[string]uint32
	since  proto.Time
}

const hour = 3600 * 1e9

// Due reports that what was counted is an hour old; the next hour begins.
func (t *Tally) Due(c *Context) bool {
	if t.since != 0 && c.Headers.Time-t.since < hour {
		return false
	}
	due := t.since != 0
	t.since = c.Headers.Time
	return due
}

// Count counts one.
func (t *Tally) Count(name string) {
	if t.counts == nil {
		t.counts = map[string]uint32{}
	}
	if t.counts[name] > 0 || len(t.counts) < maxNames {
		t.counts[name]++
	}
}

// Empty holds where nothing was counted since it was last told.
func (t *Tally) Empty() bool { return len(t.counts) == 0 }

// Tell sets what was counted as "name:count", and begins anew.
func (t *Tally) Tell(a *proto.Attributes, attribute string) {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(t.counts)) {
		list = append(list, name+":"+strconv.Itoa(int(t.counts[name])))
	}
	a.SetList(attribute, list)
	clear(t.counts)
}

// Transactions emits the fact of what a client has asked for, where there is any.
func (t *Tally) Transactions(c *Context, client Side, attribute string) {
	if t.Empty() {
		return
	}
	f := c.Fact("transactions", "client")
	f.Subject.Side = client
	t.Tell(&f.Attributes, attribute)
	c.Emit(&f)
}

// Size is about the bytes that are kept.
func (t *Tally) Size() int { return 64 * len(t.counts) }
