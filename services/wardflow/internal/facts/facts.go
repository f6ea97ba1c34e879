// Package facts makes the fact sheet of a device, or of all devices of a model: what
// it needs to work, from what it was seen to do. The sheet is what a firewall rule or a
// segment is later made of, so it names kinds of peers and not single ones.
//
// Conversations come from a folder that replay wrote, read here, or from ClickHouse,
// read by the command.
package facts

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
)

// Talk is a conversation, or several of an hour.
type Talk struct {
	Client, Server     string // devices, "" for none
	ClientIP, ServerIP string
	Transport          string
	Port               uint16 // the server's
	Protocol           string
	Flows, Bytes       uint64
	First, Last        proto.Time
	Place              geo.Place // of the end on the Internet
}

// Login is an observation of how somebody proved who they are: never who.
type Login struct {
	Device    string
	Protocol  string
	Mechanism string
	Role      string
}

// Need is something that a device does: it asks a kind of peer, or answers it.
type Need struct {
	Direction string     `json:"direction"` // asks, answers
	Peer      string     `json:"peer"`      // type or category of the peer, internet, elsewhere, multicast, unknown
	Transport string     `json:"transport"`
	Port      uint16     `json:"port"` // the server's; 0 where there is none
	Protocol  string     `json:"protocol"`
	Peers     int        `json:"peers"`   // different ones
	Devices   int        `json:"devices"` // how many of the sheet's devices do so
	Flows     uint64     `json:"flows"`
	Bytes     uint64     `json:"bytes"`
	Hours     []int      `json:"hours"` // of the day, UTC
	First     proto.Time `json:"first"`
	Last      proto.Time `json:"last"`
	Places    []*Place   `json:"places"` // of peers on the Internet, those of most bytes first

	peers, devices map[string]bool
}

// Place is a country and a network in which peers on the Internet are.
type Place struct {
	Country string `json:"country"` // ISO 3166-1 alpha-2, "" for unknown
	ASN     uint32 `json:"asn"`     // autonomous system number, 0 for unknown
	ASName  string `json:"as_name"`
	Peers   int    `json:"peers"`
	Flows   uint64 `json:"flows"`
	Bytes   uint64 `json:"bytes"`

	peers map[string]bool
}

// String is "CH AS559 SWITCH", or what of it is known.
func (p *Place) String() string {
	var out []string
	if p.Country != "" {
		out = append(out, p.Country)
	}
	if p.ASN != 0 {
		out = append(out, "AS"+strconv.FormatUint(uint64(p.ASN), 10))
	}
	if p.ASName != "" {
		out = append(out, p.ASName)
	}
	return cmp.Or(strings.Join(out, " "), "unknown")
}

// Credential is a kind of login.
type Credential struct {
	Protocol  string `json:"protocol"`
	Mechanism string `json:"mechanism"`
	Role      string `json:"role"` // client, server, or ""
	Times     int    `json:"times"`
}

// Sheet is a fact sheet.
type Sheet struct {
	Model       string       `json:"model"`
	Devices     []string     `json:"devices"`
	Needs       []*Need      `json:"needs"`
	Credentials []Credential `json:"credentials"`
}

