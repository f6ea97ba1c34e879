// Package ipp reads the Internet Printing Protocol (RFC 8010, RFC 8011, PWG 5100.13),
// which HTTP carries: what is asked of a printer, and what the printer says of itself.
//
// HTTP gives it the beginning of a body (Bodies). Of a printer's attributes those that
// identify it and tell its state are read. Names of jobs, of users and of documents,
// addresses, what a printer was called by people, and documents never leave.
package ipp

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
	"github.com/wardflow/wardflow/proto"
)

// Bodies are the bodies of HTTP that are read.
var Bodies = httpbody.Kind{
	Wants: func(m *httpbody.Message) bool { return string(m.Type) == "application/ipp" },
	Limit: Max,
	New: func() httpbody.Reader {
		return httpbody.Whole(Max, func(c *dissector.Context, m *httpbody.Message, b []byte) {
			for _, f := range Read(b, !m.Response) {
				f.Protocol, f.Subject.Side = "ipp", c.Side
				c.Sink.Inner("ipp")
				c.Emit(&f)
			}
		})
	},
}

// Max is how many bytes of a body are worth giving to Read.
const Max = 32 << 10

const (
	header     = 8 // version (2) | operation or status (2) | request (4)
	endOfAll   = 3
	ofPrinter  = 4
	lastGroup  = 15
	maxText    = 127
	maxRead    = 1024 // attributes
	maxValues  = 16
	enumerated = 0x23
)

// operations are the requests by number (IANA, IPP Registrations).
var operations = map[uint16]string{
	2: "print_job", 3: "print_uri", 4: "validate_job", 5: "create_job", 6: "send_document", 7: "send_uri", 8: "cancel_job", 9: "get_job_attributes", 10: "get_jobs", 11: "get_printer_attributes", 12: "hold_job", 13: "release_job",
	14: "restart_job", 16: "pause_printer", 17: "resume_printer", 18: "purge_jobs", 19: "set_printer_attributes", 20: "set_job_attributes", 21: "get_printer_supported_values", 22: "create_printer_subscriptions", 24: "get_subscription_attributes",
	28: "get_notifications", 34: "enable_printer", 35: "disable_printer", 60: "identify_printer", 0x4001: "cups_get_default", 0x4002: "cups_get_printers", 0x4005: "cups_get_classes", 0x400b: "cups_get_devices",
}

// Read gives the facts of a body: of a request the operation; of an answer, where it
// has them, the printer's attributes. Whose they are is the caller's to say.
func Read(b []byte, request bool) []dissector.Fact {
	if len(b) < header || b[0] == 0 || b[0] > 2 {
		return nil
	}
	version := strconv.Itoa(int(b[0])) + "." + strconv.Itoa(int(b[1]))
	code := binary.BigEndian.Uint16(b[2:])
	if request {
		f := dissector.Fact{Protocol: "ipp", Kind: "request"}
		f.Attributes.Set("role", "client")
		f.Attributes.Set("ipp_version", version)
		name := operations[code]
		if name == "" {
			name = strconv.Itoa(int(code))
		}
		f.Attributes.Set("operation", name)
		return []dissector.Fact{f}
	}
	f := dissector.Fact{Protocol: "ipp", Kind: "printer"}
	a := &f.Attributes
	attributes(b[header:], a)
	if len(*a) == 0 {
		return nil
	}
	a.Set("role", "server")
	a.Set("ipp_version", version)
	return []dissector.Fact{f}
}

// attributes reads groups of attributes (RFC 8010 3.1):
//
//	group (1) | each: tag (1) | length (2) | name | length (2) | value; a name of no bytes is another value of the last
func attributes(b []byte, a *proto.Attributes) {
	group, name := byte(0), ""
	var values []string
	for range maxRead {
		if len(b) == 0 || b[0] == endOfAll {
			break
		}
		if b[0] <= lastGroup {
			group, name, values = b[0], "", nil
			b = b[1:]
			continue
		}
		tag := b[0]
		key, rest, ok := part(b[1:])
		if !ok {
			break
		}
		value, rest, ok := part(rest)
		if !ok {
			break
		}
		b = rest
		if len(key) > 0 {
			name, values = string(key[:min(len(key), 64)]), nil
		}
		if group == ofPrinter && len(values) < maxValues {
			values = append(values, string(value))
			attribute(a, name, tag, value, values)
		}
	}
}

func part(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

var states = map[uint32]string{3: "idle", 4: "processing", 5: "stopped"}

// attribute sets what one attribute of a printer tells.
func attribute(a *proto.Attributes, name string, tag byte, value []byte, values []string) {
	number := func() (uint32, bool) {
		if len(value) != 4 {
			return 0, false
		}
		return binary.BigEndian.Uint32(value), true
	}
	switch name {
	case "printer-make-and-model":
		manufacturer, model := banner.Product(dissector.Text(value, maxText))
		if a.Get("model") == "" {
			a.Set("model", model)
		}
		if a.Get("manufacturer") == "" {
			a.Set("manufacturer", manufacturer)
		}
	case "printer-device-id":
		DeviceID(a, value)
	case "printer-firmware-string-version":
		a.Set("firmware_version", dissector.Text(value, maxText))
	case "printer-uuid":
		a.Set("device_uid", uid(value))
	case "printer-serial-number":
		a.Set("serial", dissector.Text(value, maxText))
	case "printer-state":
		if n, ok := number(); ok && tag == enumerated {
			a.Set("state", states[n])
		}
	case "printer-up-time":
		if n, ok := number(); ok {
			a.Set("up_time_s", strconv.FormatUint(uint64(n), 10))
		}
	case "printer-impressions-completed", "printer-pages-completed":
		if n, ok := number(); ok {
			a.Set("pages", strconv.FormatUint(uint64(n), 10))
		}
	case "ipp-versions-supported":
		a.SetList("ipp_versions", words(values))
	case "uri-security-supported":
		a.SetList("security", words(values))
	case "uri-authentication-supported":
		a.SetList("authentication", words(values))
	}
}

// words are keywords: short, without spaces.
func words(list []string) []string {
	var out []string
	for _, s := range list {
		if w := dissector.Text([]byte(s), 24); w != "" && !strings.ContainsAny(w, " @") {
			out = append(out, w)
		}
	}
	return out
}

// uid is "urn:uuid:..." without its scheme, where it looks like one.
func uid(b []byte) string {
	s, ok := strings.CutPrefix(strings.ToLower(string(b[:min(len(b), 64)])), "urn:uuid:")
	if !ok || len(s) != 36 || strings.Trim(s, "0123456789abcdef-") != "" {
		return ""
	}
	return s
}

// DeviceID reads an IEEE 1284 device id: "MFG:HP;MDL:LaserJet 4;SN:1234;CMD:PCL,PJL;".
func DeviceID(a *proto.Attributes, b []byte) {
	for _, field := range strings.Split(string(b[:min(len(b), 1024)]), ";") {
		key, value, ok := strings.Cut(field, ":")
		if !ok {
			continue
		}
		text := dissector.Text([]byte(value), maxText)
		switch strings.ToUpper(strings.TrimSpace(key)) {
		case "MFG", "MANUFACTURER":
			a.Set("manufacturer", text)
		case "MDL", "MODEL":
			a.Set("model", text)
		case "SN", "SER", "SERN", "SERIALNUMBER":
			a.Set("serial", text)
		case "CMD", "COMMAND SET":
			a.SetList("languages", words(strings.Split(value, ",")))
		case "FWVER", "FW":
			a.Set("firmware_version", text)
		}
	}
}
