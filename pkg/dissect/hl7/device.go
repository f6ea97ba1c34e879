package hl7

import (
	"strings"
)

// participate takes a field of PRT: a device that took part in something.
func (m *message) participate(v []byte) {
	o := &m.obx
	switch m.field {
	case 10, 16:
		m.each(v, func(v []byte) {
			if o.also[udi] == "" {
				o.also[udi] = udiOf(m.text(v, 1, 128), m.field == 16)
			}
			if o.equipment.id == "" {
				o.equipment = m.identify(v)
			}
		})
	case 17:
		o.also[manufactured] = date(m.text(v, 1, 24))
	case 19:
		o.also[lot] = uidOf(m.text(v, 1, 64))
	case 20:
		o.also[serial] = m.text(v, 1, 64)
	case 22:
		o.kind = codeOf(m.text(v, 1, 48), m.text(v, 2, 64))
	}
}

// describe takes a field of DEV (HL7 v2.9). A device that has been implanted is a
// patient's own.
func (m *message) describe(v []byte) {
	o := &m.obx
	text := m.text(v, 1, 64)
	switch m.field {
	case 2:
		o.equipment = m.identify(v)
	case 3:
		o.kind = codeOf(m.text(v, 1, 48), m.text(v, 2, 64))
	case 4:
		o.status = word(text)
	case 5:
		o.also[manufacturer] = text
	case 6:
		o.also[product] = text
	case 7:
		o.also[model] = text
	case 8:
		o.also[part] = text
	case 9:
		if o.also[udi] = udiOf(m.text(v, 1, 128), true); o.equipment.id == "" {
			o.equipment = m.identify(v)
		}
	case 10:
		o.also[lot] = uidOf(text)
	case 11:
		o.also[serial] = text
	case 12:
		o.also[manufactured] = date(text)
	case 16:
		o.also[software] = text
	case 17:
		o.implanted = true
	}
}

const udiLetters = upperDigits + "abcdefghijklmnopqrstuvwxyz()+/=,&$%*-._"

// udiOf is a unique device identifier as GS1, HIBCC and ICCBBA make them, or, where
// it stands for itself, the device's part of one.
func udiOf(s string, alone bool) string {
	figures := len(s) - len(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s))
	marked := strings.HasPrefix(s, "(01)") || strings.HasPrefix(s, "01") && len(s) >= 16 || strings.HasPrefix(s, "+") || strings.HasPrefix(s, "=")
	if strings.Trim(s, udiLetters) != "" || figures < 6 || !marked && !alone {
		return ""
	}
	return s
}

// date is the day of a time stamp, as 2026-01-31.
func date(s string) string {
	if len(s) < 8 || strings.Trim(s[:8], digits) != "" {
		return ""
	}
	return s[:4] + "-" + s[4:6] + "-" + s[6:8]
}

// codeOf is a type of devices: a reference id of ISO/IEEE 11073, else a code.
func codeOf(code, text string) string {
	switch {
	case reference(text):
		return text
	case reference(code), code != "" && strings.Trim(code, digits) == "":
		return code
	}
	return ""
}

// word is a code of one word in lower case.
func word(s string) string {
	if len(s) > 24 || strings.Trim(s, udiLetters[:62]+"_-") != "" {
		return ""
	}
	return strings.ToLower(s)
}
