package dicom

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// emit gives the message's fact away.
func (m *message) emit(c *dissector.Context, complete bool) {
	kind := kinds[m.field&^response]
	switch {
	case kind != "":
	case m.cmd.dead || m.field&^response == 0:
		return
	default: // a vendor's own
		kind = "dimse_other"
	}
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	m.assoc.titles(a)
	a.Set("sop_class", m.class)
	a.Set("sop_class_name", sopName(m.class))
	a.Set("service", serviceOf(m.class))
	if m.field&response != 0 {
		m.answer(c, &f, kind)
		return
	}
	a.Set("role", "scu")
	a.Set("move_destination", m.moveTo)
	a.Set("move_originator", m.moveFrom)
	a.Set("level", m.level)
	if m.class == mppsClass && m.instance != "" && len(c.Key) > 0 {
		a.Set("mpps", dissector.Pseudonym(c.Key, []byte(m.instance)))
	}
	if !complete {
		a.Set("incomplete", "true")
	}
	switch kind {
	case "n_action":
		a.Set("action", m.numbered(map[uint16]string{1: "request_commitment"}))
	case "n_event_report":
		a.Set("event", m.numbered(map[uint16]string{1: "committed", 2: "commitment_failed"}))
	}
	m.describe(c, &f, complete)
	m.assoc.tally.request(c, m, kind, a)
	c.Emit(&f)
}

// numbered is the word for the number of an action or event of the storage commitment
// (PS3.4 J.3), for others the number.
func (m *message) numbered(words map[uint16]string) string {
	if w := words[m.number]; w != "" && serviceOf(m.class) == "storage_commitment" {
		return w
	}
	return strconv.Itoa(int(m.number))
}

// describe adds what the data set said about the device and its work.
func (m *message) describe(c *dissector.Context, f *dissector.Fact, complete bool) {
	a := &f.Attributes
	switch {
	case m.data.deep:
		c.Count("dicom_dataset_deep")
	case m.data.dead && m.data.syntax != deflated:
		c.Count("dicom_dataset_malformed")
	}
	if m.study != "" && len(c.Key) > 0 {
		a.Set("study", dissector.Pseudonym(c.Key, []byte(m.study)))
	}
	if complete && !m.data.dead {
		a.Set("started", moment(m.times[0], m.times[1]))
		a.Set("ended", moment(m.times[2], m.times[3]))
		a.Set("acquired", m.acquired.when(c.Headers.Time))
		for i, name := range [...]string{"series_count", "images_count", "instances_count", "failed_count"} {
			if m.items[i] > 0 {
				a.Set(name, strconv.Itoa(m.items[i]))
			}
		}
	}
	if (!complete || m.data.dead) && m.data.top < 0x0011_0000 {
		return // who the patient is was not read, so nothing can be checked against it
	}
	m.device(c, a)
}

// device adds the device's tags but for those that repeat a patient's identity.
func (m *message) device(c *dissector.Context, a *proto.Attributes) {
	for name, s := range m.values {
		switch {
		case m.guard.Holds(s):
			c.Count("dicom_identity_withheld")
		case name == "device_uid":
			a.Set(name, uid([]byte(s)))
		case name == "mpps_status":
			a.Set(name, status(s))
		default:
			a.Set(name, s)
		}
	}
}

// moment is a date and a time as 2026-01-31T10:15:00, a date alone, or nothing.
func moment(date, time string) string {
	if len(date) != 8 {
		return ""
	}
	s := date[:4] + "-" + date[4:6] + "-" + date[6:]
	if len(time) >= 6 {
		s += "T" + time[:2] + ":" + time[2:4] + ":" + time[4:6]
	}
	return s
}

// status is a Performed Procedure Step Status (PS3.3 C.4.14), "" for any other
// word.
func status(s string) string {
	switch s {
	case "IN PROGRESS", "COMPLETED", "DISCONTINUED":
		return strings.ReplaceAll(strings.ToLower(s), " ", "_")
	}
	return ""
}

// statuses are the words for the status of a response that is not success (PS3.7 C,
// PS3.4 B.2.3).
var statuses = map[uint16]string{
	0x0105: "no_such_attribute", 0x0106: "invalid_attribute", 0x0107: "attribute_list", 0x0110: "processing_failure", 0x0111: "duplicate_instance", 0x0112: "no_such_instance",
	0x0115: "invalid_argument", 0x0117: "invalid_instance", 0x0118: "no_such_class", 0x0119: "class_instance_conflict", 0x0120: "missing_attribute", 0x0122: "class_not_supported",
	0x0123: "no_such_action", 0x0124: "not_authorised", 0x0210: "duplicate_invocation", 0x0211: "unrecognised_operation", 0x0212: "mistyped_argument", 0x0213: "resource_limitation",
	0xa700: "out_of_resources", 0xa701: "out_of_resources", 0xa702: "out_of_resources", 0xa801: "destination_unknown", 0xa900: "class_mismatch",
	0xb000: "warning", 0xb006: "elements_discarded", 0xb007: "class_mismatch_warning", 0xfe00: "cancelled",
}

// answer tells of a response that is worth a fact: the last of a query, or one that
// failed. Successes of single requests tell nothing that the request did not.
func (m *message) answer(c *dissector.Context, f *dissector.Fact, kind string) {
	if m.status == 0xff00 || m.status == 0xff01 {
		m.pending++
		return
	}
	m.assoc.tally.response(m.status)
	switch kind {
	case "c_find", "c_get", "c_move":
	default:
		if m.status == 0 {
			m.pending = 0
			return
		}
	}
	a := &f.Attributes
	f.Kind += "_rsp"
	a.Set("role", "scp")
	a.Set("status", fmt.Sprintf("%04x", m.status))
	a.Set("status_name", statuses[m.status])
	if m.pending > 0 {
		a.Set("matches", strconv.Itoa(m.pending))
	}
	for i, name := range [...]string{"remaining", "completed", "failed", "warnings"} {
		if m.subs[i] >= 0 {
			a.Set(name, strconv.Itoa(m.subs[i]))
		}
	}
	m.pending = 0
	c.Emit(f)
}
