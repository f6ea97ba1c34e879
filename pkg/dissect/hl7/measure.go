package hl7

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// measure reduces OBX-5 to what may leave: text of identification, words of a
// list for coded values, and of a rate only whether there is one.
func (m *message) measure(q quantity, v []byte) string {
	if list := coded[q]; list != nil {
		return m.word(v, list)
	}
	switch q {
	case pumpRate, currentRate:
		x, err := strconv.ParseFloat(m.text(v, 1, 32), 64)
		if err != nil {
			return ""
		}
		return strconv.FormatBool(x > 0)
	case battery:
		x, err := strconv.ParseFloat(m.text(v, 1, 16), 64)
		if err != nil || x < 0 || x > 100 {
			return ""
		}
		return strconv.Itoa(int(x + 0.5))
	case power:
		return powerOf(strings.ToLower(m.text(v, 1, 32) + m.text(v, 2, 64)))
	case event, condition, alarmEvent:
		return m.eventID(v)
	case alarmPhase:
		return m.among(v, phaseWords)
	case alarmState:
		return m.among(v, stateWords)
	case alarmInactivation:
		return m.among(v, quietWords)
	case alarmPriority, alarmType:
		return m.text(v, 1, 2)
	case wirelessMAC:
		if a, err := net.ParseMAC(m.text(v, 1, 17)); err == nil && len(a) == 6 {
			return a.String()
		}
		return ""
	case wirelessIP:
		if a, err := netip.ParseAddr(m.text(v, 1, 15)); err == nil {
			return a.String()
		}
		return ""
	case deviceUID:
		return uidOf(m.text(v, 1, 64))
	}
	return m.text(v, 1, 64)
}

// uidOf is an identifier without spaces that has a digit.
func uidOf(s string) string {
	if !strings.ContainsAny(s, digits) || strings.ContainsAny(s, " ,;") {
		return ""
	}
	return s
}

// powerOf is a word for MDC_ATTR_POWER_STAT (ISO/IEEE 11073-10201), whose value is
// written in several ways.
func powerOf(s string) string {
	switch {
	case strings.Contains(s, "onmains"):
		return "mains"
	case strings.Contains(s, "onbattery"):
		return "battery"
	case strings.Contains(s, "charging"):
		return "charging"
	}
	return ""
}

// word finds the coded word in any component of a CWE.
func (m *message) word(v []byte, list []vocabulary) string {
	for i := 1; i <= 6; i++ {
		s := strings.ToLower(m.text(v, i, 64))
		for _, x := range list {
			rest, ok := strings.CutPrefix(s, x.prefix)
			switch {
			case !ok:
			case x.words[rest]:
				return rest
			default:
				return "other"
			}
		}
	}
	return ""
}

// among is a word of a list, "" for any other.
func (m *message) among(v []byte, list map[string]bool) string {
	for i := 1; i <= 2; i++ {
		if s := strings.ToLower(m.text(v, i, 24)); list[s] {
			return strings.ReplaceAll(s, "-", "_")
		}
	}
	return ""
}

// eventID is the reference id of an event.
func (m *message) eventID(v []byte) string {
	for i := 1; i <= 6; i++ {
		s := m.text(v, i, 64)
		if (strings.HasPrefix(s, "MDC_EVT_") || strings.HasPrefix(s, "MDCX_EVT_")) && reference(s) {
			return s
		}
	}
	return ""
}

// mechanical holds for events that are about a device. An arrhythmia is about
// whoever lies in the bed.
func mechanical(id string) bool {
	for w := range strings.SplitSeq(id, "_") {
		if technical[w] {
			return true
		}
	}
	return false
}
