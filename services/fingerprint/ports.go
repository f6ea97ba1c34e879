package fingerprint

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Which port a device is plugged into, by the tables that switches hand to whoever
// manages them: the forwarding database (RFC 4188, RFC 4363), the names of ports (RFC
// 2863), and the neighbours that LLDP and CDP have found. A table comes row by row,
// whole walks apart; so the rows are kept on the switch's own lane, and judged when no
// more have come for a while. The devices are told of it on their lanes (ports_judge.go).

// tableSwitches and tableSwitchPorts keep what is known of switches.
const (
	tableSwitches    = 's'
	tableSwitchPorts = 'w'
)

var (
	switches    = stream.NewTable[switchState](tableSwitches, 0)      // endpoint -> whether it has to be judged
	switchPorts = stream.NewTable[portState](tableSwitchPorts, idLen) // endpoint, kind, number -> what is known of it
)

// Observations of ports: what a switch says of its own, and where that puts a device.
const (
	kindPorts    = "ports"
	kindAttached = "attached"
)

const (
	maxPortRows = 8192 // of a switch: a stack of eight has 400 ports, each in three tables
	maxBehind   = 4    // MACs at a time behind an access port: a telephone, a computer, a bedside hub
	maxNext     = 4    // neighbours of a port that are kept

	togetherFor  = time.Hour      // MACs that are seen on a port within this are there at a time
	neighbourFor = 48 * time.Hour // for so long a neighbour is one: some managers ask for them once a day
	walkPause    = 20 * time.Second
	walkWait     = time.Minute
	walkLongest  = 10 * time.Minute
)

// The kinds of numbers that rows are kept under.
const (
	portBridge    = 'b' // of a bridge's port: its interface, and who is behind it
	portInterface = 'i' // of an interface: its name
	portLLDP      = 'l' // LLDP's own: its name, and the neighbours
	portCDP       = 'c' // of an interface: the neighbours by CDP
	portFDB       = 'v' // of a filtering database: its VLAN
)

// switchState is what is under way for a switch.
type switchState struct {
	rows        uint64
	since, last proto.Time // of the rows that have not been judged; 0 for none
}

// AppendTo encodes the state.
func (s *switchState) AppendTo(b []byte) []byte {
	return stream.AppendInt(stream.AppendInt(stream.AppendUint(b, s.rows), int64(s.since)), int64(s.last-s.since))
}

// Parse decodes the state.
func (s *switchState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*s = switchState{rows: d.Uint(), since: proto.Time(d.Int())}
	s.last = s.since + proto.Time(d.Int())
	return d.Err()
}

// portState is a row, or what several say of one port.
type portState struct {
	name, description string
	number            uint64     // the interface, the VLAN
	crowded           proto.Time // when too many were behind it
	macs              []onPort
}

// onPort is a MAC on a port, or a neighbour.
type onPort struct {
	mac      proto.MAC
	at, told proto.Time
	as       uint64 // hash of what was told
	vlan     proto.VLAN
	fdb      uint64 // its filtering database, where that was all that was said
	is       uint64 // of a neighbour: nextUnknown, ...
}

// What a neighbour is.
const (
	nextUnknown  = iota
	nextEndpoint // it is at the end of the wire, or hands it on to a computer as telephones do
	nextRadio    // an access point
	nextForwards // a switch or a router
)

// AppendTo encodes the state.
func (p *portState) AppendTo(b []byte) []byte {
	b = stream.AppendString(stream.AppendString(b, p.name), p.description)
	b = stream.AppendInt(stream.AppendUint(b, p.number), int64(p.crowded))
	for i := range p.macs {
		m := &p.macs[i]
		b = stream.AppendInt(append(b, m.mac[:]...), int64(m.at))
		b = stream.AppendInt(b, int64(m.told))
		b = stream.AppendUint(b, m.as)
		b = stream.AppendUint(stream.AppendUint(stream.AppendUint(b, uint64(m.vlan)), m.fdb), m.is)
	}
	return b
}

// Parse decodes the state.
func (p *portState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*p = portState{name: d.String(), description: d.String(), number: d.Uint(), crowded: proto.Time(d.Int())}
	for d.More() {
		var m onPort
		d.Fixed(m.mac[:])
		m.at, m.told, m.as = proto.Time(d.Int()), proto.Time(d.Int()), d.Uint()
		m.vlan, m.fdb, m.is = proto.VLAN(d.Uint()), d.Uint(), d.Uint()
		p.macs = append(p.macs, m)
	}
	return d.Err()
}

func portKey(id proto.ID, kind byte, number uint64) []byte {
	return binary.BigEndian.AppendUint32(append(id[:len(id):len(id)], kind), uint32(number))
}

// noteTables takes the rows of a switch's tables in.
func noteTables(tx *stream.Tx, o *proto.Observation) {
	if o.Protocol != "snmp" || o.Kind != kindPorts {
		return
	}
	w := switchRows{tx: tx, id: o.Endpoint, at: o.Time}
	for _, list := range []struct {
		name string
		take func(words []string)
	}{
		{"bridge_ports", w.bridgePort},
		{"interfaces", w.named(portInterface)},
		{"lldp_ports", w.named(portLLDP)},
		{"vlans", w.vlan},
		{"neighbours", w.neighbour},
		{"forwarding", w.forwarding},
	} {
		for _, row := range o.Attributes.List(list.name) {
			list.take(strings.SplitN(row, " ", maxWords))
		}
	}
	st := switches.Edit(tx, o.Endpoint[:])
	st.rows += w.added
	st.last = max(st.last, o.Time)
	if st.since == 0 {
		st.since = o.Time
		tx.Timer(tx.Now().Add(walkWait), timerKey(timerPorts, o.Endpoint))
	}
	st.since = min(st.since, o.Time)
}

