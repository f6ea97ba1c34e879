package fingerprint

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// What an endpoint can be known again by, and how it comes to belong to a device.
// The endpoint fold claims, the identity fold compares (same.go), and the endpoint
// fold then sends its summaries to the device of the group that it is told.

const (
	maxClaimed  = 4 // values of one kind; who says more of them speaks for others
	maxOwned6   = 8
	maxChanges  = 8 // of address within an hour; who changes more often is no host
	leastSerial = 5
	netBIOSName = 15 // bytes of a name at most
	maxBeside   = 1  // IPv4 addresses beside the one that it answers for
)

// besideFor is how long an address that was used beside another counts as one that
// is, when it is silent.
const besideFor = 24 * time.Hour

// saw notes the hour in which the endpoint was seen.
func (p *profile) saw(at proto.Time) { p.hour, p.hours = sawHour(p.hour, p.hours, at) }

// sawHour adds the hour of a moment to the latest of which something is known and those
// before it.
func sawHour(latest int64, hours uint64, at proto.Time) (int64, uint64) {
	hour := hourOf(at)
	switch d := hour - latest; {
	case hours == 0 || d >= 64:
		return hour, 1
	case d >= 0:
		return hour, hours<<d | 1
	case d > -64:
		return latest, hours | 1<<-d
	}
	return latest, hours
}

// upTo moves the latest hour of which it is known whether the endpoint was seen.
func (p *profile) upTo(at proto.Time) {
	if d := hourOf(at) - p.hour; d > 0 {
		p.hour += d
		p.hours <<= min(d, 64)
	}
}

// class is what the endpoint is named by.
func (p *profile) class(h *host) proto.EndpointClass {
	switch {
	case p.mac.IsLocal():
		return proto.ClassLocal
	case !p.mac.IsZero():
		return proto.ClassMAC
	case h.ip4.IsValid() || h.ip6.IsValid():
		return proto.ClassAddress
	}
	return proto.ClassEquipment
}

// claim tells the identity fold by what the endpoint may be known again, where that
// has changed. p is its profile, up to date, and gets the version of the claim.
func (e *Endpoint) claim(tx *stream.Tx, id proto.ID, h *host, p *profile) {
	c := proto.Claim{Site: h.site, Class: p.class(h), FirstSeen: h.first, Gateway: p.gateway, Watched: p.watched, Keys: p.keys(h)}
	hourly := p.hourly
	if p.watched {
		p.upTo(tx.Now())
		c.Hour, c.Hours = p.hour, p.hours
		if !p.hourly && !h.ended {
			hourly = true
			tx.Timer(proto.Time(hourOf(tx.Now())+1)*hourNS, timerKey(timerHours, id))
		}
	}
	said, err := proto.Marshal(&c)
	if err != nil { // no key is as long as that
		tx.Dead("claim: " + err.Error())
		return
	}
	sum := xxhash.Sum64(said)
	if sum == p.claimed && hourly == p.hourly {
		return
	}
	w := writeProfile(tx, id)
	w.hourly, w.hour, w.hours = hourly, p.hour, p.hours
	if sum == p.claimed {
		return
	}
	w.claimed = sum
	w.version++
	p.version = w.version
	c.Endpoint, c.Hour, c.Hours, c.Version = id, p.hour, p.hours, p.version
	val, err := proto.Marshal(&c)
	if err != nil {
		tx.Dead("claim: " + err.Error())
		return
	}
	tx.Emit(stream.Output{Topic: proto.TopicClaims, Kind: proto.KindClaim, Lane: proto.IdentityLane, Key: id[:], Value: val, Time: tx.Now()})
}

// keys are all that the endpoint may be known again by, sorted.
func (p *profile) keys(h *host) []proto.ClaimKey {
	var keys []proto.ClaimKey
	put := func(kind proto.ClaimKind, value string, since proto.Time) {
		if value == "" || slices.Contains(keys, proto.ClaimKey{Kind: kind, Value: value, Since: since}) {
			return
		}
		keys = append(keys, proto.ClaimKey{Kind: kind, Value: value, Since: since})
	}
	class := p.class(h)
	switch class {
	case proto.ClassAddress:
		put(proto.ClaimAddress, addrText(h.ip4), 0)
		put(proto.ClaimAddress, addrText(h.ip6), 0)
		put(proto.ClaimMAC, interfaceMAC(h.ip6).String(), 0)
	case proto.ClassMAC:
		if !sharedMAC(p.mac) {
			put(proto.ClaimMAC, p.mac.String(), 0)
		}
	}
	if class == proto.ClassMAC || class == proto.ClassLocal {
		p.owned(h, put)
		put(proto.ClaimVLAN, p.onlyVLAN(), 0)
	}
	p.names(put)
	slices.SortFunc(keys, func(a, b proto.ClaimKey) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Value, b.Value), cmp.Compare(a.Since, b.Since))
	})
	return keys
}

