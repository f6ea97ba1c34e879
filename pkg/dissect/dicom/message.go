package dicom

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

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
	moveFrom string // who asked for the retrieval that an image is part of
	status   uint16
	noData   bool
	number   uint16 // of an event or action
	subs     [4]int // sub-operations remaining, completed, failed, with warnings; -1 for none said
	pending  int    // answers of the query in hand

	started bool // the data set began
	first   []byte
	study   string
	series  uint64    // a hash
	level   string    // of a query
	times   [4]string // of a performed procedure step: start and end, date and time
	items   [4]int    // series, images, instances, failed instances
	values  map[string]string
	guard   dissector.Guard

	acquired acquired
}

func (m *message) init(a *association) {
	m.assoc = a
	m.cmd.want, m.cmd.value = wantCommand, m.commandValue
	m.data.want, m.data.value, m.data.item = m.want, m.dataValue, m.dataItem
	m.clear()
}

// clear makes ready for the next message.
func (m *message) clear() {
	m.cmd.reset(implicit)
	m.data.reset(unknown)
	m.guard.Reset()
	clear(m.values)
	m.begun, m.commands, m.started, m.noData = false, false, false, false
	m.field, m.status, m.number, m.series = 0, 0, 0, 0
	m.class, m.instance, m.moveTo, m.moveFrom, m.study, m.level = "", "", "", "", "", ""
	m.subs, m.times, m.items = [4]int{-1, -1, -1, -1}, [4]string{}, [4]int{}
	m.first = m.first[:0]
	m.acquired = acquired{}
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
	case cmdEventType, cmdActionType:
		m.number = number
	case cmdRemaining, cmdCompleted, cmdFailed, cmdWarning:
		m.subs[tag-cmdRemaining] = int(number)
	case cmdMoveOriginator:
		m.moveFrom = dissector.Text(v, 16)
	}
}

// dataset takes part of a data set. Only those of requests are read; the answers to
// a query are patients, and so are its keys but for the level.
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
	case "c_store", "n_create", "n_set", "c_find", "c_get", "c_move", "n_action", "n_event_report":
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
	case tag == tagSeriesUID:
		m.series = xxhash.Sum64(v) | 1
	case tag == tagLevel:
		m.level = levels[dissector.Text(v, 16)]
	case m.acquired.wants(tag) > 0:
		m.acquired.value(tag, v)
	case persons[tag]:
		m.hide(v)
	case tag == tagStartDate, tag == tagStartTime, tag == tagEndDate, tag == tagEndTime:
		m.times[map[uint32]int{tagStartDate: 0, tagStartTime: 1, tagEndDate: 2, tagEndTime: 3}[tag]] = digitsOf(v)
	case m.values == nil:
		m.values = map[string]string{device[tag]: dissector.Text(v, maxText)}
	default:
		m.values[device[tag]] = dissector.Text(v, maxText)
	}
}

// levels are the words for Query/Retrieve Levels.
var levels = map[string]string{"PATIENT": "patient", "STUDY": "study", "SERIES": "series", "IMAGE": "image"}

// hide remembers an identity as it is, and as text makes it.
func (m *message) hide(v []byte) {
	m.guard.Add(v)
	if !utf8.Valid(v) {
		m.guard.Add(bytes.ToValidUTF8(v, []byte("?")))
	}
}

// digitsOf is a date or a time without its fraction, "" for anything else.
func digitsOf(v []byte) string {
	s, _, _ := strings.Cut(dissector.Text(v, 16), ".")
	if strings.Trim(s, "0123456789") != "" || len(s) > 8 {
		return ""
	}
	return s
}

// dataItem counts the items of the sequences that are looked into.
func (m *message) dataItem(e *elements) {
	outer, n := e.levels[0].tag, len(e.levels)
	switch {
	case outer == tagPerformedSeries && n == 1:
		m.items[0]++
	case outer == tagPerformedSeries && n == 3:
		if t := e.levels[2].tag; t == tagReferencedImages || t == tagReferencedOthers {
			m.items[1]++
		}
	case outer == tagReferencedSOPs && n == 1:
		m.items[2]++
	case outer == tagFailedSOPs && n == 1:
		m.items[3]++
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
	if m.cmd.dead || m.field&^response == 0 {
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
