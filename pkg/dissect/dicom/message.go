package dicom

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// mppsClass is the SOP class of modality performed procedure steps.
const mppsClass = "1.2.840.10008.3.1.2.3.3"

// message is the DIMSE message in hand of one direction.
type message struct {
	assoc *association
	cmd   elements
	data  elements

	begun    bool // something of it was read
	commands bool // its command is complete
	field    uint16
	class    string
	instance string // never leaves but as a pseudonym
	moveTo   string
	status   uint16
	noData   bool
	pending  int // answers of the query in hand

	started bool // the data set began
	first   []byte
	study   string
	values  map[string]string
	guard   dissector.Guard
}

func (m *message) init(a *association) {
	m.assoc = a
	m.cmd.want, m.cmd.value = wantCommand, m.commandValue
	m.data.want, m.data.value = m.want, m.dataValue
	m.clear()
}

// clear makes ready for the next message.
func (m *message) clear() {
	m.cmd.reset(implicit)
	m.data.reset(unknown)
	m.guard.Reset()
	clear(m.values)
	m.begun, m.commands, m.started, m.noData = false, false, false, false
	m.field, m.status = 0, 0
	m.class, m.instance, m.moveTo, m.study = "", "", "", ""
	m.first = m.first[:0]
}

func (m *message) size() int {
	return cap(m.cmd.buf) + cap(m.data.buf) + m.guard.Size() + 96*len(m.values) + 512
}

// command takes part of a command set, always implicit little endian.
func (m *message) command(b []byte) {
	if m.commands { // the one before had a data set that never came
		m.clear()
	}
	m.begun = true
	m.cmd.read(b)
}

func (m *message) commandValue(_ *elements, tag uint32, v []byte) {
	number := uint16(0)
	if len(v) >= 2 {
		number = binary.LittleEndian.Uint16(v)
	}
	switch tag {
	case cmdAffectedClass, cmdRequestedClass:
		m.class = uid(v)
	case cmdField:
		m.field = number
	case cmdMoveDestination:
		m.moveTo = dissector.Text(v, 16)
	case cmdDataSetType:
		m.noData = number == noDataSet
	case cmdStatus:
		m.status = number
	case cmdAffectedInstance, cmdRequestedInstance:
		m.instance = uid(v)
	}
}

// dataset takes part of a data set. Only those of requests that store or report
// are read; a query's keys and its answers are patients.
func (m *message) dataset(c *dissector.Context, ctx uint8, b []byte) {
	m.begun = true
	if !m.interesting() {
		return
	}
	if !m.started {
		// The encoding has to be known, which may take the first element.
		s := m.assoc.syntax(ctx)
		if s == unknown {
			n := min(8-len(m.first), len(b))
			m.first = append(m.first, b[:n]...)
			if b = b[n:]; len(m.first) < 8 {
				return
			}
			s = guess(m.first)
			c.Count("dicom_syntax_guessed")
		}
		m.started = true
		m.data.reset(s)
		if s == deflated {
			c.Count("dicom_deflated")
			m.data.dead = true
		}
		m.data.read(m.first)
	}
	m.data.read(b)
}

func (m *message) interesting() bool {
	switch kinds[m.field] {
	case "c_store", "n_create", "n_set":
		return m.commands
	}
	return false
}

// skip steps over missing bytes of the data set, if that loses nothing.
func (m *message) skip(n int64) bool {
	return !m.interesting() || (m.started && m.data.skip(n))
}

func (m *message) dataValue(e *elements, tag uint32, v []byte) {
	switch {
	case tag == tagStudyUID:
		m.study = uid(v)
	case persons[tag]:
		m.guard.Add(v)
	case m.values == nil:
		m.values = map[string]string{device[tag]: dissector.Text(v, maxText)}
	default:
		m.values[device[tag]] = dissector.Text(v, maxText)
	}
}

// last is the last fragment of the command or of the data set.
func (m *message) last(c *dissector.Context, command bool) {
	if !command {
		if m.commands {
			m.emit(c, true)
		}
		m.clear()
		return
	}
	m.commands = true
	if m.cmd.dead || (m.field&^response != 0 && kinds[m.field&^response] == "") {
		c.Count("dicom_command_malformed")
	}
	if m.noData {
		m.emit(c, true)
		m.clear()
	}
}

// drop ends the message in hand early.
func (m *message) drop(c *dissector.Context) {
	if m.begun {
		c.Count("dicom_incomplete")
		if m.commands {
			m.emit(c, false)
		}
	}
	m.clear()
}

// emit gives the message's fact away.
func (m *message) emit(c *dissector.Context, complete bool) {
	kind := kinds[m.field&^response]
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	m.assoc.titles(a)
	a.Set("sop_class", m.class)
	switch {
	case kind == "":
		return
	case m.field&response != 0:
		if !m.answer(kind) {
			return
		}
		f.Kind += "_rsp"
		a.Set("role", "scp")
		a.Set("status", fmt.Sprintf("%04x", m.status))
		if m.pending > 0 {
			a.Set("matches", strconv.Itoa(m.pending))
		}
		m.pending = 0
		c.Emit(&f)
		return
	}
	a.Set("role", "scu")
	a.Set("move_destination", m.moveTo)
	if m.class == mppsClass && m.instance != "" && len(c.Key) > 0 {
		a.Set("mpps", dissector.Pseudonym(c.Key, []byte(m.instance)))
	}
	if !complete {
		a.Set("incomplete", "true")
	}
	m.describe(c, &f, complete)
	c.Emit(&f)
}

// describe adds what the data set said about the device.
func (m *message) describe(c *dissector.Context, f *dissector.Fact, complete bool) {
	switch {
	case m.data.deep:
		c.Count("dicom_dataset_deep")
	case m.data.dead && m.data.syntax != deflated:
		c.Count("dicom_dataset_malformed")
	}
	if m.study != "" && len(c.Key) > 0 {
		f.Attributes.Set("study", dissector.Pseudonym(c.Key, []byte(m.study)))
	}
	if (!complete || m.data.dead) && m.data.top < 0x0011_0000 {
		return // who the patient is was not read, so nothing can be checked against it
	}
	for name, s := range m.values {
		switch {
		case m.guard.Holds(s):
			c.Count("dicom_identity_withheld")
		case name == "device_uid":
			f.Attributes.Set(name, uid([]byte(s)))
		case name == "mpps_status":
			f.Attributes.Set(name, status(s))
		default:
			f.Attributes.Set(name, s)
		}
	}
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

// answer says whether a response is worth a fact: the last of a query, or one
// that failed. Successes of single requests tell nothing that the request did not.
func (m *message) answer(kind string) bool {
	pending := m.status == 0xff00 || m.status == 0xff01
	if pending {
		m.pending++
		return false
	}
	switch kind {
	case "c_find", "c_get", "c_move":
		return true
	}
	return m.status != 0
}
