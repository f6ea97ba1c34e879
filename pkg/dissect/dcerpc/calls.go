package dcerpc

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/kerberos"
	"github.com/wardflow/wardflow/pkg/dissect/ntlm"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxContexts = 32
	maxCalls    = 64 // different operations
	maxPDUs     = 1024
)

// Calls is what is known of an association, or of all pipes of an SMB connection.
type Calls struct {
	channel  uint64 // in hand: a pipe
	contexts []context
	counts   []call
	client   dissector.Side
	told     []string
	pdus     int
	faults   int
	finished bool
}

// context is what a client has bound to.
type context struct {
	channel uint64
	id      uint16
	name    string
}

// call is how often an operation was called.
type call struct {
	name      string
	operation uint16
	n         int
}

func (x *Calls) size() int { return 64*cap(x.contexts) + 48*cap(x.counts) + 32 }

// Size is about the bytes that are kept.
func (x *Calls) Size() int { return 64 + x.size() }

// Enough holds when nothing new is expected.
func (x *Calls) Enough() bool { return x.pdus >= maxPDUs }

// On says which pipe the next PDU is of.
func (x *Calls) On(channel uint64) { x.channel = channel }

// Bound holds where somebody has bound to an interface on that pipe.
func (x *Calls) Bound(channel uint64) bool {
	return slices.ContainsFunc(x.contexts, func(k context) bool { return k.channel == channel })
}

// IsBind holds for a PDU that binds to an interface.
func IsBind(b []byte) bool { return len(b) > offType && b[offType] == bind }

// Begins holds for data of a pipe that begin with a PDU of its own length or longer.
func Begins(b []byte) bool {
	return len(b) > 0 && size(b, false) > 0 && b[offFlags]&1 != 0
}

// PDU takes a PDU; of a long one the beginning will do.
func (x *Calls) PDU(c *dissector.Context, m []byte) {
	if len(m) < header || !plausible(m) {
		return
	}
	x.pdus++
	o := order(m)
	switch m[offType] {
	case bind, alter:
		x.client = c.Side
		x.bind(c, m, o)
	case bindAck, alterResponse, auth3:
		x.tokens(c, m, o, nil)
	case request:
		x.client = c.Side
		x.request(m, o)
	case fault:
		x.faults++
	}
}

// Levels and kinds of authentication (MS-RPCE 2.2.1.1.7, 2.2.1.1.8).
var (
	mechanisms = map[byte]string{9: "spnego", 10: "ntlm", 14: "schannel", 16: "kerberos", 68: "netlogon"}
	levels     = [...]string{"", "none", "connect", "call", "packet", "integrity", "privacy"}
)

// bind reads which interfaces a client wants:
//
//	fragments (4) | group (4) | contexts (1) | 3 | each: id (2) | syntaxes (1) | 1 | interface (16) | version (4) | syntaxes (20 each)
func (x *Calls) bind(c *dissector.Context, m []byte, o binary.ByteOrder) {
	b := m[header:]
	if len(b) < 12 {
		return
	}
	n := int(b[8])
	var list []string
	for b = b[12:]; n > 0 && len(b) >= 24; n-- {
		id, syntaxes := o.Uint16(b), int(b[2])
		i := name(uuid(b[4:20], o == binary.BigEndian))
		x.remember(id, i)
		if !slices.Contains(list, i) {
			list = append(list, i)
		}
		b = b[min(24+20*syntaxes, len(b)):]
	}
	f := dissector.Fact{Protocol: "dcerpc", Kind: "bind", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	a.SetList("interfaces", list)
	x.tokens(c, m, o, a)
	key := a.Get("mechanism")
	for _, i := range list {
		key += " " + i
	}
	if len(list) > 0 && !slices.Contains(x.told, key) && len(x.told) < maxContexts {
		x.told = append(x.told, key)
		c.Emit(&f)
	}
}

func (x *Calls) remember(id uint16, name string) {
	for i := range x.contexts {
		if x.contexts[i].id == id && x.contexts[i].channel == x.channel {
			x.contexts[i].name = name
			return
		}
	}
	if len(x.contexts) == maxContexts { // pipes come and go
		x.contexts = slices.Delete(x.contexts, 0, 1)
	}
	x.contexts = append(x.contexts, context{x.channel, id, name})
}

// tokens reads the authentication at the end of a PDU:
//
//	kind (1) | level (1) | padding (1) | 1 | context (4) | token
func (x *Calls) tokens(c *dissector.Context, m []byte, o binary.ByteOrder, a *proto.Attributes) {
	size, n := int(o.Uint16(m[offLength:])), int(o.Uint16(m[offAuth:]))
	if n == 0 || size > len(m) || size-n-8 < header {
		return
	}
	t := m[size-n-8 : size]
	token := t[8:]
	if a != nil {
		kind := mechanisms[t[0]]
		if kind == "" {
			kind = strconv.Itoa(int(t[0]))
		}
		a.Set("mechanism", kind)
		if int(t[1]) < len(levels) {
			a.Set("protection", levels[t[1]])
		}
		if t[0] == 68 {
			secureChannel(a, token)
		}
	}
	if x := ntlm.Find(token); x != nil {
		c.Sink.Inner("ntlm")
		ntlm.Emit(c, x)
	} else if x := kerberos.Find(token); x != nil {
		c.Sink.Inner("kerberos")
		kerberos.Emit(c, x)
	}
}

// secureChannel reads NL_AUTH_MESSAGE (MS-NRPC 2.2.1.3.1): type 0 (4), flags (4), then
// where their bits are set the domain's and the computer's NetBIOS names.
func secureChannel(a *proto.Attributes, b []byte) {
	if len(b) < 8 || binary.LittleEndian.Uint32(b) != 0 {
		return
	}
	flags := binary.LittleEndian.Uint32(b[4:])
	b = b[8:]
	for bit, attribute := range []string{"netbios_domain", "computer_name"} {
		if flags&(1<<bit) == 0 {
			continue
		}
		v, rest, ok := bytes.Cut(b, []byte{0})
		if !ok {
			return
		}
		if b = rest; banner.Host(v, true) != "" {
			a.Set(attribute, dissector.Text(v, 16))
		}
	}
}

// request counts a call: hint (4) | context (2) | operation (2).
func (x *Calls) request(m []byte, o binary.ByteOrder) {
	if m[offFlags]&1 == 0 || len(m) < header+8 { // not the first fragment
		return
	}
	id, operation := o.Uint16(m[header+4:]), o.Uint16(m[header+6:])
	who := "unknown"
	for _, k := range x.contexts {
		if k.id == id && k.channel == x.channel {
			who = k.name
		}
	}
	for i := range x.counts {
		if k := &x.counts[i]; k.name == who && k.operation == operation {
			k.n++
			return
		}
	}
	if len(x.counts) < maxCalls {
		x.counts = append(x.counts, call{who, operation, 1})
	}
}

// Finish tells the calls, once.
func (x *Calls) Finish(c *dissector.Context) {
	if x.finished || len(x.counts) == 0 {
		return
	}
	x.finished = true
	f := dissector.Fact{Protocol: "dcerpc", Kind: "calls", Subject: dissector.Subject{Side: x.client}}
	a := &f.Attributes
	a.Set("role", "client")
	var list []string
	for _, k := range x.counts {
		list = append(list, k.name+"/"+strconv.Itoa(int(k.operation))+":"+strconv.Itoa(k.n))
	}
	slices.Sort(list)
	a.SetList("operations", list)
	if x.faults > 0 {
		a.Set("faults", strconv.Itoa(x.faults))
	}
	if x.Enough() {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
}
