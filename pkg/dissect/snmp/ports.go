package snmp

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lldp"
	"github.com/wardflow/wardflow/proto"
)

// What a switch's tables say of its ports: behind which of them it has seen which MAC,
// which neighbour announces itself there, and what the port is called. Tables are read
// row by row as they come: whoever joins them (services/fingerprint) has to wait until a
// walk is over, and a walk may be cut into as many flows as there are columns.

// The columns that are read, by what they say.
const (
	tables      = "table:"
	bridgePort  = tables + "bridge_port"
	forwarding  = tables + "forwarding"
	vlanTable   = tables + "forwarding_vlan"
	vlanOf      = tables + "vlan"
	ifName      = tables + "name"
	ifDescr     = tables + "description"
	macChanged  = tables + "mac_changed"
	lldpLocal   = tables + "lldp_local:"  // and the column
	lldpRemote  = tables + "lldp_remote:" // and the column
	cdpDeviceID = tables + "cdp_device"
	cdpCapable  = tables + "cdp_capabilities"
)

var lldpMIB = []uint32{1, 0, 8802, 1, 1, 2, 1}

// portObjects are the columns, by their encoded identifier.
var portObjects = map[string]string{
	// BRIDGE-MIB (RFC 4188), Q-BRIDGE-MIB (RFC 4363), IF-MIB (RFC 2863)
	under(mib2, 17, 1, 4, 1, 2):       bridgePort, // dot1dBasePortIfIndex
	under(mib2, 17, 4, 3, 1, 2):       forwarding, // dot1dTpFdbPort
	under(mib2, 17, 7, 1, 2, 2, 1, 2): vlanTable,  // dot1qTpFdbPort
	under(mib2, 17, 7, 1, 4, 2, 1, 3): vlanOf,     // dot1qVlanFdbId
	under(mib2, 31, 1, 1, 1, 1):       ifName,
	under(mib2, 2, 2, 1, 2):           ifDescr,
	// LLDP-MIB (IEEE 802.1AB-2005): lldpLocPortTable, lldpRemTable
	under(lldpMIB, 3, 7, 1, 2):  lldpLocal + "2",
	under(lldpMIB, 3, 7, 1, 3):  lldpLocal + "3",
	under(lldpMIB, 3, 7, 1, 4):  lldpLocal + "4",
	under(lldpMIB, 4, 1, 1, 4):  lldpRemote + "4",
	under(lldpMIB, 4, 1, 1, 5):  lldpRemote + "5",
	under(lldpMIB, 4, 1, 1, 6):  lldpRemote + "6",
	under(lldpMIB, 4, 1, 1, 7):  lldpRemote + "7",
	under(lldpMIB, 4, 1, 1, 12): lldpRemote + "12",
	// CISCO-CDP-MIB: cdpCacheDeviceId, cdpCacheCapabilities; CISCO-MAC-NOTIFICATION-MIB: cmnHistMacChangedMsg
	under(enterprises, 9, 9, 23, 1, 2, 1, 1, 6):  cdpDeviceID,
	under(enterprises, 9, 9, 23, 1, 2, 1, 1, 9):  cdpCapable,
	under(enterprises, 9, 9, 215, 1, 1, 8, 1, 2): macChanged,
}

const (
	maxRows      = 256             // of neighbours and local ports that are put together in a flow
	maxRecent    = 256             // tables that a flow has told
	repeatAfter  = 5 * time.Minute // the same rows are told again then: a device that has come back is news
	maxPort      = 1<<31 - 1       // IF-MIB, InterfaceIndex
	maxVLAN      = 4094            // IEEE 802.1Q 9.6
	maxPortName  = 64
	changeSize   = 11 // bytes of a change in cmnHistMacChangedMsg
	changeLearnt = 1
)

// rowKey is a row of a table whose columns come one after the other.
type rowKey struct {
	table       string
	port, index uint32
}

// row is what its columns have said so far.
type row struct {
	chassisType, portType int64
	chassis, port         proto.MAC
	name                  string
	capabilities          string
}

// tableRows are those of one message.
type tableRows struct {
	forwarding, bridgePorts, interfaces, vlans []string
	changed                                    []rowKey
}

// index reads numbers off an encoded index, nil for a broken one.
func indexOf(b []byte) (list []uint32) {
	for len(b) > 0 {
		n, rest, ok := subidentifier(b)
		if !ok || len(list) == maxSubidentifiers {
			return nil
		}
		list, b = append(list, uint32(n)), rest
	}
	return list
}

// indexMAC is a MAC as the last six numbers of an index, a byte each.
func indexMAC(list []uint32) (m proto.MAC, ok bool) {
	if len(list) != len(m) {
		return m, false
	}
	for i, n := range list {
		if n > 0xff {
			return m, false
		}
		m[i] = byte(n)
	}
	return m, !m.IsZero() && !m.IsGroup()
}

