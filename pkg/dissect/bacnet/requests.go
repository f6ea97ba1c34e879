package bacnet

import (
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// confirmed tells who asks a device to do something. What is asked for to be read
// is counted and not told: workstations do little else.
func (m *message) confirmed(n byte, r *reader) {
	if int(n) >= len(services) {
		m.c.Count("bacnet_service_unknown")
		return
	}
	m.asked(services[n])
	f := m.fact(services[n], "client")
	a := &f.Attributes
	ok := true
	switch n {
	case writeProperty:
		ok = m.write(&f, r)
	case writePropertyMultiple:
		ok = m.writeMultiple(&f, r)
	case subscribeCOV, subscribeCOVProperty:
		ok = subscribe(&f, r)
	case addListElement, removeListElement:
		ok = setObject(&f, r, 0) && setProperty(&f, r, 1)
	case createObject:
		ok = create(&f, r)
	case deleteObject:
		var v []byte
		if v, ok = r.plain(typeObject); ok {
			o, _ := objectOf(v)
			o.set(&f)
		}
	case atomicReadFile, atomicWriteFile:
		begin, fine := file(&f, r)
		if ok = fine; ok && !begin {
			m.c.Count("bacnet_file_chunk")
			return
		}
	case communicationControl:
		if v, has := r.count(0); has {
			a.Set("duration_min", strconv.FormatUint(uint64(v), 10))
		}
		var v uint32
		v, ok = r.count(1)
		a.Set("state", wordOf(communicationStates[:], v))
		password(&f, r, 2)
	case reinitialize:
		var v uint32
		v, ok = r.count(0)
		a.Set("state", wordOf(reinitializeStates[:], v))
		password(&f, r, 1)
	case confirmedPrivate:
		ok = private(&f, r)
	case confirmedEvent:
		ok = event(&f, r)
	case lifeSafety:
		ok = safety(&f, r)
	case acknowledgeAlarm:
		r.field(0)
		if ok = setObject(&f, r, 1); ok {
			if v, has := r.count(2); has {
				a.Set("state", eventState(v))
			}
		}
	case confirmedText, virtualTerminalOpen, 22, 24, 25, subscribeCOVProperties:
		// that it was done is all that is told
	default:
		return
	}
	if !ok {
		m.c.Count("bacnet_incomplete")
	}
	m.emit(&f)
}

// What devices are told (BACnetDeviceCommunicationControl, 16.1; 16.4).
var (
	communicationStates = [...]string{"enable", "disable", "disable_initiation"}
	reinitializeStates  = [...]string{"coldstart", "warmstart", "start_backup", "end_backup", "start_restore", "end_restore", "abort_restore", "activate_changes"}
)

// password tells that one was given, in clear text.
func password(f *dissector.Fact, r *reader, context uint8) {
	if v, ok := r.field(context); ok && len(v) > 1 {
		f.Attributes.Set("cleartext_credential", "password")
	}
}

// set names the object that is meant.
func (o object) set(f *dissector.Fact) {
	f.Attributes.Set("object_type", word("object", uint32(o.kind)))
	f.Attributes.Set("object_instance", strconv.FormatUint(uint64(o.instance), 10))
}

func setObject(f *dissector.Fact, r *reader, context uint8) bool {
	o, ok := r.object(context)
	if ok {
		o.set(f)
	}
	return ok
}

func setProperty(f *dissector.Fact, r *reader, context uint8) bool {
	p, ok := r.count(context)
	if ok {
		f.Attributes.Set("property", word("property", p))
	}
	return ok
}

// write reads WriteProperty (15.9): the object, the property, and the priority;
// of the value its type alone.
func (m *message) write(f *dissector.Fact, r *reader) bool {
	if !setObject(f, r, 0) || !setProperty(f, r, 1) {
		return false
	}
	r.field(2) // index
	if !r.open(3) {
		return false
	}
	if t, ok := r.peek(); ok && !t.context && t.number < types {
		f.Attributes.Set("value_type", typeNames[t.number])
	}
	if !r.close() {
		return false
	}
	if p, ok := r.count(4); ok {
		f.Attributes.Set("priority", strconv.FormatUint(uint64(p), 10))
	}
	return true
}

const maxWrites = 16 // of one WritePropertyMultiple that are told

// writeMultiple reads WritePropertyMultiple (15.10) as a list of "analog_output 1
// present_value priority=8".
func (m *message) writeMultiple(f *dissector.Fact, r *reader) bool {
	var list []string
	count, ok := 0, true
	for ok && len(r.b) > 0 {
		o, fine := r.object(0)
		if ok = fine && r.open(1); !ok {
			break
		}
		for {
			p, more := r.count(0)
			if !more {
				break
			}
			r.field(1) // index
			if ok = r.open(2) && r.close(); !ok {
				break
			}
			s := word("object", uint32(o.kind)) + " " + strconv.FormatUint(uint64(o.instance), 10) + " " + word("property", p)
			if v, has := r.count(3); has {
				s += " priority=" + strconv.FormatUint(uint64(v), 10)
			}
			if count++; len(list) < maxWrites {
				list = append(list, s)
			}
		}
		ok = ok && r.close()
	}
	f.Attributes.SetList("writes", list)
	f.Attributes.Set("count", strconv.Itoa(count))
	return ok
}

// subscribe reads SubscribeCOV (13.14) and SubscribeCOVProperty (13.15); without
// the last two fields it cancels.
func subscribe(f *dissector.Fact, r *reader) bool {
	r.field(0)
	if !setObject(f, r, 1) {
		return false
	}
	confirmed, asked := r.count(2)
	if !asked {
		f.Attributes.Set("state", "cancelled")
	} else if confirmed != 0 {
		f.Attributes.Set("confirmed", "true")
	}
	if life, ok := r.count(3); ok {
		f.Attributes.Set("lifetime_s", strconv.FormatUint(uint64(life), 10))
	}
	if r.open(4) {
		return setProperty(f, r, 0)
	}
	return true
}

// create reads CreateObject (15.3): a type, or an object.
func create(f *dissector.Fact, r *reader) bool {
	if !r.open(0) {
		return false
	}
	if setObject(f, r, 1) {
		return true
	}
	kind, ok := r.count(0)
	if ok {
		f.Attributes.Set("object_type", word("object", kind))
	}
	return ok
}

// file reads AtomicReadFile and AtomicWriteFile (clause 14): which file, how, and
// from where; begin says that it is the first piece, or one at the end.
func file(f *dissector.Fact, r *reader) (begin, ok bool) {
	v, ok := r.plain(typeObject)
	if !ok {
		return false, false
	}
	o, _ := objectOf(v)
	o.set(f)
	t, ok := r.next()
	if !ok || !t.opening || t.number > 1 {
		return false, false
	}
	f.Attributes.Set("access", [...]string{"stream", "record"}[t.number])
	start, ok := r.plain(typeSigned)
	if !ok {
		return false, false
	}
	zero, ones := true, true
	for _, x := range start {
		zero, ones = zero && x == 0, ones && x == 0xff
	}
	return zero || ones, true
}

// private reads a private transfer (16.2): whose service it is, and which.
func private(f *dissector.Fact, r *reader) bool {
	maker, ok := r.count(0)
	if !ok {
		return false
	}
	f.Attributes.Set("vendor_id", strconv.FormatUint(uint64(maker), 10))
	f.Attributes.Set("vendor", vendor(maker))
	number, ok := r.count(1)
	f.Attributes.Set("service_number", strconv.FormatUint(uint64(number), 10))
	return ok
}

// What a life safety object may be told (BACnetLifeSafetyOperation).
var safetyOperations = [...]string{"none", "silence", "silence_audible", "silence_visual", "reset", "reset_alarm", "reset_fault", "unsilence", "unsilence_audible", "unsilence_visual"}

// safety reads LifeSafetyOperation (13.13); who asks (a text) is not read.
func safety(f *dissector.Fact, r *reader) bool {
	r.field(0)
	r.field(1)
	op, ok := r.count(2)
	if ok {
		f.Attributes.Set("operation", wordOf(safetyOperations[:], op))
		setObject(f, r, 3)
	}
	return ok
}

// The enumerations of events (BACnetEventType, BACnetEventState, BACnetNotifyType).
var (
	eventTypes = [...]string{
		"change_of_bitstring", "change_of_state", "change_of_value", "command_failure", "floating_limit", "out_of_range", "complex",
		"7", "change_of_life_safety", "extended", "buffer_ready", "unsigned_range", "12", "access_event", "double_out_of_range",
		"signed_out_of_range", "unsigned_out_of_range", "change_of_characterstring", "change_of_status_flags", "change_of_reliability",
		"none", "change_of_discrete_value", "change_of_timer",
	}
	eventStates = [...]string{"normal", "fault", "offnormal", "high_limit", "low_limit", "life_safety_alarm"}
	notifyTypes = [...]string{"alarm", "event", "ack_notification"}
)

func eventState(n uint32) string { return wordOf(eventStates[:], n) }

// event reads an event notification (13.8); its text and values are not read.
func event(f *dissector.Fact, r *reader) bool {
	a := &f.Attributes
	a.Set("role", "server")
	r.field(0)
	device, ok := r.object(1)
	if !ok {
		return false
	}
	a.Set("device_instance", strconv.FormatUint(uint64(device.instance), 10))
	if !setObject(f, r, 2) {
		return false
	}
	if !r.open(3) || !r.close() { // the time, one of three forms
		return false
	}
	r.field(4)
	if p, ok := r.count(5); ok {
		a.Set("priority", strconv.FormatUint(uint64(p), 10))
	}
	if v, ok := r.count(6); ok {
		a.Set("event_type", wordOf(eventTypes[:], v))
	}
	r.field(7) // text
	if v, ok := r.count(8); ok {
		a.Set("notify_type", wordOf(notifyTypes[:], v))
	}
	r.field(9)
	if v, ok := r.count(10); ok {
		a.Set("from_state", eventState(v))
	}
	v, ok := r.count(11)
	if ok {
		a.Set("state", eventState(v))
	}
	return ok
}
