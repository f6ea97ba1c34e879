package bacnet

import (
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The unconfirmed services (clause 21, BACnetUnconfirmedServiceChoice).
const (
	iAm = iota
	iHave
	covNotification
	eventNotification
	privateTransfer
	textMessage
	timeSynchronization
	whoHas
	whoIs
	utcTimeSynchronization
	writeGroup
	covNotificationMultiple
	auditNotification
	whoAmI
	youAre
	unconfirmedServices
)

var unconfirmedKinds = [unconfirmedServices]string{
	"i_am", "i_have", "", "event_notification", "private_transfer", "text_message", "time_synchronization", "who_has", "who_is",
	"utc_time_synchronization", "write_group", "", "", "who_am_i", "you_are",
}

// unconfirmed tells what devices say to everybody. Changes of values are not told.
func (m *message) unconfirmed(n byte, r *reader) {
	if n >= unconfirmedServices {
		m.c.Count("bacnet_service_unknown")
		return
	}
	kind := unconfirmedKinds[n]
	if kind == "" {
		return
	}
	f := m.fact(kind, "client")
	ok := true
	switch n {
	case iAm:
		ok = announce(&f, r)
	case iHave:
		ok = have(&f, r)
	case eventNotification:
		ok = event(&f, r)
	case privateTransfer:
		ok = private(&f, r)
	case whoIs, whoHas:
		ok = search(&f, r, n == whoHas)
	case writeGroup:
		var v uint32
		v, ok = r.count(0)
		f.Attributes.Set("group", strconv.FormatUint(uint64(v), 10))
		if v, has := r.count(1); has {
			f.Attributes.Set("priority", strconv.FormatUint(uint64(v), 10))
		}
	case whoAmI, youAre:
		ok = unconfigured(&f, r, n == youAre)
	}
	if !ok {
		m.c.Count("bacnet_incomplete")
		if n == iAm || n == iHave {
			return
		}
	}
	m.emit(&f)
}

// search reads Who-Is and Who-Has (16.9, 16.10). The name of an object that
// somebody looks for is not told.
func search(f *dissector.Fact, r *reader, has bool) bool {
	if low, ok := r.count(0); ok {
		high, ok := r.count(1)
		if !ok {
			return false
		}
		f.Attributes.Set("low", strconv.FormatUint(uint64(low), 10))
		f.Attributes.Set("high", strconv.FormatUint(uint64(high), 10))
	}
	if !has || setObject(f, r, 2) {
		return true
	}
	_, ok := r.field(3)
	if ok {
		f.Attributes.Set("by_name", "true")
	}
	return ok
}

var segmentations = [...]string{"both", "transmit", "receive", "none"}

// announce reads I-Am (16.10): the device's instance, what it can take, and whose
// product it is.
func announce(f *dissector.Fact, r *reader) bool {
	v, ok := r.plain(typeObject)
	if !ok {
		return false
	}
	o, ok := objectOf(v)
	if !ok || o.kind != objectDevice {
		return false
	}
	a := &f.Attributes
	a.Set("role", "server")
	a.Set("device_instance", strconv.FormatUint(uint64(o.instance), 10))
	if v, ok = r.plain(typeUnsigned); !ok {
		return false
	}
	n, _ := number(v)
	a.Set("max_apdu", strconv.FormatUint(uint64(n), 10))
	s, ok := enumerated(r)
	if !ok {
		return false
	}
	a.Set("segmentation", wordOf(segmentations[:], s))
	if v, ok = r.plain(typeUnsigned); !ok {
		return false
	}
	n, ok = number(v)
	setVendor(f, n)
	return ok
}

func setVendor(f *dissector.Fact, n uint32) {
	f.Attributes.Set("vendor_id", strconv.FormatUint(uint64(n), 10))
	f.Attributes.Set("vendor", vendor(n))
}

// have reads I-Have (16.9): a device's instance and an object of its own. Only
// the name of the device itself is told.
func have(f *dissector.Fact, r *reader) bool {
	v, ok := r.plain(typeObject)
	if !ok {
		return false
	}
	device, ok := objectOf(v)
	if !ok {
		return false
	}
	f.Attributes.Set("role", "server")
	f.Attributes.Set("device_instance", strconv.FormatUint(uint64(device.instance), 10))
	if v, ok = r.plain(typeObject); !ok {
		return false
	}
	o, ok := objectOf(v)
	if !ok {
		return false
	}
	o.set(f)
	if v, ok = r.plain(typeText); ok && o.kind == objectDevice {
		f.Attributes.Set("object_name", text(v, maxText))
	}
	return ok
}

// unconfigured reads Who-Am-I and You-Are (16.11, 16.12), with which a device
// without instance gets one. What the latter says is not about its sender.
func unconfigured(f *dissector.Fact, r *reader, given bool) bool {
	v, ok := r.plain(typeUnsigned)
	if !ok {
		return false
	}
	if n, _ := number(v); !given {
		setVendor(f, n)
	}
	model, ok := r.plain(typeText)
	if !ok {
		return false
	}
	serial, ok := r.plain(typeText)
	if !ok {
		return false
	}
	if !given {
		f.Attributes.Set("model", text(model, maxText))
		f.Attributes.Set("serial", text(serial, maxText))
		return true
	}
	if v, ok := r.plain(typeObject); ok {
		if o, ok := objectOf(v); ok {
			f.Attributes.Set("assigned_instance", strconv.FormatUint(uint64(o.instance), 10))
		}
	}
	return true
}