const maxWords = 8 // of a row

// switchRows takes rows of one switch.
type switchRows struct {
	tx    *stream.Tx
	id    proto.ID
	at    proto.Time
	added uint64
}

// edit gives a row, nil where there is no room for a new one.
func (w *switchRows) edit(kind byte, number uint64) *portState {
	key := portKey(w.id, kind, number)
	if switchPorts.Get(w.tx, key) == nil {
		if st := switches.Get(w.tx, w.id[:]); st != nil && st.rows+w.added >= maxPortRows {
			return nil
		}
		w.added++
	}
	return switchPorts.Edit(w.tx, key)
}

// numberIn reads "port=7" for port.
func numberIn(words []string, name string) uint64 {
	n, err := strconv.ParseUint(wordIn(words, name), 10, 31)
	if err != nil {
		return 0
	}
	return n
}

func wordIn(words []string, name string) string {
	for _, s := range words {
		if v, is := strings.CutPrefix(s, name+"="); is {
			return v
		}
	}
	return ""
}

func macIn(s string) (m proto.MAC) {
	if err := m.UnmarshalText([]byte(s)); err != nil || m.IsGroup() {
		return proto.MAC{}
	}
	return m
}

// bridgePort takes "7 interface=10107".
func (w *switchRows) bridgePort(words []string) {
	n, err := strconv.ParseUint(words[0], 10, 31)
	if number := numberIn(words, "interface"); err == nil && number > 0 {
		if p := w.edit(portBridge, n); p != nil {
			p.number = number
		}
	}
}

// named takes "10107 name=Gi1/0/7", with what there are spaces in.
func (w *switchRows) named(kind byte) func(words []string) {
	return func(words []string) {
		n, err := strconv.ParseUint(words[0], 10, 31)
		if err != nil || len(words) < 2 {
			return
		}
		what, name, _ := strings.Cut(strings.Join(words[1:], " "), "=")
		p := w.edit(kind, n)
		switch {
		case p == nil:
		case what == "name":
			p.name = clean(name)
		case what == "description":
			p.description = clean(name)
		}
	}
}

// vlan takes "41 fdb=3". A database of several VLANs (shared learning) is of none.
func (w *switchRows) vlan(words []string) {
	vlan, fdb := vlanOf(words[0]), numberIn(words, "fdb")
	if vlan == 0 {
		return
	}
	p := w.edit(portFDB, fdb)
	switch {
	case p == nil:
	case p.number != 0 && p.number != uint64(vlan):
		p.description = "shared"
	default:
		p.number = uint64(vlan)
	}
}

// neighbour takes "lldp port=7 mac=00:1b:21:aa:bb:cc capabilities=bridge,telephone".
func (w *switchRows) neighbour(words []string) {
	kind := byte(portLLDP)
	if words[0] == "cdp" {
		kind = portCDP
	}
	n := numberIn(words, "port")
	if n == 0 {
		return
	}
	p := w.edit(kind, n)
	if p == nil {
		return
	}
	m := onPort{mac: macIn(wordIn(words, "mac")), at: w.at, is: nextOf(wordIn(words, "capabilities"))}
	i := slices.IndexFunc(p.macs, func(b onPort) bool { return b.mac == m.mac })
	switch {
	case i >= 0:
		b := &p.macs[i]
		b.at = max(b.at, m.at)
		if m.is != nextUnknown {
			b.is = m.is
		}
	case len(p.macs) < maxNext:
		p.macs = append(p.macs, m)
	default:
		p.macs[oldest(p.macs)] = m
	}
}

func oldest(list []onPort) (at int) {
	for i := range list {
		if list[i].at < list[at].at {
			at = i
		}
	}
	return at
}

// nextOf reads a neighbour's capabilities. Telephones are bridges, and access points
// bridges or routers, too.
func nextOf(capabilities string) uint64 {
	if capabilities == "" {
		return nextUnknown
	}
	list := strings.Split(capabilities, ",")
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(s string) bool { return slices.Contains(list, s) })
	}
	switch {
	case has("access_point"):
		return nextRadio
	case has("telephone"):
		return nextEndpoint
	case has("bridge", "router", "repeater", "switch", "source_route_bridge"):
		return nextForwards
	}
	return nextEndpoint
}

// forwarding takes "00:1b:21:aa:bb:cc port=7 fdb=3", or with vlan=41.
func (w *switchRows) forwarding(words []string) {
	m := onPort{mac: macIn(words[0]), at: w.at, vlan: vlanOf(wordIn(words, "vlan")), fdb: numberIn(words, "fdb")}
	n := numberIn(words, "port")
	if m.mac.IsZero() || n == 0 {
		return
	}
	p := w.edit(portBridge, n)
	if p == nil {
		return
	}
	if i := slices.IndexFunc(p.macs, func(b onPort) bool { return b.mac == m.mac }); i >= 0 {
		b := &p.macs[i]
		if m.at.Sub(b.at) > togetherFor/4 || m.vlan != 0 && m.vlan != b.vlan || m.fdb != 0 && m.fdb != b.fdb {
			b.told = 0 // it may have been elsewhere meanwhile
		}
		b.at = max(b.at, m.at)
		if m.vlan != 0 {
			b.vlan = m.vlan
		}
		if m.fdb != 0 {
			b.fdb = m.fdb
		}
		return
	}
	p.macs = append(p.macs, m)
	newest := m.at
	for i := range p.macs {
		newest = max(newest, p.macs[i].at)
	}
	p.macs = slices.DeleteFunc(p.macs, func(b onPort) bool { return newest.Sub(b.at) > togetherFor })
	if len(p.macs) > maxBehind {
		p.macs, p.crowded = nil, newest
	}
}