// Of makes the sheet of the devices named, all being what their peers are called by.
func Of(model string, devices []string, kinds map[string]string, talks []Talk, logins []Login) *Sheet {
	s := &Sheet{Model: model, Devices: devices, Needs: []*Need{}, Credentials: []Credential{}}
	needs := map[string]*Need{}
	for i := range talks {
		t := &talks[i]
		if slices.Contains(devices, t.Client) {
			s.need(needs, "asks", t.Client, peerOf(kinds, t.Server, t.ServerIP), cmp.Or(t.Server, t.ServerIP), t)
		}
		if slices.Contains(devices, t.Server) {
			s.need(needs, "answers", t.Server, peerOf(kinds, t.Client, t.ClientIP), cmp.Or(t.Client, t.ClientIP), t)
		}
	}
	for _, n := range s.Needs {
		slices.SortFunc(n.Places, func(a, b *Place) int {
			return cmp.Or(-cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Country, b.Country), cmp.Compare(a.ASN, b.ASN), cmp.Compare(a.ASName, b.ASName))
		})
	}
	slices.SortFunc(s.Needs, func(a, b *Need) int {
		return cmp.Or(-cmp.Compare(a.Direction, b.Direction), -cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Transport, b.Transport),
			cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	times := map[Credential]int{}
	for _, l := range logins {
		if slices.Contains(devices, l.Device) && l.Mechanism != "" {
			times[Credential{Protocol: l.Protocol, Mechanism: l.Mechanism, Role: l.Role}]++
		}
	}
	for c, n := range times {
		c.Times = n
		s.Credentials = append(s.Credentials, c)
	}
	slices.SortFunc(s.Credentials, func(a, b Credential) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Mechanism, b.Mechanism), cmp.Compare(a.Role, b.Role))
	})
	return s
}

// ephemeral is where clients' ports begin (RFC 6335): a server's port from here on
// was agreed on for once, and says nothing.
const ephemeral = 49152

func (s *Sheet) need(needs map[string]*Need, direction, device, kind, peer string, t *Talk) {
	port := t.Port
	if t.Transport != "tcp" && t.Transport != "udp" && t.Transport != "sctp" || port >= ephemeral {
		port = 0
	}
	key := strings.Join([]string{direction, kind, t.Transport, strconv.Itoa(int(port)), t.Protocol}, " ")
	n := needs[key]
	if n == nil {
		n = &Need{
			Direction: direction, Peer: kind, Transport: t.Transport, Port: port, Protocol: t.Protocol, First: t.First, Last: t.Last,
			Places: []*Place{}, peers: map[string]bool{}, devices: map[string]bool{},
		}
		needs[key] = n
		s.Needs = append(s.Needs, n)
	}
	n.peers[peer], n.devices[device] = true, true
	n.Peers, n.Devices = len(n.peers), len(n.devices)
	n.Flows, n.Bytes = n.Flows+t.Flows, n.Bytes+t.Bytes
	n.First, n.Last = min(n.First, t.First), max(n.Last, t.Last)
	if kind == internet {
		n.place(peer, t)
	}
	if h := t.First.Std().Hour(); !slices.Contains(n.Hours, h) {
		n.Hours = append(n.Hours, h)
		slices.Sort(n.Hours)
	}
}

// place counts a peer on the Internet where it is.
func (n *Need) place(peer string, t *Talk) {
	at := slices.IndexFunc(n.Places, func(p *Place) bool { return geo.Place{Country: p.Country, ASN: p.ASN, Name: p.ASName} == t.Place })
	if at < 0 {
		at = len(n.Places)
		n.Places = append(n.Places, &Place{Country: t.Place.Country, ASN: t.Place.ASN, ASName: t.Place.Name, peers: map[string]bool{}})
	}
	p := n.Places[at]
	p.peers[peer] = true
	p.Peers, p.Flows, p.Bytes = len(p.peers), p.Flows+t.Flows, p.Bytes+t.Bytes
}

const internet = "internet"

// peerOf is what kind of peer it is.
func peerOf(kinds map[string]string, device, ip string) string {
	if device != "" {
		return cmp.Or(kinds[device], "unknown")
	}
	a, err := netip.ParseAddr(ip)
	switch shared := netip.MustParsePrefix("100.64.0.0/10"); {
	case err != nil:
		return "unknown"
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "multicast"
	case a.IsPrivate(), a.IsLinkLocalUnicast(), a.IsUnspecified(), a.IsLoopback(), shared.Contains(a):
		return "elsewhere"
	}
	return internet
}

