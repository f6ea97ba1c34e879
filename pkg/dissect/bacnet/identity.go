package bacnet

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const maxText = 128 // bytes of a text that is told

// The properties that are read (clause 21, BACnetPropertyIdentifier): of the
// device object, and the MAC of its network ports.
const (
	propSoftware    = 12
	propDescription = 28
	propFirmware    = 44
	propLocation    = 58
	propModel       = 70
	propName        = 77
	propVersion     = 98
	propStatus      = 112
	propVendorID    = 120
	propVendorName  = 121
	propRevision    = 139
	propProfile     = 168
	propRestart     = 196
	propSerial      = 372
	propMAC         = 423
	propUUID        = 507

	maxRead = 256 // properties of one answer
)

// texts are the attributes of properties that are texts.
var texts = map[uint32]string{
	propSoftware:   "software_version",
	propFirmware:   "firmware_version",
	propLocation:   "location",
	propModel:      "model",
	propName:       "object_name",
	propVendorName: "manufacturer",
	propProfile:    "profile",
	propSerial:     "serial",
}

var (
	systemStates   = [...]string{"operational", "operational_read_only", "download_required", "download_in_progress", "non_operational", "backup_in_progress"}
	restartReasons = [...]string{"unknown", "coldstart", "warmstart", "detected_power_lost", "detected_powered_off", "hardware_watchdog", "software_watchdog", "suspended", "activate_changes"}
)

// answer reads the answers to ReadProperty and ReadPropertyMultiple (15.5, 15.7):
// of these only what a device object says of its device.
func (m *message) answer(n byte, r *reader) {
	f := m.fact("identity", "server")
	before := len(f.Attributes)
	var ok bool
	switch n {
	case readProperty:
		ok = m.property(&f, r)
	case readPropertyMultiple:
		ok = m.properties(&f, r)
	default:
		return
	}
	if !ok {
		m.c.Count("bacnet_incomplete") // a segment's end, most often
	}
	if len(f.Attributes) > before {
		m.emit(&f)
	}
}

// property reads one property.
func (m *message) property(f *dissector.Fact, r *reader) bool {
	o, ok := r.object(0)
	if !ok {
		return false
	}
	p, ok := r.count(1)
	if !ok {
		return false
	}
	r.field(2) // index
	if !r.open(3) {
		return false
	}
	if t, ok := r.peek(); ok && interesting(o, p) {
		m.identity(f, o, p, t)
	}
	return r.close()
}

// properties reads lists of properties, an object each.
func (m *message) properties(f *dissector.Fact, r *reader) bool {
	for read := 0; len(r.b) > 0; {
		o, ok := r.object(0)
		if !ok || !r.open(1) {
			return false
		}
		for {
			p, more := r.count(2)
			if !more {
				break
			}
			if read++; read > maxRead {
				return false
			}
			r.field(3) // index
			switch {
			case r.open(4):
				if t, ok := r.peek(); ok && interesting(o, p) {
					m.identity(f, o, p, t)
				}
			case r.open(5): // no value but an error
			default:
				return false
			}
			if !r.close() {
				return false
			}
		}
		if t, ok := r.next(); !ok || !t.closing {
			return false
		}
	}
	return true
}

func interesting(o object, p uint32) bool {
	switch o.kind {
	case objectDevice:
		return true
	case objectPort:
		return p == propMAC
	}
	return false
}

// identity puts down what one property says.
func (m *message) identity(f *dissector.Fact, o object, p uint32, t tag) {
	a := &f.Attributes
	before := len(*a)
	n, isNumber := number(t.value)
	isText := !t.context && t.number == typeText
	switch p {
	case propDescription:
		if s := text(t.value, maxText); isText && aboutPlant(s) {
			a.Set("description", s)
		} else if s != "" {
			m.c.Count("bacnet_description_withheld")
		}
	case propVendorID:
		if isNumber {
			setVendor(f, n)
		}
	case propVersion:
		if isNumber {
			a.Set("protocol_version", strconv.FormatUint(uint64(n), 10))
		}
	case propRevision:
		if isNumber {
			a.Set("protocol_revision", strconv.FormatUint(uint64(n), 10))
		}
	case propStatus:
		if isNumber {
			a.Set("system_status", wordOf(systemStates[:], n))
		}
	case propRestart:
		if isNumber {
			a.Set("restart_reason", wordOf(restartReasons[:], n))
		}
	case propUUID:
		if len(t.value) == 16 {
			a.Set("device_uid", hex.EncodeToString(t.value))
		}
	case propMAC:
		if len(t.value) == 6 && !t.context && t.number == typeOctets {
			a.Set("mac", proto.MAC(t.value).String())
		}
		return
	default:
		if attribute := texts[p]; attribute != "" && isText {
			a.Set(attribute, text(t.value, maxText))
		}
	}
	if len(*a) > before && o.kind == objectDevice && o.instance != anyInstance {
		a.Set("device_instance", strconv.FormatUint(uint64(o.instance), 10))
	}
}

// plant are words of descriptions of building equipment. A description is free
// text; it leaves only where each of its words is one of these, or a short number.
var plant = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`access actuator ahu air alarm alarms and area bacnet basement block board boiler booster box building bus cabinet
		ceiling central chilled chiller coil cold condenser control controller cooler cooling corridor critical damper device district door
		duct east electrical elevator emergency energy entrance exhaust extract fan fcu field filter fire floor flow for gas gateway
		generator ground handling hall heat heater heating hot house humidifier humidity hvac icu in indoor interface io isolation kitchen
		lab laboratory level life light lighting loop low main manager mechanical medical meter mixed mixing module monitor motor network
		north nurse of office on operating or outdoor outside oxygen panel pharmacy plant plc plumbing point power pressure primary
		pump recovery refrigeration relief return roof room router rtu safety secondary sensor server shaft smoke south space station
		steam storage suite supply surgery switch system tank temperature terminal the theatre tower transformer unit ups vacuum
		valve variable vav ventilation vfd volume ward warm waste water west wing zone`) {
		m[w] = true
	}
	return m
}()

// aboutPlant reports whether a text is about equipment and nothing else.
func aboutPlant(s string) bool {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return strings.ContainsRune(" -_/.,:#()", r) })
	for _, w := range words {
		if plant[w] || len(w) <= 3 && strings.Trim(w, "0123456789") == "" {
			continue
		}
		return false
	}
	return len(words) > 0
}
