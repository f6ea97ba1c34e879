package bacnet

import (
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The application layer's messages (clause 20.1), by the first four bits.
const (
	apduConfirmed = iota
	apduUnconfirmed
	apduSimpleAck
	apduComplexAck
	apduSegmentAck
	apduError
	apduReject
	apduAbort
)

const segmented = 8 // of the first byte

// The confirmed services (clause 21, BACnetConfirmedServiceChoice).
const (
	acknowledgeAlarm       = 0
	confirmedCOV           = 1
	confirmedEvent         = 2
	subscribeCOV           = 5
	atomicReadFile         = 6
	atomicWriteFile        = 7
	addListElement         = 8
	removeListElement      = 9
	createObject           = 10
	deleteObject           = 11
	readProperty           = 12
	readPropertyMultiple   = 14
	writeProperty          = 15
	writePropertyMultiple  = 16
	communicationControl   = 17
	confirmedPrivate       = 18
	confirmedText          = 19
	reinitialize           = 20
	virtualTerminalOpen    = 21
	readRange              = 26
	lifeSafety             = 27
	subscribeCOVProperty   = 28
	subscribeCOVProperties = 30
	confirmedCOVs          = 31
	lastConfirmed          = 33
)

// services are the names of the confirmed services, and the kinds of their facts.
var services = [lastConfirmed + 1]string{
	"acknowledge_alarm", "cov_notification", "event_notification", "get_alarm_summary", "get_enrollment_summary", "subscribe_cov",
	"atomic_read_file", "atomic_write_file", "add_list_element", "remove_list_element", "create_object", "delete_object",
	"read_property", "read_property_conditional", "read_property_multiple", "write_property", "write_property_multiple",
	"device_communication_control", "private_transfer", "text_message", "reinitialize_device", "vt_open", "vt_close", "vt_data",
	"authenticate", "request_key", "read_range", "life_safety_operation", "subscribe_cov_property", "get_event_information",
	"subscribe_cov_property_multiple", "cov_notification_multiple", "audit_notification", "audit_log_query",
}

// apdu reads the application layer.
func (m *message) apdu(b []byte) {
	switch b[0] >> 4 {
	case apduConfirmed:
		if len(b) < 4 {
			m.short()
			return
		}
		service, rest, ok := m.segment(b[0], b[3:])
		if ok {
			m.confirmed(service, &reader{rest})
		}
	case apduUnconfirmed:
		if len(b) < 2 {
			m.short()
			return
		}
		m.unconfirmed(b[1], &reader{b[2:]})
	case apduSimpleAck:
		if len(b) < 3 {
			m.short()
			return
		}
		m.acknowledged(b[2])
	case apduComplexAck:
		if len(b) < 3 {
			m.short()
			return
		}
		service, rest, ok := m.segment(b[0], b[2:])
		if ok {
			m.answer(service, &reader{rest})
		}
	case apduSegmentAck:
		m.c.Count("bacnet_segment_ack")
	case apduError:
		if len(b) < 3 {
			m.short()
			return
		}
		m.failure(b[2], &reader{b[3:]})
	case apduReject, apduAbort:
		if len(b) < 3 {
			m.short()
			return
		}
		m.refusal(b)
	default:
		m.c.Count("bacnet_apdu_reserved")
	}
}

// short counts a message that ends too soon.
func (m *message) short() { m.c.Count("bacnet_apdu_malformed") }

// segment takes sequence number and window off a message in segments, and gives
// the service and its data; of such a message only the first segment is read.
func (m *message) segment(first byte, b []byte) (service byte, rest []byte, ok bool) {
	if first&segmented != 0 {
		m.c.Count("bacnet_segment")
		if len(b) < 3 {
			m.short()
			return 0, nil, false
		}
		if b[0] != 0 {
			return 0, nil, false
		}
		b = b[2:]
	}
	if len(b) == 0 {
		m.short()
		return 0, nil, false
	}
	return b[0], b[1:], true
}

// service is the name of a confirmed service.
func service(n byte) string {
	if int(n) < len(services) {
		return services[n]
	}
	return "unknown"
}

// acknowledged tells that a device has done what changes it as a whole. Of other
// services only a failure is told.
func (m *message) acknowledged(n byte) {
	switch n {
	case communicationControl, reinitialize, lifeSafety:
		f := m.fact("acknowledged", "server")
		f.Attributes.Set("service", service(n))
		m.emit(&f)
	}
}

// failure reads an error (20.1.7): a class and a code. Reading what is not there
// is many a workstation's way of finding out: that is counted for the sum of the
// flow, not told.
func (m *message) failure(n byte, r *reader) {
	m.c.Count("bacnet_error")
	switch n {
	case addListElement, removeListElement, createObject, writePropertyMultiple, confirmedPrivate, subscribeCOVProperties:
		r.open(0) // the error proper; which element failed follows it
	}
	f := m.fact("error", "server")
	f.Attributes.Set("service", service(n))
	what := "error"
	class, ok := enumerated(r)
	if ok {
		f.Attributes.Set("error_class", errorClass(class))
		if code, ok := enumerated(r); ok {
			what = word("error", code)
			f.Attributes.Set("error_code", what)
		}
	}
	m.refused(service(n) + " " + what)
	switch n {
	case readProperty, readPropertyMultiple, readRange, confirmedCOV, confirmedCOVs:
		return
	}
	m.emit(&f)
}

func enumerated(r *reader) (uint32, bool) {
	v, ok := r.plain(typeEnumerated)
	if !ok {
		return 0, false
	}
	return number(v)
}

var errorClasses = [...]string{"device", "object", "property", "resources", "security", "services", "vt", "communication"}

func errorClass(n uint32) string { return wordOf(errorClasses[:], n) }

// wordOf is a number's word in a list, or the number.
func wordOf(words []string, n uint32) string {
	if int64(n) < int64(len(words)) {
		return words[n]
	}
	return strconv.FormatUint(uint64(n), 10)
}

// The reasons of BACnetRejectReason and BACnetAbortReason.
var (
	rejectReasons = [...]string{
		"other", "buffer_overflow", "inconsistent_parameters", "invalid_parameter_data_type", "invalid_tag", "missing_required_parameter",
		"parameter_out_of_range", "too_many_arguments", "undefined_enumeration", "unrecognized_service", "invalid_data_encoding",
	}
	abortReasons = [...]string{
		"other", "buffer_overflow", "invalid_apdu_in_this_state", "preempted_by_higher_priority_task", "segmentation_not_supported",
		"security_error", "insufficient_security", "window_size_out_of_range", "application_exceeded_reply_time", "out_of_resources",
		"tsm_timeout", "apdu_too_long",
	}
)

// refusal tells of a reject or an abort, which name no service.
func (m *message) refusal(b []byte) {
	var f dissector.Fact
	if b[0]>>4 == apduReject {
		m.c.Count("bacnet_reject")
		f = m.fact("reject", "server")
		f.Attributes.Set("reason", wordOf(rejectReasons[:], uint32(b[2])))
		m.refused("reject " + f.Attributes.Get("reason"))
	} else {
		m.c.Count("bacnet_abort")
		role := "client"
		if b[0]&1 != 0 {
			role = "server"
		}
		f = m.fact("abort", role)
		f.Attributes.Set("reason", wordOf(abortReasons[:], uint32(b[2])))
		m.refused("abort " + f.Attributes.Get("reason"))
	}
	m.emit(&f)
}