// portNumber is a positive number of a port; 0 says that the bridge does not know it.
func portNumber(tag byte, b []byte) (string, bool) {
	n, ok := integer(b)
	if tag != tagInteger && tag != tagGauge || !ok || n < 1 || n > maxPort {
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// portName is the name that the system gives a port, "" for what may be somebody's text.
func (e *event) portName(tag byte, b []byte) string {
	s := text(tag, b)
	switch {
	case s == "":
		return ""
	case len(s) > maxPortName || strings.ContainsAny(s, "=,") || !lldp.PortName(s):
		e.c.Count("snmp_value_withheld")
		return ""
	}
	return s
}

// table takes a value of one of the columns.
func (e *event) table(what string, index []byte, tag byte, value []byte) {
	list := indexOf(index)
	if len(list) == 0 {
		return
	}
	t := &e.tables
	switch what {
	case bridgePort:
		if port, ok := portNumber(tag, value); ok && len(list) == 1 {
			t.bridgePorts = append(t.bridgePorts, decimal(list[0])+" interface="+port)
		}
	case forwarding:
		if port, ok := portNumber(tag, value); ok {
			e.forwards(list, port, "")
		}
	case vlanTable:
		if port, ok := portNumber(tag, value); ok {
			e.forwards(list[1:], port, " fdb="+decimal(list[0]))
		}
	case vlanOf: // by the time of the change, and the VLAN
		if fdb, ok := unsigned(value); ok && tag == tagGauge && len(list) == 2 && list[1] <= maxVLAN && fdb <= maxPort {
			t.vlans = append(t.vlans, decimal(list[1])+" fdb="+strconv.FormatUint(fdb, 10))
		}
	case ifName, ifDescr:
		if name := e.portName(tag, value); name != "" && len(list) == 1 {
			t.interfaces = append(t.interfaces, decimal(list[0])+" "+strings.TrimPrefix(what, tables)+"="+name)
		}
	case macChanged:
		if tag == tagOctets {
			e.changes(value)
		}
	case cdpDeviceID, cdpCapable:
		if len(list) == 2 {
			e.cdp(what, list, tag, value)
		}
	default:
		e.lldp(what, list, tag, value)
	}
}

func (e *event) forwards(mac []uint32, port, table string) {
	if m, ok := indexMAC(mac); ok {
		e.tables.forwarding = append(e.tables.forwarding, m.String()+" port="+port+table)
	}
}

// changes reads what a switch has learnt since the last trap:
//
//	operation (1: 1 learnt, 2 removed, 0 the end) | VLAN (2) | MAC (6) | bridge port (2) | ...
//
// A MAC is removed when it has been silent for a while: that is no move.
func (e *event) changes(b []byte) {
	for ; len(b) >= changeSize && b[0] != 0; b = b[changeSize:] {
		vlan, m, port := binary.BigEndian.Uint16(b[1:]), proto.MAC(b[3:9]), binary.BigEndian.Uint16(b[9:])
		if b[0] == changeLearnt && !m.IsZero() && !m.IsGroup() && port > 0 && vlan > 0 && vlan <= maxVLAN {
			e.tables.forwarding = append(e.tables.forwarding, m.String()+" port="+strconv.Itoa(int(port))+" vlan="+strconv.Itoa(int(vlan)))
		}
	}
}

// row gives the row of a table for adding to, nil when there are too many.
func (e *event) row(table string, port, index uint32) *row {
	k := rowKey{table, port, index}
	r := e.s.rows[k]
	if r == nil {
		if len(e.s.rows) == maxRows {
			clear(e.s.rows)
			e.c.Count("snmp_rows_let_go")
		}
		if e.s.rows == nil {
			e.s.rows = map[rowKey]*row{}
		}
		r = new(row)
		e.s.rows[k] = r
	}
	if !slices.Contains(e.tables.changed, k) {
		e.tables.changed = append(e.tables.changed, k)
	}
	return r
}

// Subtypes of chassis and port ids in the MIB (LldpChassisIdSubtype, LldpPortIdSubtype).
const (
	chassisIsMAC = 4
	portIsAlias  = 1
	portIsMAC    = 3
)

// lldp reads the local ports, by their number, and the neighbours, by the time at which
// they were told, the local port, and a number.
func (e *event) lldp(what string, list []uint32, tag byte, value []byte) {
	if column, local := strings.CutPrefix(what, lldpLocal); local {
		if len(list) != 1 {
			return
		}
		r := e.row(lldpLocal, list[0], 0)
		switch column {
		case "2":
			r.portType, _ = integer(value)
		case "3":
			if r.portType != portIsAlias && r.portType != portIsMAC && r.portType != 0 {
				r.name = e.portName(tag, value)
			}
		case "4":
			if r.name == "" {
				r.name = e.portName(tag, value)
			}
		}
		return
	}
	if len(list) != 3 {
		return
	}
	r := e.row("lldp", list[1], list[2])
	own := func(kind int64, want int64) proto.MAC {
		if m := mac(tag, value); m != "" && kind == want {
			return proto.MAC(value)
		}
		return proto.MAC{}
	}
	switch strings.TrimPrefix(what, lldpRemote) {
	case "4":
		r.chassisType, _ = integer(value)
	case "5":
		r.chassis = own(r.chassisType, chassisIsMAC)
	case "6":
		r.portType, _ = integer(value)
	case "7":
		r.port = own(r.portType, portIsMAC)
	case "12":
		r.capabilities = capable(tag, value, lldpCapabilities[:])
	}
}

// The capabilities of both protocols: those of LLDP are the bits of LldpSystemCapabilitiesMap
// from the first, those of CDP are a number's from the lowest.
var (
	lldpCapabilities = [...]string{"other", "repeater", "bridge", "access_point", "router", "telephone", "docsis", "station"}
	cdpCapabilities  = [...]string{"router", "bridge", "source_route_bridge", "switch", "host", "igmp", "repeater", "telephone"}
)

// capable names the bits of a byte, of which the first is the highest; "none" for no bits.
func capable(tag byte, b []byte, names []string) string {
	if tag != tagOctets || len(b) == 0 || len(b) > 4 {
		return ""
	}
	var list []string
	for i, name := range names {
		if b[0]&(0x80>>i) != 0 {
			list = append(list, name)
		}
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ",")
}

// cdp reads a neighbour, by the local interface and a number. Of device ids only a
// telephone's says its MAC: SEP and twelve digits.
func (e *event) cdp(what string, list []uint32, tag byte, value []byte) {
	r := e.row("cdp", list[0], list[1])
	if what == cdpCapable {
		if len(value) != 4 || tag != tagOctets {
			return
		}
		var names []string
		for i, name := range cdpCapabilities {
			if value[3]&(1<<i) != 0 {
				names = append(names, name)
			}
		}
		if r.capabilities = strings.Join(names, ","); r.capabilities == "" {
			r.capabilities = "none"
		}
		return
	}
	if digits, ok := strings.CutPrefix(string(value), "SEP"); ok && tag == tagOctets && len(digits) == 12 {
		if b, err := hex.DecodeString(digits); err == nil && mac(tag, b) != "" {
			r.port = proto.MAC(b)
		}
	}
}

// emitTables tells the rows of a message, unless this flow has just told the same.
func (e *event) emitTables() {
	t := &e.tables
	var neighbours, local []string
	for _, k := range t.changed {
		r := e.s.rows[k]
		switch {
		case r == nil: // let go within this message
		case k.table == lldpLocal:
			if r.name != "" {
				local = append(local, decimal(k.port)+" name="+r.name)
			}
		default:
			neighbours = appendNeighbour(neighbours, k, r)
		}
	}
	f := dissector.Fact{Kind: "ports", Subject: dissector.Subject{Side: e.c.Side}}
	if e.from != e.c.Headers.SrcIP {
		f.Subject = dissector.Subject{Side: dissector.Other, IP: e.from}
	}
	h := xxhash.New()
	for _, list := range []struct {
		name string
		rows []string
	}{{"forwarding", t.forwarding}, {"bridge_ports", t.bridgePorts}, {"interfaces", t.interfaces}, {"lldp_ports", local}, {"neighbours", neighbours}, {"vlans", t.vlans}} {
		if len(list.rows) == 0 {
			continue
		}
		f.Attributes.SetList(list.name, list.rows)
		for _, s := range list.rows {
			_, _ = h.WriteString(list.name + s + ";")
		}
	}
	if len(f.Attributes) == 0 || e.s.recently(h.Sum64()^uint64(e.c.Side), e.c.Headers.Time) {
		return
	}
	f.Attributes.Set("role", "server")
	e.c.Emit(&f)
}

// appendNeighbour tells one: the MAC that it speaks from is its port's, where it says that.
func appendNeighbour(list []string, k rowKey, r *row) []string {
	m := r.port
	if m.IsZero() {
		m = r.chassis
	}
	if m.IsZero() && r.capabilities == "" {
		return list
	}
	s := k.table + " port=" + decimal(k.port)
	if !m.IsZero() {
		s += " mac=" + m.String()
	}
	if r.capabilities != "" {
		s += " capabilities=" + r.capabilities
	}
	return append(list, s)
}

// recently reports whether the flow has told these rows a short while ago, and
// remembers them.
func (s *state) recently(h uint64, now proto.Time) bool {
	if at, ok := s.recent[h]; ok && now.Sub(at) < repeatAfter && now >= at {
		return true
	}
	if len(s.recent) >= maxRecent {
		clear(s.recent)
	}
	if s.recent == nil {
		s.recent = map[uint64]proto.Time{}
	}
	s.recent[h] = now
	return false
}
