package snmp

import (
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// form makes a value presentable, "" for one that is not of its form.
type form func(tag byte, b []byte) string

// object is what the values of an object, or of a column's rows, say.
type object struct {
	attribute string
	form      form
	column    bool // with any index behind it; else 0
	first     bool // with index 1 alone
	list      bool // of the values of all rows
	volatile  bool // changes all the time: told along, never by itself
}

// Prefixes of object identifiers.
var (
	mib2        = []uint32{1, 3, 6, 1, 2, 1}
	enterprises = []uint32{1, 3, 6, 1, 4, 1}
)

func under(prefix []uint32, numbers ...uint32) string {
	return encoded(append(append([]uint32(nil), prefix...), numbers...)...)
}

// objects are the objects whose values may leave, by their encoded identifier,
// without the index. All others stay: the contact, the aliases of ports and descriptions
// that an administrator typed, tables of connections, routes and users.
var objects = map[string]object{
	// SNMPv2-MIB (RFC 3418)
	under(mib2, 1, 1): {attribute: "system_description", form: description},
	under(mib2, 1, 2): {attribute: "object_id", form: identifier},
	under(mib2, 1, 3): {attribute: "uptime_s", form: ticks, volatile: true},
	under(mib2, 1, 5): {attribute: "system_name", form: text},
	under(mib2, 1, 6): {attribute: "location", form: place},
	// IF-MIB (RFC 2863), BRIDGE-MIB (RFC 4188)
	under(mib2, 2, 2, 1, 6): {attribute: "macs", form: mac, column: true, list: true},
	under(mib2, 17, 1, 1):   {attribute: "mac", form: mac},
	// HOST-RESOURCES-MIB (RFC 2790)
	under(mib2, 25, 3, 2, 1, 3): {attribute: "device_description", form: maker, first: true}, // of a printer the printer
	under(mib2, 25, 3, 5, 1, 1): {attribute: "state", form: printerState, column: true},
	// Printer-MIB (RFC 3805)
	under(mib2, 43, 5, 1, 1, 17):    {attribute: "serial", form: serial, column: true},
	under(mib2, 43, 10, 2, 1, 4, 1): {attribute: "page_count", form: number, column: true, volatile: true},
	// UPS-MIB (RFC 1628)
	under(mib2, 33, 1, 1, 1): {attribute: "manufacturer", form: maker},
	under(mib2, 33, 1, 1, 2): {attribute: "model", form: maker},
	under(mib2, 33, 1, 1, 3): {attribute: "firmware_version", form: version},
	under(mib2, 33, 1, 1, 4): {attribute: "software_version", form: version},
	// Printer Port Monitor MIB (PWG 5107.1) and HP's agents: what IEEE 1284 calls the device
	under(enterprises, 2699, 1, 2, 1, 2, 1, 1, 3): {attribute: deviceID, column: true},
	under(enterprises, 11, 2, 3, 9, 1, 1, 7):      {attribute: deviceID},
	under(enterprises, 11, 2, 36, 1, 1, 2, 9):     {attribute: "serial", form: serial},
	under(enterprises, 232, 2, 2, 2, 1):           {attribute: "serial", form: serial}, // Compaq
	under(enterprises, 232, 2, 2, 4, 2):           {attribute: "model", form: maker},
	under(enterprises, 674, 10892, 5, 1, 3, 2):    {attribute: "serial", form: serial}, // Dell
	under(enterprises, 674, 10892, 5, 1, 3, 12):   {attribute: "model", form: maker},
	under(enterprises, 318, 1, 1, 1, 1, 1, 1):     {attribute: "model", form: maker}, // APC
	under(enterprises, 318, 1, 1, 1, 1, 2, 1):     {attribute: "firmware_version", form: version},
	under(enterprises, 318, 1, 1, 1, 1, 2, 3):     {attribute: "serial", form: serial},
	under(enterprises, 318, 1, 1, 12, 1, 2):       {attribute: "hardware_version", form: version},
	under(enterprises, 318, 1, 1, 12, 1, 3):       {attribute: "firmware_version", form: version},
	under(enterprises, 318, 1, 1, 12, 1, 5):       {attribute: "model", form: maker},
	under(enterprises, 318, 1, 1, 12, 1, 6):       {attribute: "serial", form: serial},
	under(enterprises, 253, 8, 53, 3, 2, 1, 3):    {attribute: "serial", form: serial, column: true}, // Xerox
	under(enterprises, 534, 1, 1, 1):              {attribute: "manufacturer", form: maker},          // Eaton
	under(enterprises, 534, 1, 1, 2):              {attribute: "model", form: maker},
	under(enterprises, 534, 1, 1, 3):              {attribute: "software_version", form: version},
	under(enterprises, 789, 1, 1, 2):              {attribute: "software_version", form: version}, // NetApp
	under(enterprises, 789, 1, 1, 5):              {attribute: "model", form: maker},
	under(enterprises, 789, 1, 1, 9):              {attribute: "serial", form: serial},
	under(enterprises, 39165, 1, 1):               {attribute: "model", form: maker}, // Hikvision
	under(enterprises, 39165, 1, 3):               {attribute: "firmware_version", form: version},
	under(enterprises, 39165, 1, 6):               {attribute: "manufacturer", form: maker},
	under(enterprises, 9, 3, 6, 3):                {attribute: "serial", form: serial}, // Cisco
	under(enterprises, 2636, 3, 1, 2):             {attribute: "model", form: maker},   // Juniper
	under(enterprises, 2636, 3, 1, 3):             {attribute: "serial", form: serial},
	under(enterprises, 6574, 1, 5, 1):             {attribute: "model", form: maker}, // Synology
	under(enterprises, 6574, 1, 5, 2):             {attribute: "serial", form: serial},
	under(enterprises, 6574, 1, 5, 3):             {attribute: "software_version", form: version},
	under(enterprises, 12356, 100, 1, 1, 1):       {attribute: "serial", form: serial}, // Fortinet
	under(enterprises, 12356, 101, 4, 1, 1):       {attribute: "software_version", form: version},
	under(enterprises, 14988, 1, 1, 7, 3):         {attribute: "serial", form: serial}, // MikroTik
	under(enterprises, 14988, 1, 1, 7, 4):         {attribute: "firmware_version", form: version},
	under(enterprises, 25461, 2, 1, 2, 1, 1):      {attribute: "software_version", form: version}, // Palo Alto
	under(enterprises, 25461, 2, 1, 2, 1, 3):      {attribute: "serial", form: serial},
	encoded(1, 3, 6, 1, 6, 3, 10, 2, 1, 1):        {attribute: engineID}, // SNMP-FRAMEWORK-MIB
	encoded(1, 3, 6, 1, 6, 3, 18, 1, 3):           {attribute: agentAddress},
	encoded(1, 3, 6, 1, 6, 3, 1, 1, 4, 1):         {attribute: trapID},
	encoded(1, 3, 6, 1, 6, 3, 1, 1, 4, 3):         {attribute: trapEnterprise},
	under(mib2, 47, 1, 1, 1, 1, 5):                {attribute: entityClass, column: true},
	under(mib2, 47, 1, 1, 1, 1, 8):                {attribute: entity + "hardware_version", form: version, column: true},
	under(mib2, 47, 1, 1, 1, 1, 9):                {attribute: entity + "firmware_version", form: version, column: true},
	under(mib2, 47, 1, 1, 1, 1, 10):               {attribute: entity + "software_version", form: version, column: true},
	under(mib2, 47, 1, 1, 1, 1, 11):               {attribute: entity + "serial", form: serial, column: true},
	under(mib2, 47, 1, 1, 1, 1, 12):               {attribute: entity + "manufacturer", form: maker, column: true},
	under(mib2, 47, 1, 1, 1, 1, 13):               {attribute: entity + "model", form: maker, column: true},
}

// Objects that stand for more than an attribute. ENTITY-MIB (RFC 6933) has a row
// for each part: the whole device is told.
const (
	entity         = "entity:"
	entityClass    = "entity class"
	deviceID       = "1284 device id"
	engineID       = "engine id"
	agentAddress   = "agent address"
	trapID         = "trap id"
	trapEnterprise = "trap enterprise"
)

// sizes are the lengths of the keys of objects and columns of ports.
var sizes = func() (list []int) {
	var seen [64]bool
	for k := range objects {
		seen[len(k)] = true
	}
	for k := range portObjects {
		seen[len(k)] = true
	}
	for n, yes := range seen {
		if yes {
			list = append(list, n)
		}
	}
	return list
}()

// find gives the object that an encoded identifier stands for, and its index.
func find(oid []byte) (o object, index []byte, ok bool) {
	for _, n := range sizes {
		if n >= len(oid) {
			break
		}
		if o, ok = objects[string(oid[:n])]; ok {
			index = oid[n:]
			only := byte(0)
			if o.first {
				only = 1
			}
			return o, index, o.column || len(index) == 1 && index[0] == only
		}
		if column, ok := portObjects[string(oid[:n])]; ok {
			return object{attribute: column}, oid[n:], true
		}
	}
	return object{}, nil, false
}

const (
	maxText  = 255
	maxShort = 96
)

func text(tag byte, b []byte) string {
	if tag != tagOctets {
		return ""
	}
	return dissector.Text(b, maxText)
}

// Description is what a system says of itself, as description has it: CDP carries
// the same text.
func Description(b []byte) string { return description(tagOctets, b) }

// description is a system's description in one line. Lines that say who made it,
// when and where, are left out.
func description(tag byte, b []byte) string {
	if tag != tagOctets || len(b) > 4*maxText {
		return ""
	}
	var lines []string
	for _, line := range strings.FieldsFunc(string(b), func(r rune) bool { return r == '\r' || r == '\n' || r == 0 }) {
		line = strings.TrimSpace(line)
		low, skip := strings.ToLower(line), line == ""
		for _, start := range []string{"technical support", "tac support", "copyright", "compiled", "image text-base", "http"} {
			skip = skip || strings.HasPrefix(low, start)
		}
		if !skip {
			lines = append(lines, line)
		}
	}
	for n := len(lines); n > 0; n-- { // as many lines as there is room for
		if s := text(tag, []byte(strings.Join(lines[:n], " "))); s != "" && !personal(s) {
			return s
		}
	}
	return ""
}

// place is where somebody has written that the device stands; not a text that
// names somebody.
func place(tag byte, b []byte) string {
	s := text(tag, b)
	if personal(s) {
		return ""
	}
	for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return r == ' ' || r == ',' || r == '.' || r == '/' || r == '(' }) {
		switch w {
		case "dr", "mr", "mrs", "ms", "miss", "prof", "sr", "herr", "frau", "contact", "phone", "tel":
			return ""
		}
	}
	return s
}

