package fingerprint

import (
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// How surely a table says where a device is. A MAC alone on a port, or behind a telephone,
// is there; of several each may be further away, behind a switch that nobody manages.
const (
	weightNeighbour = 0.95
	weightAlone     = 0.9
	weightSeveral   = 0.7

	aloneOnPort = 2
)

// portsFire judges a switch's ports when its tables have come to rest, or after a time.
func portsFire(tx *stream.Tx, id proto.ID, site string) {
	st := switches.Get(tx, id[:])
	if st == nil || st.since == 0 {
		return
	}
	if now := tx.Now(); now.Sub(st.last) < walkPause && now.Sub(st.since) < walkLongest {
		tx.Timer(now.Add(walkWait), timerKey(timerPorts, id))
		return
	}
	judgePorts(tx, id, site)
}

// sweepPorts is the sweep at the end of a capture file, whose timers end with it.
const sweepPorts = "ports"

func portsEnd(tx *stream.Tx, h *host, key []byte) {
	if st := switches.Get(tx, key); h != nil && st != nil && st.since != 0 {
		judgePorts(tx, proto.ID(key), h.site)
	}
}

// judgement is of one switch.
type judgement struct {
	tx     *stream.Tx
	id     proto.ID
	site   string
	name   string
	since  proto.Time
	ports  map[[2]uint64]*portState // kind and number
	bridge map[uint64]uint64        // interface -> the bridge's port
}

// judgePorts tells the devices on a switch's access ports where they are. What is no
// access port: one where LLDP or CDP has found a switch, a router or an access point
// within two days, and one with more than maxBehind MACs within an hour.
func judgePorts(tx *stream.Tx, id proto.ID, site string) {
	st := switches.Edit(tx, id[:])
	j := &judgement{tx: tx, id: id, site: site, since: st.since, ports: map[[2]uint64]*portState{}, bridge: map[uint64]uint64{}}
	st.since = 0
	var keys [][2]uint64 // in the order of the table
	switchPorts.Scan(tx, id[:], func(key []byte, p *portState) bool {
		k := portKeyOf(key)
		keys, j.ports[k] = append(keys, k), p
		if k[0] == portBridge && p.number != 0 {
			j.bridge[p.number] = k[1]
		}
		return true
	})
	j.name = switchName(tx, id)
	if j.name == "" {
		return
	}
	said := map[proto.MAC]bool{} // by LLDP and CDP, who know it better
	for _, k := range keys {
		if k[0] == portLLDP || k[0] == portCDP {
			j.neighbours(k, said)
		}
	}
	for _, k := range keys {
		if k[0] == portBridge {
			j.behind(k, said)
		}
	}
}

func portKeyOf(key []byte) [2]uint64 {
	n := uint64(0)
	for _, b := range key[idLen+1:] {
		n = n<<8 | uint64(b)
	}
	return [2]uint64{uint64(key[idLen]), n}
}

// switchName is how a switch is known: its name as it says itself, else its address.
func switchName(tx *stream.Tx, id proto.ID) string {
	if p := profiles.Get(tx, id[:]); p != nil {
		for _, protocol := range []string{"snmp", "lldp", "cdp", "syslog"} {
			name, last := "", proto.Time(0)
			for i := range p.evidence {
				if v := &p.evidence[i]; v.Attribute == "hostname" && v.Protocol == protocol && v.Last >= last {
					name, last = v.Value, v.Last
				}
			}
			if name != "" {
				return name
			}
		}
	}
	if h := hosts.Get(tx, id[:]); h != nil {
		for _, ip := range []string{addrText(h.ip4), addrText(h.ip6)} {
			if ip != "" {
				return ip
			}
		}
	}
	return ""
}

// neighbours tells those of a port that are at the end of its wire.
func (j *judgement) neighbours(k [2]uint64, said map[proto.MAC]bool) {
	protocol := "lldp"
	if k[0] == portCDP {
		protocol = "cdp"
	}
	for i := range j.ports[k].macs {
		m := j.ports[k].macs[i]
		if m.mac.IsZero() || m.is != nextEndpoint && m.is != nextRadio {
			continue
		}
		said[m.mac] = true
		if m.at >= j.since && j.tell(protocol, j.portName(k), &m, 1, "") {
			switchPorts.Edit(j.tx, portKey(j.id, byte(k[0]), k[1])).macs[i] = m
		}
	}
}

// behind tells the MACs on a bridge's port, where that is an access port.
func (j *judgement) behind(k [2]uint64, said map[proto.MAC]bool) {
	p := j.ports[k]
	newest := p.crowded
	for i := range p.macs {
		newest = max(newest, p.macs[i].at)
	}
	if len(p.macs) == 0 || p.crowded != 0 && newest.Sub(p.crowded) < togetherFor || j.handsOn(k[1], p.number, newest) {
		return
	}
	n := 0
	for i := range p.macs {
		if newest.Sub(p.macs[i].at) <= togetherFor {
			n++
		}
	}
	name := j.portName(k)
	for i := range p.macs {
		m := p.macs[i]
		if m.at >= j.since && !said[m.mac] && j.tell("snmp", name, &m, n, j.vlan(&m)) {
			switchPorts.Edit(j.tx, portKey(j.id, portBridge, k[1])).macs[i] = m
		}
	}
}

// vlan is the VLAN of a MAC. What is said by its database holds where the switch has said
// whose that is: its number need not be the VLAN's (RFC 4363, dot1qFdbId).
func (j *judgement) vlan(m *onPort) string {
	if m.vlan != 0 {
		return vlanText(m.vlan)
	}
	if p := j.ports[[2]uint64{portFDB, m.fdb}]; m.fdb != 0 && p != nil && p.description == "" && p.number != 0 {
		return strconv.FormatUint(p.number, 10)
	}
	return ""
}

// handsOn reports that a neighbour of a port forwards for others. LLDP's numbers are those
// of a bridge's ports or of interfaces, as the agent likes: either may be meant.
func (j *judgement) handsOn(port, interfaceNumber uint64, now proto.Time) bool {
	for _, k := range [...][2]uint64{{portLLDP, port}, {portLLDP, interfaceNumber}, {portCDP, interfaceNumber}} {
		if p := j.ports[k]; p != nil && k[1] != 0 && slices.ContainsFunc(p.macs, func(m onPort) bool {
			return (m.is == nextForwards || m.is == nextRadio) && now.Sub(m.at) < neighbourFor
		}) {
			return true
		}
	}
	return false
}

// portName is what a port is called: as the system names it, else the number by which it
// is known, with what that counts.
func (j *judgement) portName(k [2]uint64) string {
	p, number := j.ports[k], uint64(0)
	switch k[0] {
	case portCDP:
		number = k[1]
	case portBridge:
		number = p.number
	case portLLDP:
		if p.name != "" {
			return p.name
		}
		if number = k[1]; j.ports[[2]uint64{portBridge, k[1]}] != nil {
			number = j.ports[[2]uint64{portBridge, k[1]}].number
		}
	}
	if i := j.ports[[2]uint64{portInterface, number}]; i != nil && number != 0 {
		if i.name != "" {
			return i.name
		}
		if i.description != "" {
			return i.description
		}
	}
	what := map[uint64]string{portCDP: "interface ", portBridge: "bridge port ", portLLDP: "LLDP port "}[k[0]]
	return what + strconv.FormatUint(k[1], 10)
}

// tell hands on where a device is, unless the same was told lately, and reports whether it
// did.
func (j *judgement) tell(protocol, port string, m *onPort, together int, vlan string) bool {
	to := proto.MACEndpoint(j.site, m.mac)
	as := xxhash.Sum64String(j.name + "\x00" + port + "\x00" + vlan)
	if to == j.id || m.told != 0 && m.as == as && m.at.Sub(m.told) < togetherFor {
		return false
	}
	m.told, m.as = m.at, as
	o := proto.Observation{Time: m.at, Site: j.site, Protocol: protocol, Kind: kindAttached, Endpoint: to, MAC: m.mac, Peer: j.id}
	o.Attributes.Set("switch", j.name)
	o.Attributes.Set("port", port)
	o.Attributes.Set("vlan", vlan)
	o.Attributes.Set("together", strconv.Itoa(together))
	val, err := proto.Marshal(&proto.Nested{Observation: o, Site: j.site})
	if err != nil { // nothing in it can fail to encode
		j.tx.Dead("attachment: " + err.Error())
		return false
	}
	publishNested(j.tx, to, val, j.tx.Now())
	return true
}
