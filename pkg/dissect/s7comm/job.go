package s7comm

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The functions of jobs.
const (
	readVar         = 0x04
	writeVar        = 0x05
	requestDownload = 0x1a
	downloadBlock   = 0x1b
	downloadEnded   = 0x1c
	startUpload     = 0x1d
	upload          = 0x1e
	endUpload       = 0x1f
	piService       = 0x28
	plcStop         = 0x29
	setup           = 0xf0
)

// jobNames are the functions' names.
var jobNames = map[byte]string{
	0x00: "cpu_services", readVar: "read_var", writeVar: "write_var", requestDownload: "request_download", downloadBlock: "download_block",
	downloadEnded: "download_ended", startUpload: "start_upload", upload: "upload", endUpload: "end_upload", piService: "pi_service",
	plcStop: "plc_stop", setup: "setup_communication",
}

// services are the program invocations that are known, by their name.
var services = []struct{ name, operation string }{
	{"P_PROGRAM", "start"},
	{"_INSE", "insert_block"},
	{"_DELE", "delete_block"},
	{"_GARB", "compress"},
	{"_MODU", "copy_to_rom"},
	{"_NEWP", "set_address"},
}

// job takes what a client asks for.
func (s *stream) job(c *dissector.Context, p []byte) {
	if len(p) == 0 {
		c.Count("s7comm_malformed")
		return
	}
	name := jobNames[p[0]]
	if name == "" {
		name = "other"
	}
	s.count(c, name)
	switch p[0] {
	case writeVar:
		s.write(c, p)
	case requestDownload, startUpload:
		if s.once.First(name + string(p[:min(len(p), 32)])) {
			f := c.Fact(map[byte]string{requestDownload: "download", startUpload: "upload"}[p[0]], "client")
			f.Attributes.Set("block", block(p))
			c.Emit(&f)
		}
	case plcStop:
		s.control(c, "stop")
	case piService:
		operation := "other"
		for _, x := range services {
			if bytes.Contains(p, []byte(x.name)) {
				operation = x.operation
			}
		}
		s.control(c, operation)
	}
}

// control tells of what changes a controller, each time.
func (s *stream) control(c *dissector.Context, operation string) {
	if s.controls++; s.controls > maxControls {
		c.Count("s7comm_control_skipped")
		return
	}
	f := c.Fact("control", "client")
	f.Attributes.Set("operation", operation)
	c.Emit(&f)
}

// blockTypes are the kinds of blocks in a file's name "_0A00001P": an underscore,
// two digits of type, five of number, and the file system.
var blockTypes = map[string]string{"08": "OB", "0A": "DB", "0B": "SDB", "0C": "FC", "0D": "SFC", "0E": "FB", "0F": "SFB"}

// block names the block of a transfer.
func block(p []byte) string {
	i := bytes.IndexByte(p, '_')
	if i < 0 || len(p) < i+8 {
		return ""
	}
	kind := blockTypes[string(p[i+1:i+3])]
	n, err := strconv.Atoi(string(p[i+3 : i+8]))
	if kind == "" || err != nil || n < 0 {
		return ""
	}
	return kind + strconv.Itoa(n)
}

// areas are the memory areas of addresses.
var areas = map[byte]string{
	0x03: "system_info", 0x05: "system_flags", 0x1c: "counter", 0x1d: "timer", 0x80: "peripheral", 0x81: "input", 0x82: "output",
	0x83: "flag", 0x84: "db", 0x85: "instance_db", 0x86: "local", 0x87: "previous_local",
}

// write tells which areas are written, each once: of a data block its number.
//
//	item: 0x12, length, 0x10, size, count (2), block (2), area (1), address (3)
func (s *stream) write(c *dissector.Context, p []byte) {
	if len(p) < 2 {
		return
	}
	items := p[2:]
	for range p[1] {
		if len(items) < 2 || items[0] != 0x12 || len(items) < 2+int(items[1]) {
			return
		}
		item := items[2 : 2+int(items[1])]
		items = items[2+int(items[1]):]
		if len(item) < 10 || item[0] != 0x10 {
			continue
		}
		number, area := binary.BigEndian.Uint16(item[4:]), item[6]
		if area != 0x84 && area != 0x85 {
			number = 0
		}
		key := uint32(area)<<16 | uint32(number)
		if slices.Contains(s.areas, key) || len(s.areas) == maxAreas {
			continue
		}
		s.areas = append(s.areas, key)
		f := c.Fact("write", "client")
		name := areas[area]
		if name == "" {
			name = strconv.Itoa(int(area))
		}
		if number > 0 {
			name += " " + strconv.Itoa(int(number))
		}
		f.Attributes.Set("area", name)
		c.Emit(&f)
	}
}

// The groups of functions of user data, in the low half of the kind.
const (
	groupProgrammer = 1
	groupBlocks     = 3
	groupCPU        = 4
	groupSecurity   = 5
	groupTime       = 7

	requestKind  = 4
	responseKind = 8
)

var groups = [...]string{"mode_transition", "programmer", "cyclic_data", "block_functions", "cpu_functions", "security", "pbc", "time", "8", "9", "10", "11", "12", "13", "14", "nc"}

// user takes a message of user data:
//
//	0 0x000112   3 length   4 method   5 kind and group   6 function   7 sequence   8 unit   9 more   10 error (2)
func (s *stream) user(c *dissector.Context, p, d []byte) {
	if len(p) < 8 {
		c.Count("s7comm_malformed")
		return
	}
	kind, group, function := p[5]>>4, p[5]&15, p[6]
	if kind == requestKind {
		s.count(c, groups[group])
		switch {
		case group == groupSecurity && function == 1:
			if s.once.First("login") {
				f := c.Fact("login", "client")
				f.Attributes.Set("cleartext_credential", "password") // masked with a constant, which is no secret
				c.Emit(&f)
			}
		case group == groupTime && (function == 2 || function == 3):
			s.control(c, "set_clock")
		case group == groupProgrammer && function == 0x0c:
			s.control(c, "erase")
		case group == groupBlocks && s.once.First("blocks"):
			f := c.Fact("list_blocks", "client")
			c.Emit(&f)
		}
		return
	}
	if kind == responseKind && group == groupCPU && function == 1 {
		s.list(c, d, len(p) >= 12 && p[9] != 0)
	}
}