// personal holds for "Anna's printer" and for addresses of mail.
func personal(s string) bool {
	for _, mark := range []string{"'s ", "\u2019s ", "s' ", "s\u2019 "} {
		if strings.Contains(s, mark) {
			return true
		}
	}
	before, after, at := strings.Cut(s, "@")
	return strings.HasSuffix(s, "'s") || at && before != "" && after != "" && before[len(before)-1] != ' ' && after[0] != ' '
}

// maker is the name of a maker, a model or a product.
func maker(tag byte, b []byte) string {
	s := text(tag, b)
	if len(s) > maxShort || personal(s) {
		return ""
	}
	return s
}

func version(tag byte, b []byte) string {
	s := maker(tag, b)
	if !strings.ContainsAny(s, "0123456789") || len(strings.Fields(s)) > 8 {
		return ""
	}
	return s
}

func serial(tag byte, b []byte) string {
	s := maker(tag, b)
	if !strings.ContainsAny(s, "0123456789") || len(strings.Fields(s)) > 3 {
		return ""
	}
	return s
}

func identifier(tag byte, b []byte) string {
	if tag != tagOID {
		return ""
	}
	return objectID(b)
}

// ticks are hundredths of a second, as seconds.
func ticks(tag byte, b []byte) string {
	n, ok := unsigned(b)
	if tag != tagTicks || !ok {
		return ""
	}
	return strconv.FormatUint(n/100, 10)
}

func number(tag byte, b []byte) string {
	n, ok := unsigned(b)
	if tag != tagInteger && tag != tagCounter && tag != tagGauge || !ok || tag == tagInteger && b[0]&0x80 != 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func mac(tag byte, b []byte) string {
	if tag != tagOctets || len(b) != 6 {
		return ""
	}
	m := proto.MAC(b)
	if m.IsZero() || m.IsGroup() {
		return ""
	}
	return m.String()
}

// printerState is hrPrinterStatus.
func printerState(tag byte, b []byte) string {
	n, ok := integer(b)
	if tag != tagInteger || !ok || n < 1 || n > 5 {
		return ""
	}
	return [...]string{"other", "unknown", "idle", "printing", "warmup"}[n-1]
}