func addrText(ip netip.Addr) string {
	if !ip.IsValid() || ip.IsLinkLocalUnicast() || ip.IsLoopback() {
		return ""
	}
	return ip.String()
}

// owned puts the addresses that the endpoint has: of IPv4 the one of now and one that is
// used beside it, of IPv6 the latest few.
func (p *profile) owned(h *host, put func(proto.ClaimKind, string, proto.Time)) {
	recent := 0
	for i := range p.addresses {
		if a := &p.addresses[i]; a.ip.Is4() && h.last.Sub(a.first) < time.Hour {
			recent++
		}
	}
	if recent > maxChanges {
		return
	}
	six := 0
	for i := range slices.Backward(p.addresses) {
		a := &p.addresses[i]
		if a.owned == ownsNot || addrText(a.ip) == "" || a.ip.Is4() && !p.has4(h, i) || a.owned == ownsAnswers && p.latest(a.ip) != i {
			continue
		}
		if a.ip.Is6() {
			if six++; six > maxOwned6 {
				continue
			}
		}
		kind := proto.ClaimAnswers
		if a.owned >= ownsLeased {
			kind = proto.ClaimOwns
		}
		put(kind, a.ip.String(), a.first)
	}
}

// has4 reports that an IPv4 address that the endpoint had surely is still its own: it is
// the one of now, or is used beside that, as a server uses its second one.
func (p *profile) has4(h *host, at int) bool {
	a := &p.addresses[at]
	if a.ip != h.ip4 {
		i := p.latest(h.ip4)
		if i < 0 || a.last <= p.addresses[i].first || h.last.Sub(a.last) > besideFor {
			return false
		}
		for _, b := range p.addresses[at+1:] {
			if a.owned >= ownsLeased && b.owned >= ownsLeased && b.ip.Is4() && b.ip != a.ip { // it has moved
				return false
			}
		}
	}
	return a.owned != ownsAnswers || p.beside(at) <= maxBeside
}

// latest is the place of the latest epoch of an address, -1 for none.
func (p *profile) latest(ip netip.Addr) int {
	for i := range slices.Backward(p.addresses) {
		if p.addresses[i].ip == ip {
			return i
		}
	}
	return -1
}

// beside counts the other IPv4 addresses that the endpoint had while it had one. A
// server has two at times; who answers for more is often a router (proxy ARP, RFC 1027).
func (p *profile) beside(at int) int {
	a := &p.addresses[at]
	var others []netip.Addr
	for i := range p.addresses {
		b := &p.addresses[i]
		if b.ip.Is4() && b.ip != a.ip && b.first < a.last && a.first < b.last && !slices.Contains(others, b.ip) {
			others = append(others, b.ip)
		}
	}
	return len(others)
}

// onlyVLAN is the VLAN that the endpoint's own frames are in, "" where there are several.
func (p *profile) onlyVLAN() string {
	vlan := ""
	for i := range p.evidence {
		switch v := &p.evidence[i]; {
		case v.Attribute != attrVLAN || v.Value == vlan:
		case vlan != "":
			return ""
		default:
			vlan = v.Value
		}
	}
	return vlan
}

// names puts what the endpoint says of itself.
func (p *profile) names(put func(proto.ClaimKind, string, proto.Time)) {
	found := map[proto.ClaimKind][]string{}
	for i := range p.evidence {
		v := &p.evidence[i]
		kind, value := claimOf(v)
		if kind == 0 || value == "" || p.onBehalf(v.Protocol) || slices.Contains(found[kind], value) {
			continue
		}
		found[kind] = append(found[kind], value)
	}
	for _, port := range found[proto.ClaimMAC] { // of a switch, as it says itself
		put(proto.ClaimMAC, port, 0)
	}
	for kind := proto.ClaimSerial; kind <= proto.ClaimModel; kind++ {
		most := maxClaimed
		if kind == proto.ClaimSerial {
			most = 1
		}
		if len(found[kind]) > most || p.ofSeveral(kind) {
			continue
		}
		for _, v := range found[kind] {
			put(kind, v, 0)
		}
	}
}

