package proto

// The ways in which a device shows that it is in use. The numbers are part of
// summaries and of state; they never change.
const (
	UseStep       uint8 = iota // a DICOM performed procedure step
	UseStudy                   // images of one DICOM study
	UseInfusion                // a pump says that it delivers
	UseMonitoring              // a monitor has measured values
	UseTest                    // an analyser sends results
	UseActivity                // images by their sizes alone, of a device whose messages are not read
)

// Span is a stretch of time, both ends included.
type Span struct{ Start, End Time }

// Use is one use of a device as its own messages show it: from its first sign to
// its last so far.
type Use struct {
	How        uint8  // UseStep, ...
	Key        string // tells uses at the same time apart: a pseudonym of the step or the study
	Start, End Time
	Open       bool   // nothing has said that it is over
	Guessed    bool   // its start was not seen
	Outcome    string // completed, discontinued, unknown
	Signs      uint64 // how many there were: what lies between two is how exactly its end is known
}

// Usage is an interval of a device's life in one state; the keys are those of
// usage.jsonl and of the record value on wardflow.usage. Of intervals with one
// device and start the last told holds, and one whose end is its start is
// withdrawn: intervals are told while they last.
type Usage struct {
	DeviceID   ID      `json:"device_id"`
	Start      Time    `json:"start"`
	End        Time    `json:"end"`
	State      string  `json:"state"`   // in_use, idle, offline
	Kind       string  `json:"kind"`    // exam, infusion, monitoring, test, session, or ""
	Outcome    string  `json:"outcome"` // completed, discontinued, unknown, or ""
	How        string  `json:"how"`     // decoded, inferred
	Confidence float64 `json:"confidence"`
	Site       string  `json:"site"`
	Method     string  `json:"method"` // activity: in use by an estimate of its activity; else ""
}

// AppendJSON appends the interval as json.Marshal writes it.
func (u *Usage) AppendJSON(b []byte) []byte {
	b = appendID(append(b, `{"device_id":`...), u.DeviceID)
	b = appendTime(append(b, `,"start":`...), u.Start)
	b = appendTime(append(b, `,"end":`...), u.End)
	b = appendText(append(b, `,"state":`...), u.State)
	b = appendText(append(b, `,"kind":`...), u.Kind)
	b = appendText(append(b, `,"outcome":`...), u.Outcome)
	b = appendText(append(b, `,"how":`...), u.How)
	b = appendFloat(append(b, `,"confidence":`...), u.Confidence)
	b = appendText(append(b, `,"site":`...), u.Site)
	return append(appendText(append(b, `,"method":`...), u.Method), '}')
}

func (w *writer) spans(list []Span) {
	w.array(len(list))
	for _, s := range list {
		w.array(2)
		w.int(int64(s.Start))
		w.int(int64(s.End))
	}
}

func (r *reader) spans() []Span {
	if !r.more() {
		return nil
	}
	var list []Span
	for range r.inner() {
		var s Span
		r.nested(func(in *reader) {
			in.array()
			s = Span{Time(in.int()), Time(in.int())}
			in.end()
		})
		if r.err != nil {
			return nil
		}
		list = append(list, s)
	}
	return list
}

func (w *writer) uses(list []Use) {
	w.array(len(list))
	for i := range list {
		u := &list[i]
		w.array(8)
		w.uint(uint64(u.How))
		w.string(u.Key)
		w.int(int64(u.Start))
		w.int(int64(u.End))
		w.bool(u.Open)
		w.bool(u.Guessed)
		w.string(u.Outcome)
		w.uint(u.Signs)
	}
}

func (r *reader) uses() []Use {
	if !r.more() {
		return nil
	}
	var list []Use
	for range r.inner() {
		var u Use
		r.nested(func(in *reader) {
			in.array()
			u = Use{How: uint8(in.uint()), Key: in.string(), Start: Time(in.int()), End: Time(in.int()), Open: in.bool(), Guessed: in.bool(), Outcome: in.word(), Signs: in.uint()}
			in.end()
		})
		if r.err != nil {
			return nil
		}
		list = append(list, u)
	}
	return list
}
