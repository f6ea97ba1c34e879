package flow

// list is a queue of entries, linked through them by ref, which is half the size
// of a pointer and nothing for the garbage collector to follow.
type list struct {
	first, last ref
	by          uint8 // which of an entry's links
}

// An entry is in the list of its class, and may be in that of open parts.
const (
	byClass = iota
	byStart
)

// link are an entry's neighbours in a list.
type link struct{ next, prev ref }

func (t *Table) push(l *list, r ref, e *Entry) {
	e.links[l.by] = link{prev: l.last}
	if l.last != 0 {
		t.entries.At(l.last).links[l.by].next = r
	} else {
		l.first = r
	}
	l.last = r
}

func (t *Table) unlink(l *list, r ref, e *Entry) {
	at := e.links[l.by]
	if at.prev != 0 {
		t.entries.At(at.prev).links[l.by].next = at.next
	} else if l.first == r {
		l.first = at.next
	}
	if at.next != 0 {
		t.entries.At(at.next).links[l.by].prev = at.prev
	} else if l.last == r {
		l.last = at.prev
	}
	e.links[l.by] = link{}
}

func (t *Table) pushOpen(r ref, e *Entry) {
	t.push(&t.open, r, e)
	e.flags |= openPart
}

func (t *Table) unlinkOpen(r ref, e *Entry) {
	t.unlink(&t.open, r, e)
	e.flags &^= openPart
}

func (t *Table) unlinkAll(r ref, e *Entry) {
	t.unlink(&t.lists[e.class], r, e)
	if e.flags&openPart != 0 {
		t.unlinkOpen(r, e)
	}
}
