package ntp

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// A control message (RFC 9327 2):
//
//	0 0(2) version(3) 6   1 response, error, more, operation(5)   2 sequence   4 status   6 association
//	8 offset   10 count   12 data
//
// A private one (ntp_request.h of ntpd):
//
//	0 response, more, version(3), 7   1 sequence   2 implementation   3 request   4 error(4) items(12)   6 size
const (
	controlHeader = 12
	privateHeader = 8

	maxValue = 96
)

// operations are those of control messages.
var operations = map[byte]string{
	1: "read_status", 2: "read_variables", 3: "write_variables", 4: "read_clock", 5: "write_clock", 6: "set_trap", 7: "trap",
	8: "configure", 9: "save_configuration", 10: "read_mru", 11: "read_ordered_list", 12: "request_nonce", 31: "unset_trap",
}

// requests are the private ones that are known to be asked for.
var requests = map[byte]string{
	0: "peer_list", 1: "peer_list_sum", 2: "peer_info", 3: "peer_stats", 4: "sys_info", 5: "sys_stats", 6: "io_stats", 7: "mem_stats",
	8: "loop_info", 10: "configure", 11: "unconfigure", 16: "get_restrict", 17: "restrict", 18: "unrestrict", 20: "monlist", 42: "monlist",
}

// readControl reads a control message; of variables that a server tells of itself
// three are kept.
func readControl(c *dissector.Context, b []byte, a *proto.Attributes) bool {
	if len(b) < controlHeader || b[0]>>6 != 0 {
		return false
	}
	name := operations[b[1]&31]
	count := int(binary.BigEndian.Uint16(b[10:]))
	if name == "" || count > c.Headers.PayloadLen-controlHeader {
		return false
	}
	a.Set("request", name)
	if b[1]&0x80 == 0 {
		a.Set("role", "client")
		return true
	}
	a.Set("role", "server")
	if name == "read_variables" && b[1]&0x40 == 0 {
		variables(b[controlHeader:min(len(b), controlHeader+count)], a)
	}
	return true
}

// variables reads `version="ntpd 4.2.8p15@1.3728-o Wed Sep 23", processor="x86_64", system="Linux/5.10.0"`.
func variables(b []byte, a *proto.Attributes) {
	rest := string(b)
	for range 64 {
		var name, value string
		var ok bool
		if name, rest, ok = strings.Cut(rest, "="); !ok {
			return
		}
		if rest = strings.TrimLeft(rest, " "); strings.HasPrefix(rest, `"`) {
			value, rest, ok = strings.Cut(rest[1:], `"`)
			if !ok {
				return // the rest is in another message
			}
			_, rest, _ = strings.Cut(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		text := dissector.Text([]byte(value), maxValue)
		switch strings.TrimSpace(name) {
		case "version":
			software, _, _ := strings.Cut(text, "@")
			a.Set("software", software)
		case "processor":
			a.Set("cpu", text)
		case "system":
			system, release, _ := strings.Cut(text, "/")
			a.Set("os", system)
			a.Set("os_version", release)
		}
	}
}

// readPrivate reads a private message.
func readPrivate(b []byte, a *proto.Attributes) bool {
	if len(b) < privateHeader || b[2] > 3 {
		return false
	}
	items, size := int(binary.BigEndian.Uint16(b[4:])&0xfff), int(binary.BigEndian.Uint16(b[6:])&0xfff)
	if items*size > 500 { // of one message, ntp_request.h
		return false
	}
	name := requests[b[3]]
	if name == "" {
		name = strconv.Itoa(int(b[3]))
	}
	a.Set("request", name)
	a.Set("legacy", "true")
	a.Set("role", "client")
	if b[0]&0x80 != 0 {
		a.Set("role", "server")
	}
	return true
}
