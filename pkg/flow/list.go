package flow

// The lists are linked through the entries by ref, which is half the size of a
// pointer and nothing for the garbage collector to follow.

func (t *Table) push(l *list, r ref, e *Entry) {
	e.prev, e.next = l.last, 0
	if l.last != 0 {
		t.slab.at(l.last).next = r
	} else {
		l.first = r
	}
	l.last = r
}

func (t *Table) unlink(l *list, r ref, e *Entry) {
	if e.prev != 0 {
		t.slab.at(e.prev).next = e.next
	} else if l.first == r {
		l.first = e.next
	}
	if e.next != 0 {
		t.slab.at(e.next).prev = e.prev
	} else if l.last == r {
		l.last = e.prev
	}
	e.prev, e.next = 0, 0
}

func (t *Table) pushOpen(r ref, e *Entry) {
	l := &t.open
	e.prevOpen, e.nextOpen = l.last, 0
	if l.last != 0 {
		t.slab.at(l.last).nextOpen = r
	} else {
		l.first = r
	}
	l.last = r
	e.flags |= openPart
}

func (t *Table) unlinkOpen(r ref, e *Entry) {
	l := &t.open
	if e.prevOpen != 0 {
		t.slab.at(e.prevOpen).nextOpen = e.nextOpen
	} else if l.first == r {
		l.first = e.nextOpen
	}
	if e.nextOpen != 0 {
		t.slab.at(e.nextOpen).prevOpen = e.prevOpen
	} else if l.last == r {
		l.last = e.prevOpen
	}
	e.prevOpen, e.nextOpen = 0, 0
	e.flags &^= openPart
}

func (t *Table) unlinkAll(r ref, e *Entry) {
	t.unlink(&t.lists[e.class], r, e)
	if e.flags&openPart != 0 {
		t.unlinkOpen(r, e)
	}
}