// ofSeveral reports that an endpoint has said, one after the other, what is of two hosts:
// the MAC of a docking station is that of whichever notebook is in it.
func (p *profile) ofSeveral(kind proto.ClaimKind) bool {
	if kind != proto.ClaimHostname && kind != proto.ClaimDUID {
		return false
	}
	for i := range p.evidence {
		a := &p.evidence[i]
		is, one := claimOf(a)
		if is != kind || one == "" || anybody(one) || a.Protocol == "dns" || a.Protocol == "syslog" { // what others call it, and what it hands on
			continue
		}
		for j := range p.evidence[:i] {
			b := &p.evidence[j]
			also, other := claimOf(b)
			if also == kind && other != "" && !anybody(other) && a.Protocol == b.Protocol && a.First != b.First && (kind == proto.ClaimDUID && one != other || kind == proto.ClaimHostname && !sameName(one, other)) {
				return true
			}
		}
	}
	return false
}

// sameName reports that two names are forms of one: cut to the length of NetBIOS, or with
// the number that mDNS gives to a name that is taken (RFC 6762, 9).
func sameName(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	rest, is := strings.CutPrefix(b, a)
	number, is2 := strings.CutPrefix(rest, "-")
	return is && (rest == "" || len(a) >= netBIOSName || is2 && number != "" && strings.Trim(number, "0123456789") == "")
}

// onBehalf reports that what the endpoint says over a protocol may be of others: an
// archive hands on the images of scanners, an interface engine the results of analysers.
func (p *profile) onBehalf(protocol string) bool {
	has := func(attribute string, values ...string) bool {
		return slices.ContainsFunc(p.evidence, func(v proto.Evidence) bool { return v.Attribute == attribute && slices.Contains(values, v.Value) })
	}
	switch protocol {
	case "dicom", "dicomweb": // only who makes images asks for worklists and reports steps
		return !has("dicom_service", "worklist_scu", "mpps_scu") || has("dicom_service", "storage_scp", "query_retrieve_scp", "worklist_scp")
	case "hl7":
		return has("hl7_role", "receiver")
	}
	return false
}

// claimOf is what a piece of evidence is to the identity fold; 0 for nothing.
func claimOf(v *proto.Evidence) (proto.ClaimKind, string) {
	switch v.Attribute {
	case "serial":
		return proto.ClaimSerial, serialKey(v.Value)
	case "device_uid":
		return proto.ClaimUID, uidKey(v.Value)
	case "udi":
		if strings.Contains(v.Value, "(21)") { // with a serial number; else it is the model's
			return proto.ClaimUID, v.Value
		}
	case "eui64":
		return proto.ClaimUID, uidKey(v.Value)
	case "dhcp_duid":
		return proto.ClaimDUID, v.Value
	case "snmp_engine":
		return proto.ClaimEngine, v.Value
	case "port_mac":
		return proto.ClaimMAC, v.Value
	case "management_ip":
		return proto.ClaimManaged, v.Value
	case "hostname":
		name, _, _ := strings.Cut(strings.ToLower(v.Value), ".")
		return proto.ClaimHostname, name
	case "manufacturer":
		return proto.ClaimMaker, strings.ToLower(v.Value)
	case "model":
		return proto.ClaimModel, strings.ToLower(v.Value)
	}
	return 0, ""
}

// serialKey is a serial number as it is compared, "" for what can be none.
func serialKey(s string) string {
	var b []rune
	digits := false
	for _, r := range strings.ToUpper(s) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b = append(b, r)
			digits = digits || unicode.IsDigit(r)
		}
	}
	serial := string(b)
	if len(serial) < leastSerial || !digits || variety(serial) < 3 || strings.Contains(countedUp, serial) {
		return ""
	}
	return serial
}

// countedUp is what is typed where nobody knew what to type.
const countedUp = "0123456789ABCDEF"

// uidKey is an identifier as it is compared, "" for one that is too short, or that
// somebody has left as the example had it.
func uidKey(s string) string {
	s = strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(s, "urn:"), "uuid:"))
	bare := strings.ReplaceAll(s, "-", "")
	if len(bare) < 16 || variety(bare) < 6 || strings.HasPrefix(bare, "0123456789") || strings.HasPrefix(bare, "12345678") {
		return ""
	}
	return s
}

func variety(s string) int {
	n := 0
	for i := range len(s) {
		if strings.IndexByte(s, s[i]) == i {
			n++
		}
	}
	return n
}

