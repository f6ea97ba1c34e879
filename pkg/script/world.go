package script

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// device declares an inside device by MAC, address or both.
func (r *run) device(a *args) error {
	n, err := r.declare(a)
	if err != nil {
		return err
	}
	for a.more() {
		w, _ := a.next("")
		if strings.Count(w, ":") == 5 && len(w) == 17 {
			if err := n.mac.UnmarshalText([]byte(w)); err != nil {
				return err
			}
			continue
		}
		if n.ip, err = address(w); err != nil {
			return fmt.Errorf("%q is neither a MAC nor an IP address", w)
		}
	}
	switch {
	case !n.mac.IsZero():
		n.id = proto.MACEndpoint(r.batch.Site, n.mac)
	case n.ip.IsValid():
		n.id = proto.IPEndpoint(r.batch.Site, 0, n.ip)
	default:
		return errors.New("a device needs a MAC, an IP address or both")
	}
	return nil
}

func (r *run) declare(a *args) (*node, error) {
	name, err := a.next("a name")
	if err != nil {
		return nil, err
	}
	n, ok := r.nodes[name]
	if !ok {
		n = &node{name: name}
		r.nodes[name] = n
	}
	return n, nil
}

func (r *run) equipment(a *args) error {
	n, err := r.declare(a)
	if err != nil {
		return err
	}
	id, err := a.next("the protocol's id of it")
	if err != nil {
		return err
	}
	n.id = proto.EquipmentEndpoint(r.batch.Site, id)
	if err := a.want("behind"); err != nil {
		return err
	}
	n.gateway, err = a.next("its gateway")
	return err
}

func (r *run) outside(a *args) error {
	n, err := r.declare(a)
	if err != nil {
		return err
	}
	w, err := a.next("its address")
	if err != nil {
		return err
	}
	n.outsider = true
	n.ip, err = address(w)
	return err
}

// node finds a name; an address stands for itself, inside where it is private.
func (r *run) node(name string) (*node, error) {
	if n, ok := r.nodes[name]; ok {
		return n, nil
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return nil, fmt.Errorf("nothing is called %q", name)
	}
	n := &node{name: name, ip: ip.Unmap()}
	if n.ip.IsPrivate() {
		n.id = proto.IPEndpoint(r.batch.Site, 0, n.ip)
	} else {
		n.outsider = true
	}
	r.nodes[name] = n
	return n, nil
}

func (r *run) nodeArg(a *args, what string) (*node, error) {
	w, err := a.next(what)
	if err != nil {
		return nil, err
	}
	return r.node(w)
}

// label gives the script's name of an endpoint or address.
func (r *run) label(s string) string {
	best := ""
	for name, n := range r.nodes {
		if (n.id.String() == s || n.ip.String() == s) && (best == "" || name < best) {
			best = name
		}
	}
	if best != "" {
		return best
	}
	return s
}

// every plays a flow again and again.
func (r *run) every(a *args) error {
	step, err := a.duration("the pause")
	if err != nil {
		return err
	}
	if step < time.Second {
		return errors.New("the pause must be a second at least")
	}
	if err := a.want("until"); err != nil {
		return err
	}
	until, err := a.time(r.midnight, r.now)
	if err != nil {
		return err
	}
	verb, err := a.next("what is repeated")
	if err != nil {
		return err
	}
	if verb != "flow" && verb != "observe" {
		return fmt.Errorf("%q cannot be repeated", verb)
	}
	words := a.words
	for t := r.now; t <= until; t = t.Add(step) {
		if err := r.advance(t); err != nil {
			return err
		}
		a.words = words
		do := r.flow
		if verb == "observe" {
			do = r.observe
		}
		if err := do(a); err != nil {
			return err
		}
		if a.more() {
			return nil // the caller says so
		}
	}
	a.words = nil
	return nil
}

// unanswered are Zeek's states in which the other end said nothing of its own.
var unanswered = map[string]bool{"S0": true, "REJ": true, "RSTOS0": true, "SH": true, "RSTRH": true}

