package fingerprint

import (
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Examinations of imaging devices whose DICOM nobody can read, because it is
// encrypted or was joined in the middle: learned from what the device sends over DICOM
// ports, by sizes alone.
//
// A scanner that nobody uses asks for its worklist and tests its archive (C-FIND,
// C-ECHO), again and again, with requests of the same few sizes: its routine, and the
// level that it is idle at. Images are far above that level. What is small and no
// routine either is said when somebody works on the device, and what lies around the
// images belongs to the same examination: the begin and the end of its procedure step
// (MPPS), or the request to commit to it.
//
// Nothing is told before a routine is known, and nothing of a device without one: its
// levels cannot be told apart.
const (
	// What is routine is sent again without images in between, routineRepeats times at
	// least and in one of routineShare cases; or more often than routineExams times for
	// each examination. The begin of a step comes again only if its examination came to
	// nothing.
	routineRepeats = 2
	routineShare   = 4
	routineExams   = 2

	// sizeSlack is what signatures and numbers of varying length add to one request.
	sizeSlack = 8

	// mostRoutine bounds what can be routine: a request with a handshake of TLS and
	// the certificates of both ends. Images have leastImages at least, and are
	// imageLevel times above the routine.
	mostRoutine = 8 << 10
	leastImages = 8 << 10
	imageLevel  = 4

	// imageGap is the longest pause between two transfers of images of one
	// examination; of MR series it is a quarter of an hour.
	imageGap = 20 * time.Minute

	// leastExam is how far apart its begin and its end are at least, where both are
	// said before the images.
	leastExam = 5 * time.Minute

	// oneTransfer is the longest pause within images that were sent in one go.
	oneTransfer = time.Minute

	// aroundImages is how far from the images the begin and the end may lie.
	aroundImages = 30 * time.Minute

	// staleSize is when a size that is not sent any more makes room first.
	staleSize = 7 * 24 * time.Hour

	maxSizes     = 16
	maxMarks     = 16
	maxTransfers = 48
)

// methodActivity is the method of a use that is known by activity alone.
const methodActivity = "activity"

// imaging are the types whose use is examinations.
var imaging = map[string]bool{
	"ct": true, "mri": true, "xray": true, "mammography": true, "angiography": true, "nuclear_medicine": true, "ultrasound": true, "endoscopy": true,
}

// activityState is what an endpoint sends over DICOM that is not read.
type activityState struct {
	sizes []requestSize // of small requests
	marks []mark        // small requests that were no routine, of the last aroundImages
	exams []imageRun    // of the last hours
	count uint64        // examinations so far
	last  proto.Time    // of the latest images, to the second
	late  []transfer    // those that something may still come before, sorted
}

// requestSize is how often requests of one size came.
type requestSize struct {
	bytes, count uint64
	repeats      uint64     // of which came with no images since the one before
	exams        uint64     // that there had been when the first came
	last         proto.Time // to the second
}

// mark is a small request that is no routine.
type mark struct {
	at    proto.Time
	bytes uint64
}

// transfer is what a connection, or a part of it, has carried.
type transfer struct {
	start, end proto.Time
	bytes      uint64
}

// imageRun is an examination: from start to end, and the first and the last images in it.
type imageRun struct {
	start, last, end proto.Time
	count            uint64 // transfers of images with pauses between them
	around           bool   // something else was said before or after them
	closed           bool   // its end was said before the images
}

// unreadDICOM reports that a flow is one to a DICOM service (IANA: 104, 2761, 2762 and
// 11112) whose messages are not read. Of all other flows this is all that is done.
func unreadDICOM(f *proto.Flow, asServer bool) bool {
	switch f.DstPort {
	case 104, 2761, 2762, 11112:
	default:
		return false
	}
	if asServer || f.Transport != proto.TCP || !f.DstInside || f.SrcPayloadBytes == 0 {
		return false
	}
	return f.Protocol == "tls" || f.Protocol == "unknown" || f.Protocol == "" || f.ProtocolBy == proto.ByPort
}

// noteActivity keeps what a flow shows of its client's activity.
func noteActivity(tx *stream.Tx, id proto.ID, f *proto.Flow, asServer bool) {
	if !unreadDICOM(f, asServer) {
		return
	}
	u := uses.Edit(tx, id[:])
	if u.activity == nil {
		u.activity = &activityState{}
	}
	u.activity.hear(transfer{f.Start, f.End, f.SrcPayloadBytes})
}

// hear keeps a transfer in the order of time.
func (s *activityState) hear(x transfer) {
	i, _ := slices.BinarySearchFunc(s.late, x, compareTransfers)
	s.late = slices.Insert(s.late, i, x)
	if len(s.late) <= maxTransfers {
		return
	}
	best := -1 // images one by one: two that follow each other most closely become one
	for i := 1; i < len(s.late); i++ {
		a, b := &s.late[i-1], &s.late[i]
		if a.bytes >= leastImages && b.bytes >= leastImages && (best < 0 || b.start.Sub(a.start) < s.late[best].start.Sub(s.late[best-1].start)) {
			best = i
		}
	}
	if best < 0 {
		s.apply(s.late[0])
		s.late = slices.Delete(s.late, 0, 1)
		return
	}
	a, b := &s.late[best-1], &s.late[best]
	a.end, a.bytes = max(a.end, b.end), a.bytes+b.bytes
	s.late = slices.Delete(s.late, best, best+1)
}

// settle takes in for good what nothing can come before any more.
func (s *activityState) settle(now proto.Time) {
	if s == nil {
		return
	}
	n := 0
	for n < len(s.late) && now.Sub(s.late[n].start) > settleUse {
		s.apply(s.late[n])
		n++
	}
	s.late = slices.Delete(s.late, 0, n)
	s.exams = slices.DeleteFunc(s.exams, func(x imageRun) bool { return now.Sub(x.end) > recentUse })
}

// due reports whether settle would change anything.
func (s *activityState) due(now proto.Time) bool {
	return s != nil && (len(s.late) > 0 && now.Sub(s.late[0].start) > settleUse ||
		slices.ContainsFunc(s.exams, func(x imageRun) bool { return now.Sub(x.end) > recentUse }))
}

// told adds the examinations that all transfers so far make.
func (s *activityState) told(list []proto.Use) []proto.Use {
	if s == nil {
		return list
	}
	all := activityState{sizes: slices.Clone(s.sizes), marks: slices.Clone(s.marks), exams: slices.Clone(s.exams), count: s.count, last: s.last}
	for _, x := range s.late {
		all.apply(x)
	}
	for _, x := range all.exams {
		list = append(list, proto.Use{
			How: proto.UseActivity, Start: x.start, End: x.end, Open: true, Outcome: "unknown", Signs: x.count,
			Guessed: x.count == 1 && !x.around, // sent in one go: how long it took nobody can say
		})
	}
	return list
}

// apply takes a transfer in; they come in the order of time.
func (s *activityState) apply(x transfer) {
	level := s.level()
	switch {
	case x.bytes >= leastImages && x.bytes >= imageLevel*level:
		if level > 0 {
			s.images(x)
		}
	case x.bytes >= mostRoutine || !s.isRoutine(s.size(x)):
		s.unusual(x)
	}
}

// level is the largest routine request, 0 while none is known.
func (s *activityState) level() (most uint64) {
	for i := range s.sizes {
		if s.isRoutine(i) {
			most = max(most, s.sizes[i].bytes)
		}
	}
	return most
}

func (s *activityState) isRoutine(i int) bool {
	z := &s.sizes[i]
	return z.repeats >= routineRepeats && (routineShare*z.repeats >= z.count || z.count > routineExams*(s.count-z.exams))
}

// size counts a request, and gives the place of its size.
func (s *activityState) size(x transfer) int {
	best := -1
	for i := range s.sizes {
		if d := apart(s.sizes[i].bytes, x.bytes); d <= sizeSlack && (best < 0 || d < apart(s.sizes[best].bytes, x.bytes)) {
			best = i
		}
	}
	at := wholeSecond(x.start)
	if best < 0 {
		if len(s.sizes) == maxSizes {
			s.forgetSize(at)
		}
		s.sizes = append(s.sizes, requestSize{bytes: x.bytes, exams: s.count})
		best = len(s.sizes) - 1
	}
	z := &s.sizes[best]
	if z.count > 0 && z.last > s.last {
		z.repeats++
	}
	z.count, z.last = z.count+1, max(z.last, at)
	if s.isRoutine(best) { // and so were the first ones
		s.marks = slices.DeleteFunc(s.marks, func(m mark) bool { return apart(m.bytes, z.bytes) <= sizeSlack })
	}
	return best
}

func wholeSecond(t proto.Time) proto.Time { return t - t%proto.Time(time.Second) }

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// forgetSize makes room: first for what is not sent any more, then for what is rare.
func (s *activityState) forgetSize(now proto.Time) {
	worst := 0
	for i := range s.sizes {
		a, b := &s.sizes[i], &s.sizes[worst]
		staleA, staleB := now.Sub(a.last) > staleSize, now.Sub(b.last) > staleSize
		if staleA != staleB {
			if staleA {
				worst = i
			}
			continue
		}
		if a.count < b.count || a.count == b.count && a.last < b.last {
			worst = i
		}
	}
	s.sizes = slices.Delete(s.sizes, worst, worst+1)
}

// unusual keeps a request that is no routine. The first one after the images of an
// examination ends it.
func (s *activityState) unusual(x transfer) {
	s.marks = slices.DeleteFunc(s.marks, func(m mark) bool { return x.start.Sub(m.at) > aroundImages })
	if len(s.marks) == maxMarks {
		s.marks = slices.Delete(s.marks, 0, 1)
	}
	s.marks = append(s.marks, mark{x.start, x.bytes})
	if last := s.latest(); last != nil && !last.closed && last.end == last.last && x.start.Sub(last.last) <= aroundImages {
		last.end, last.around = max(last.end, x.end), true
	}
}

func (s *activityState) latest() *imageRun {
	if len(s.exams) == 0 {
		return nil
	}
	return &s.exams[len(s.exams)-1]
}

// images takes a transfer of images in: the examination goes on, or another begins.
// Two marks since the last images are the end of one and the begin of another,
// however short the pause was.
func (s *activityState) images(x transfer) {
	s.last = max(s.last, wholeSecond(x.end))
	since := proto.Time(0)
	if last := s.latest(); last != nil {
		between := 0
		for _, m := range s.marks {
			if m.at > last.last {
				between++
			}
		}
		if x.start.Sub(last.last) <= imageGap && between < 2 {
			if x.start.Sub(last.last) > oneTransfer {
				last.count++
			}
			last.last = max(last.last, x.end)
			last.end = last.last
			return
		}
		since = last.end
	}
	start, end := x.start, proto.Time(0)
	for _, m := range s.marks {
		if m.at > since && m.at <= x.start && x.start.Sub(m.at) <= aroundImages {
			start, end = min(start, m.at), m.at
		}
	}
	if len(s.exams) == maxSessions {
		s.exams = slices.Delete(s.exams, 0, 1)
	}
	s.exams = append(s.exams, imageRun{start: start, last: x.end, end: x.end, count: 1, around: start < x.start, closed: end.Sub(start) > leastExam})
	s.count++
}

// estimates leaves of the uses that were told by activity those that nothing better is
// known of, of a device that makes images of its own.
func (t *timeline) estimates(tx *stream.Tx, dev *proto.Device, foreign bool, news []proto.Use) []proto.Use {
	isEstimate := func(u proto.Use) bool { return u.How == proto.UseActivity }
	if !slices.ContainsFunc(news, isEstimate) {
		return news
	}
	exact := t.decoded || slices.ContainsFunc(news, func(u proto.Use) bool { return !isEstimate(u) })
	if !exact && !foreign && makesImages(tx, dev) {
		return news
	}
	t.uses = slices.DeleteFunc(t.uses, isEstimate)
	return slices.DeleteFunc(news, isEstimate)
}

// leastOfType is how sure it must be what a device is, for its activity to mean
// anything.
const leastOfType = 0.5

// makesImages reports that a device is one for imaging, as a person says, or else as
// its traffic does.
func makesImages(tx *stream.Tx, dev *proto.Device) bool {
	if v := views.Get(tx, dev.DeviceID[:]); v != nil {
		for _, x := range v.Values {
			if x.Attribute == "type" {
				return imaging[x.Value]
			}
		}
	}
	return dev.Type != nil && dev.Type.Confidence >= leastOfType && imaging[dev.Type.Value]
}