// distinctive reports that a host name may be of one device: the name of a series
// of telephones is of many.
func distinctive(name string) bool {
	for _, series := range []string{"galaxy", "iphone", "ipad", "ipod", "pixel", "redmi", "huawei", "honor", "oneplus", "moto", "xperia", "localhost", "unknown", "android-phone"} {
		if strings.HasPrefix(name, series) {
			return false
		}
	}
	return len(name) >= 6 && strings.ContainsAny(name, "0123456789")
}

// anybody reports a name that is a maker's default, or that of a kind of device: many have it.
func anybody(name string) bool {
	switch name {
	case "localhost", "localdomain", "hostname", "host", "unknown", "default", "none", "null", "noname", "device", "node", "test", "admin", "root", "user", "client", "server",
		"ipcam", "ipcamera", "ip-camera", "ip_camera", "ipc", "camera", "cam", "netcam", "webcam", "dvr", "nvr", "printer", "scanner", "copier", "tv", "phone", "ipphone", "iphone", "ipad", "ipod",
		"tablet", "android", "linux", "debian", "ubuntu", "raspberrypi", "openwrt", "buildroot", "busybox", "embedded", "esp", "espressif", "arduino", "router", "switch", "gateway", "modem", "bridge",
		"ap", "accesspoint", "desktop", "laptop", "notebook", "pc", "computer", "workstation", "macbook", "imac", "nas", "ups", "plc", "hmi", "controller", "monitor", "pump", "sensor", "thermostat":
		return true
	}
	return false
}

// sharedMAC reports an address that routers share: of VRRP (RFC 9568 7.3), of HSRP version 1
// (RFC 2281 5.3), 2 and for IPv6, and of GLBP (Cisco's documentation of both).
func sharedMAC(m proto.MAC) bool {
	switch n := uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5]); {
	case n>>8 == 0x00005e0001, n>>8 == 0x00005e0002, n>>8 == 0x00000c07ac, n>>12 == 0x00000c9ff, n>>12 == 0x000573a00, n>>16 == 0x0007b400:
		return true
	}
	return false
}

// interfaceMAC reads the MAC out of an address that was made of one (RFC 4291
// appendix A), zero where it was not.
func interfaceMAC(ip netip.Addr) proto.MAC {
	if !ip.Is6() || ip.Is4In6() {
		return proto.MAC{}
	}
	b := ip.As16()
	if b[11] != 0xff || b[12] != 0xfe || b[8]&2 == 0 {
		return proto.MAC{}
	}
	return proto.MAC{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}
}

// grouping takes in which device the endpoint is part of.
func (e *Endpoint) grouping(tx *stream.Tx, g *proto.Grouping) {
	id := g.Endpoint
	if hosts.Get(tx, id[:]) == nil {
		return
	}
	if p := profiles.Get(tx, id[:]); p == nil || p.groupVersion >= g.Version {
		return
	}
	h := hosts.Edit(tx, id[:])
	tx = tx.As(max(g.Time, h.last), h.site, g.Domain)
	p := writeProfile(tx, id)
	before := p.groupOf(id)
	moved := before != g.Group
	shows := moved || p.since != g.Since || p.why != g.Why
	p.group, p.since, p.why, p.watched, p.groupVersion = g.Group, g.Since, g.Why, g.Watched, g.Version
	if g.Group == id {
		p.group = proto.ID{}
	}
	switch {
	case !h.spoke:
	case shows:
		if moved {
			e.leave(tx, id, h, p, before)
		}
		e.tell(tx, id, h, h.ended)
	default: // the device has nothing new to show, but its hours may be wanted now
		e.claim(tx, id, h, p)
	}
}

// leave tells a device that an endpoint is no longer part of it.
func (e *Endpoint) leave(tx *stream.Tx, id proto.ID, h *host, p *profile, left proto.ID) {
	p.version++
	s := &proto.Summary{
		Endpoint: id, Group: p.groupOf(id), Site: h.site, MAC: p.mac, FirstSeen: h.first, LastSeen: h.last, Version: p.version, Left: left, Why: p.why, Final: h.ended,
	}
	val, err := proto.Marshal(s)
	if err != nil { // nothing in a summary can fail to encode
		tx.Dead("summary: " + err.Error())
		return
	}
	tx.Emit(stream.Output{Topic: proto.TopicSummaries, Kind: proto.KindSummary, Lane: left.Lane(), Key: id[:], Value: val, Time: tx.Now()})
}

// groupOf is the device that the endpoint is part of.
func (p *profile) groupOf(id proto.ID) proto.ID {
	if p.group.IsZero() {
		return id
	}
	return p.group
}