// flow plays one flow, or one a port.
func (r *run) flow(a *args) error {
	src, err := r.nodeArg(a, "who opens the flow")
	if err != nil {
		return err
	}
	if err := a.want("->"); err != nil {
		return err
	}
	dst, err := r.nodeArg(a, "the other end")
	if err != nil {
		return err
	}
	w, err := a.next("transport and port")
	if err != nil {
		return err
	}
	f := proto.Flow{
		Site: r.batch.Site, Sensor: r.batch.Sensor, Start: r.now, End: r.now, Final: true, State: "SF", ProtocolBy: proto.ByContent, SrcPort: 40000,
		SrcIP: src.ip, SrcMAC: src.mac, SrcEndpoint: src.id, SrcInside: !src.outsider,
		DstIP: dst.ip, DstMAC: dst.mac, DstEndpoint: dst.id, DstInside: !dst.outsider,
		SrcPackets: 5, SrcPayloadBytes: 200, DstPackets: 4, DstPayloadBytes: 800,
	}
	var from, to int
	if f.Transport, from, to, err = transport(w); err != nil {
		return err
	}
	if f.Protocol, err = a.next("the protocol (unknown, if it is)"); err != nil {
		return err
	}
	if f.Protocol == "unknown" {
		f.ProtocolBy = ""
	}
	midstream, err := flowOptions(a, &f)
	if err != nil {
		return err
	}
	f.SrcBytes, f.DstBytes = f.SrcPayloadBytes+40*f.SrcPackets, f.DstPayloadBytes+40*f.DstPackets
	for port := from; port <= to; port++ {
		g := f
		g.DstPort = uint16(port)
		if midstream {
			g.SrcPort, g.DstPort, g.State = g.DstPort, g.SrcPort, "OTH"
		}
		r.flows++
		g.FlowID = proto.HashID("script", []byte(strconv.FormatUint(r.flows, 10)))
		if err := r.sendFlow(&g); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) sendFlow(f *proto.Flow) error {
	if err := r.item(proto.Item{Flow: f, Lane: f.SrcEndpoint.Lane()}); err != nil {
		return err
	}
	if f.SrcEndpoint.IsZero() || f.DstEndpoint.IsZero() {
		return nil
	}
	return r.item(proto.Item{Flow: f, Lane: f.DstEndpoint.Lane(), Mirror: true})
}

func flowOptions(a *args, f *proto.Flow) (midstream bool, err error) {
	for a.more() {
		switch {
		case a.take("by"):
			f.ProtocolBy, err = a.next("how the protocol is known")
		case a.take("state"):
			if f.State, err = a.next("the state"); unanswered[f.State] {
				f.SrcPackets, f.SrcPayloadBytes, f.DstPackets, f.DstPayloadBytes = 1, 0, 0, 0
				if f.State == "REJ" {
					f.DstPackets = 1
				}
			}
		case a.take("bytes"):
			var w string
			if w, err = a.next("bytes"); err == nil {
				there, back, _ := strings.Cut(w, "/")
				x, err1 := strconv.ParseUint(there, 10, 63)
				y, err2 := strconv.ParseUint(back, 10, 63)
				if err1 != nil || err2 != nil {
					return false, fmt.Errorf("%q are no bytes; write them like 200/3800", w)
				}
				f.SrcPayloadBytes, f.DstPayloadBytes = x, y
			}
		case a.take("for"):
			var d time.Duration
			d, err = a.duration("how long it took")
			f.Start = f.End.Add(-d)
		case a.take("midstream"):
			midstream = true
		default:
			return midstream, nil // the caller says that it is too much
		}
		if err != nil {
			return midstream, err
		}
	}
	return midstream, nil
}

// observe plays a protocol fact.
func (r *run) observe(a *args) error {
	n, err := r.nodeArg(a, "who is observed")
	if err != nil {
		return err
	}
	o := &proto.Observation{Site: r.batch.Site, Sensor: r.batch.Sensor, Time: r.now, Endpoint: n.id, MAC: n.mac, IP: n.ip}
	if o.Protocol, err = a.next("the protocol"); err != nil {
		return err
	}
	if o.Kind, err = a.next("the kind"); err != nil {
		return err
	}
	if n.gateway != "" {
		g, err := r.node(n.gateway)
		if err != nil {
			return err
		}
		o.Gateway = g.id
	}
	for a.more() {
		w, _ := a.next("")
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return fmt.Errorf("%q is no attribute; write it like hostname=PCU-1", w)
		}
		if list, ok := strings.CutPrefix(value, "["); ok {
			o.Attributes.SetList(key, strings.Split(strings.TrimSuffix(list, "]"), ","))
			continue
		}
		o.Attributes.Set(key, value)
	}
	o.Identify()
	return r.item(proto.Item{Observation: o, Lane: n.id.Lane()})
}
