// Package rpc dissects calls of ONC RPC (RFC 5531) over UDP and TCP, which are NFS
// where its programs are called: who calls which program, and how he says who he is.
//
// Here live the header of a call and its credentials. Users' numbers, names of files
// and answers are not read.
package rpc

import (
	"encoding/binary"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// NFS is the network file system, with its mounts, locks and states.
var NFS = dissector.Protocol{
	Name: "nfs", Ports: []uint16{2049},
	Datagram: datagram(isNFS), Recognise: recognise(isNFS), NewStream: func() dissector.Stream { return new(stream) },
}

// Protocol is every other program.
var Protocol = dissector.Protocol{
	Name: "rpc", Ports: []uint16{111},
	Datagram: datagram(isAny), Recognise: recognise(isAny), NewStream: func() dissector.Stream { return new(stream) },
}

// programs are those that have a name (IANA, RPC program numbers).
var programs = map[uint32]string{
	100000: "portmapper", 100001: "rstatd", 100002: "rusersd", 100003: "nfs", 100004: "ypserv", 100005: "mountd", 100007: "ypbind", 100008: "walld",
	100009: "yppasswdd", 100011: "rquotad", 100012: "sprayd", 100017: "rexd", 100021: "nlockmgr", 100024: "status", 100026: "bootparam",
	100028: "ypupdated", 100029: "keyserv", 100083: "ttdbserver", 100068: "cmsd", 100227: "nfs_acl", 100232: "sadmind", 100249: "snmpxdmid",
	150001: "pcnfsd", 300019: "amd", 300598: "dmispd", 390113: "nsr", 390103: "nsrd", 395179: "device_core", 395180: "device_async", 395183: "device_intr",
}

func isNFS(n uint32) bool {
	switch n {
	case 100003, 100005, 100021, 100024, 100227:
		return true
	}
	return false
}

func isAny(n uint32) bool {
	return n >= 100000 && n < 100500 || n >= 150000 && n < 150100 || n >= 300000 && n < 600000
}

// A call: number (4), 0 (4), version 2 (4), program (4), its version (4), procedure
// (4), credentials: flavour (4), length (4), body; verifier.
const (
	callSize   = 32
	maxMachine = 64
	maxTold    = 32
	maxCalls   = 256 // of a connection that are read
)

// isCall judges the beginning of a call.
func isCall(b []byte, program func(uint32) bool) bool {
	if len(b) < callSize {
		return false
	}
	n := func(i int) uint32 { return binary.BigEndian.Uint32(b[i:]) }
	return n(4) == 0 && n(8) == 2 && program(n(12)) && n(16) <= 10 && n(20) < 100 && (n(24) <= 7 || n(24) >= 390000 && n(24) < 391000) && n(28) <= 400
}

// flow is what was told of a flow.
type flow struct{ told []string }

// End has nothing to tell.
func (f *flow) End(*dissector.Context) {}

// Size is about how many bytes are kept.
func (f *flow) Size() int { return 32 + 80*len(f.told) }

func datagram(program func(uint32) bool) func(*dissector.Context, []byte, bool) dissector.Verdict {
	return func(c *dissector.Context, b []byte, known bool) dissector.Verdict {
		if len(b) < 24 || binary.BigEndian.Uint32(b[4:]) > 1 {
			return dissector.No
		}
		if b[7] == 1 { // an answer
			if known {
				return dissector.Yes
			}
			return dissector.No
		}
		if !isCall(b, program) && (!known || !isCall(b, isAny)) {
			return dissector.No
		}
		f, _ := c.State.(*flow)
		if f == nil {
			f = new(flow)
			c.State = f
		}
		f.call(c, b)
		return dissector.Yes
	}
}

func recognise(program func(uint32) bool) func([]byte, bool) dissector.Verdict {
	return func(b []byte, _ bool) dissector.Verdict {
		if len(b) > 0 && b[0] != 0x80 {
			return dissector.No
		}
		if len(b) < 12 {
			return dissector.More
		}
		if n := binary.BigEndian.Uint32(b) & 0x7fffffff; n < 40 || binary.BigEndian.Uint32(b[8:]) != 0 {
			return dissector.No
		}
		if len(b) < 4+callSize {
			return dissector.More
		}
		if isCall(b[4:], program) {
			return dissector.Yes
		}
		return dissector.No
	}
}

// format is a record's mark: the last fragment's bit, and its length (RFC 5531 11).
var format = framing.Format{Keep: 512, Length: func(b []byte, lost bool) int {
	if len(b) < 4 {
		return 0
	}
	n := int(binary.BigEndian.Uint32(b) & 0x7fffffff)
	if n == 0 || n > 8<<20 || lost && (b[0] != 0x80 || n < 24) {
		return -1
	}
	if lost {
		if len(b) < 12 {
			return 0
		}
		if binary.BigEndian.Uint32(b[8:]) > 1 {
			return -1
		}
	}
	return 4 + n
}}

// stream is one connection.
type stream struct {
	flow flow
	framing.Both
	calls int
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		if !isCall(m[4:], isAny) {
			return false
		}
		s.flow.call(c, m[4:])
		if s.calls++; s.calls <= maxCalls {
			return false
		}
		c.Sink.Done()
		return true
	})
}

// Size is the bytes that are kept.
func (s *stream) Size() int { return s.flow.Size() + s.Both.Size() }

// flavours are the kinds of credentials.
var flavours = map[uint32]string{0: "none", 1: "sys", 2: "short", 3: "dh", 6: "gss"}

// call tells who calls which program, once for each.
//
//	AUTH_SYS: stamp (4), length of the machine's name (4), name, ...
func (f *flow) call(c *dissector.Context, b []byte) {
	n := func(i int) uint32 { return binary.BigEndian.Uint32(b[i:]) }
	program, version, flavour := n(12), n(16), flavours[n(24)]
	name := programs[program]
	if name == "" {
		name = strconv.FormatUint(uint64(program), 10)
	}
	machine := ""
	if n(24) == 1 && len(b) >= callSize+8 {
		if k := int(n(callSize + 4)); k > 0 && k <= maxMachine && len(b) >= callSize+8+k {
			machine = dissector.Text(b[callSize+8:callSize+8+k], maxMachine)
		}
	}
	key := name + " " + strconv.Itoa(int(version)) + " " + flavour + " " + machine
	for _, k := range f.told {
		if k == key {
			return
		}
	}
	if len(f.told) >= maxTold {
		return
	}
	f.told = append(f.told, key)
	x := dissector.Fact{Kind: "call", Subject: dissector.Subject{Side: c.Side}}
	a := &x.Attributes
	a.Set("role", "client")
	a.Set("program", name)
	a.Set("program_version", strconv.Itoa(int(version)))
	a.Set("auth", flavour)
	a.Set("computer_name", machine)
	if program == 100003 && version < 3 || program >= 100004 && program <= 100009 {
		a.Set("legacy", "true")
	}
	c.Emit(&x)
}