// Hours prints hours of the day as ranges: "0-6, 22-23".
func Hours(list []int) string {
	var out []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i == j {
			out = append(out, strconv.Itoa(list[i]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", list[i], list[j]))
		}
		i = j + 1
	}
	return strings.Join(out, ", ")
}

// Select gives the devices of a model, or the one device of an id (or its first
// digits), an address, a MAC or a host name; and what kind each device is.
func Select(all []*proto.Device, model, name string) (ids []string, is string, kinds map[string]string, err error) {
	kinds = map[string]string{}
	for _, d := range all {
		id := d.DeviceID.String()
		switch {
		case d.Type != nil:
			kinds[id] = d.Type.Value
		case d.Category != nil:
			kinds[id] = d.Category.Value
		}
		if model != "" && d.Model != nil && strings.EqualFold(d.Model.Value, model) || name != "" && named(d, name) {
			ids = append(ids, id)
			if d.Model != nil {
				is = d.Model.Value
			}
		}
	}
	switch {
	case len(ids) == 0 && model != "":
		return nil, "", nil, fmt.Errorf("no device of model %q", model)
	case len(ids) == 0:
		return nil, "", nil, fmt.Errorf("no device %q: name one by id, address, MAC or host name", name)
	case model == "" && len(ids) > 1:
		return nil, "", nil, fmt.Errorf("%d devices are called %q: %s; name one by its id", len(ids), name, strings.Join(ids, ", "))
	}
	return ids, is, kinds, nil
}

func named(d *proto.Device, name string) bool {
	low := strings.ToLower(name)
	return len(low) >= 4 && strings.HasPrefix(d.DeviceID.String(), low) || slices.Contains(d.IPs, name) || slices.Contains(d.MACs, strings.ReplaceAll(low, "-", ":")) ||
		slices.ContainsFunc(d.Hostnames, func(h string) bool { return strings.EqualFold(h, name) })
}

func lookup(places *geo.Table, ip string) geo.Place {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return geo.Place{}
	}
	return places.Lookup(a)
}

// Folder reads the conversations and logins of what replay wrote; places says where
// addresses are.
func Folder(dir string, places *geo.Table) (talks []Talk, logins []Login, err error) {
	err = results.Lines(filepath.Join(dir, "flows.jsonl"), func(_ int, b []byte) error {
		var f struct {
			Part        int        `json:"part"`
			Start       proto.Time `json:"start"`
			End         proto.Time `json:"end"`
			Transport   string     `json:"transport"`
			SrcIP       string     `json:"src_ip"`
			DstIP       string     `json:"dst_ip"`
			DstPort     uint16     `json:"dst_port"`
			SrcBytes    uint64     `json:"src_bytes"`
			DstBytes    uint64     `json:"dst_bytes"`
			Protocol    string     `json:"protocol"`
			SrcDevice   string     `json:"src_device"`
			DstDevice   string     `json:"dst_device"`
			DuplicateOf string     `json:"duplicate_of_sensor"`
		}
		if err := json.Unmarshal(b, &f); err != nil || f.DuplicateOf != "" {
			return err
		}
		t := Talk{
			Client: f.SrcDevice, Server: f.DstDevice, ClientIP: f.SrcIP, ServerIP: f.DstIP, Transport: f.Transport, Port: f.DstPort, Protocol: f.Protocol,
			Bytes: f.SrcBytes + f.DstBytes, First: f.Start, Last: f.End,
		}
		if f.Part == 0 {
			t.Flows = 1
		}
		if t.Server == "" {
			t.Place = lookup(places, t.ServerIP)
		} else if t.Client == "" {
			t.Place = lookup(places, t.ClientIP)
		}
		talks = append(talks, t)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = results.Lines(filepath.Join(dir, "observations.jsonl"), func(_ int, b []byte) error {
		var o struct {
			Device     string         `json:"device"`
			Protocol   string         `json:"protocol"`
			Attributes map[string]any `json:"attributes"`
		}
		if err := json.Unmarshal(b, &o); err != nil {
			return err
		}
		text := func(name string) string { v, _ := o.Attributes[name].(string); return v }
		if m := cmp.Or(text("mechanism"), text("auth"), text("cleartext_credential")); m != "" {
			logins = append(logins, Login{o.Device, o.Protocol, m, text("role")})
		}
		return nil
	})
	return talks, logins, err
}
