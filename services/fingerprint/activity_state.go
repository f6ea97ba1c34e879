package fingerprint

import (
	"cmp"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

func compareTransfers(a, b transfer) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end), cmp.Compare(a.bytes, b.bytes))
}

// AppendTo encodes the state: times as what they differ by from the one before.
func (s *activityState) AppendTo(b []byte) []byte {
	var last proto.Time
	moment := func(t proto.Time) {
		b = stream.AppendInt(b, int64(t-last))
		last = t
	}
	length := func(n int) { b = stream.AppendUint(b, uint64(n)) }
	b = stream.AppendUint(b, s.count)
	length(len(s.late))
	for _, x := range s.late {
		moment(x.start)
		b = stream.AppendUint(stream.AppendInt(b, int64(x.end-x.start)), x.bytes)
	}
	length(len(s.marks))
	for _, m := range s.marks {
		moment(m.at)
		b = stream.AppendUint(b, m.bytes)
	}
	length(len(s.exams))
	for _, x := range s.exams {
		moment(x.start)
		b = stream.AppendInt(stream.AppendInt(b, int64(x.last-x.start)), int64(x.end-x.start))
		b = stream.AppendUint(b, x.count<<2|flagIf(x.closed, 2)|flagIf(x.around, 1))
	}
	length(len(s.sizes))
	last /= proto.Time(time.Second)
	moment(s.last / proto.Time(time.Second))
	for _, z := range s.sizes {
		moment(z.last / proto.Time(time.Second))
		b = stream.AppendUint(stream.AppendUint(stream.AppendUint(stream.AppendUint(b, z.bytes), z.count), z.repeats), z.exams)
	}
	return b
}

// parse decodes the state.
func (s *activityState) parse(d *stream.Decoder) {
	var last proto.Time
	moment := func() proto.Time {
		last += proto.Time(d.Int())
		return last
	}
	s.count = d.Uint()
	for n := d.Uint(); n > 0 && d.More(); n-- {
		x := transfer{start: moment()}
		x.end, x.bytes = x.start+proto.Time(d.Int()), d.Uint()
		s.late = append(s.late, x)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		m := mark{at: moment()}
		m.bytes = d.Uint()
		s.marks = append(s.marks, m)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		x := imageRun{start: moment()}
		x.last, x.end = x.start+proto.Time(d.Int()), x.start+proto.Time(d.Int())
		n := d.Uint()
		x.count, x.closed, x.around = n>>2, n&2 != 0, n&1 != 0
		s.exams = append(s.exams, x)
	}
	n := d.Uint()
	last /= proto.Time(time.Second)
	s.last = moment() * proto.Time(time.Second)
	for ; n > 0 && d.More(); n-- {
		z := requestSize{last: moment() * proto.Time(time.Second)}
		z.bytes, z.count, z.repeats, z.exams = d.Uint(), d.Uint(), d.Uint(), d.Uint()
		s.sizes = append(s.sizes, z)
	}
}
