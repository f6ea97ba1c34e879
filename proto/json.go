package proto

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendJSON appends the device as json.Marshal writes it, at a fraction of the
// cost: a device is told with every summary of its endpoints.
func (d *Device) AppendJSON(b []byte) []byte {
	b = appendID(append(b, `{"device_id":`...), d.DeviceID)
	b = appendList(append(b, `,"aliases":`...), d.Aliases, appendID)
	b = appendText(append(b, `,"site":`...), d.Site)
	b = appendList(append(b, `,"macs":`...), d.MACs, appendText)
	b = appendList(append(b, `,"ips":`...), d.IPs, appendText)
	b = appendList(append(b, `,"hostnames":`...), d.Hostnames, appendText)
	b = appendList(append(b, `,"ae_titles":`...), d.AETitles, appendText)
	b = appendID(append(b, `,"gateway":`...), d.Gateway)
	b = appendFact(append(b, `,"category":`...), d.Category)
	b = appendFact(append(b, `,"type":`...), d.Type)
	b = appendFact(append(b, `,"manufacturer":`...), d.Manufacturer)
	b = appendFact(append(b, `,"model":`...), d.Model)
	b = appendFact(append(b, `,"os":`...), d.OS)
	b = appendFact(append(b, `,"os_version":`...), d.OSVersion)
	b = appendFact(append(b, `,"hardware_version":`...), d.HardwareVersion)
	b = appendFact(append(b, `,"software_version":`...), d.SoftwareVersion)
	b = appendFact(append(b, `,"serial":`...), d.Serial)
	b = appendFact(append(b, `,"location":`...), d.Location)
	b = appendBehaviour(append(b, `,"behaviour":`...), d.Behaviour)
	b = appendTime(append(b, `,"first_seen":`...), d.FirstSeen)
	b = appendTime(append(b, `,"last_seen":`...), d.LastSeen)
	b = appendText(append(b, `,"last_state":`...), d.LastState)
	b = appendList(append(b, `,"evidence":`...), d.Evidence, appendEvidence)
	b = appendList(append(b, `,"endpoints":`...), d.Endpoints, appendID)
	b = strconv.AppendUint(append(b, `,"version":`...), d.Version, 10)
	b = appendList(append(b, `,"attachments":`...), d.Attachments, appendAttachment)
	b = d.appendHuman(b)
	b = appendList(append(b, `,"contradictions":`...), d.Contradictions, appendContradiction)
	b = appendList(append(b, `,"joined":`...), d.Joined, appendJoined)
	return append(d.appendPlace(b), '}')
}

func appendJoined(b []byte, j Joined) []byte {
	b = appendText(append(appendID(append(b, `{"endpoint":`...), j.Endpoint), `,"why":`...), j.Why)
	b = append(b, `,"since":`...)
	if j.Since == nil {
		b = append(b, "null"...)
	} else {
		b = appendTime(b, *j.Since)
	}
	return append(b, '}')
}

// appendPlace appends what the hospital says of the device, and its life.
func (d *Device) appendPlace(b []byte) []byte {
	if d.Place == nil && d.Asset == nil && d.EndOfSupport == nil {
		b = append(b, `,"place":null,"asset":null,"end_of_support":null`...)
	} else {
		b = appendValue(append(b, `,"place":`...), d.Place)
		b = appendValue(append(b, `,"asset":`...), d.Asset)
		b = appendValue(append(b, `,"end_of_support":`...), d.EndOfSupport)
	}
	return appendList(append(b, `,"lifecycle_events":`...), d.LifecycleEvents, appendLifecycleEvent)
}

func appendLifecycleEvent(b []byte, e LifecycleEvent) []byte {
	b = appendTime(append(b, `{"time":`...), e.Time)
	b = appendText(append(b, `,"event":`...), e.Event)
	b = appendText(append(b, `,"reason":`...), e.Reason)
	return append(appendText(append(b, `,"by":`...), e.By), '}')
}

func appendValue(b []byte, v any) []byte {
	val, err := json.Marshal(v)
	if err != nil { // text and finite numbers always marshal
		val = []byte("null")
	}
	return append(b, val...)
}

// appendHuman appends what people say of the device, which is nothing for most.
func (d *Device) appendHuman(b []byte) []byte {
	if d.Edits == nil && d.Human == nil && d.Conflicts == nil && d.Notes == nil && d.Rating == nil {
		b = appendLabels(append(b, `,"human":[],"conflicts":[],"notes":[],"rating":null,"lifecycle":`...), d.Lifecycle)
		return append(b, `,"edits":null`...)
	}
	for _, f := range []struct {
		key   string
		value any
	}{{"human", d.Human}, {"conflicts", d.Conflicts}, {"notes", d.Notes}, {"rating", d.Rating}, {"lifecycle", d.Lifecycle}, {"edits", d.Edits}} {
		val, err := json.Marshal(f.value)
		if err != nil { // text and finite numbers always marshal
			val = []byte("null")
		}
		b = append(append(append(append(b, `,"`...), f.key...), `":`...), val...)
	}
	return b
}

// appendLabels appends labels in the order of their names.
func appendLabels(b []byte, l Labels) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(l)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(appendText(b, name), ':'), l[name])
	}
	return append(b, '}')
}

// AppendJSON appends the part with the keys of flows.jsonl, and allocates nothing:
// every flow is written once.
func (f *Flow) AppendJSON(b []byte) []byte {
	b = appendID(append(b, `{"flow_id":`...), f.FlowID)
	b = strconv.AppendUint(append(b, `,"part":`...), uint64(f.Part), 10)
	b = strconv.AppendBool(append(b, `,"final":`...), f.Final)
	b = appendText(append(b, `,"site":`...), f.Site)
	b = appendText(append(b, `,"sensor":`...), f.Sensor)
	b = appendTime(append(b, `,"start":`...), f.Start)
	b = appendTime(append(b, `,"end":`...), f.End)
	b = append(append(append(b, `,"transport":"`...), f.Transport.String()...), '"')
	b = appendAddr(append(b, `,"src_ip":`...), f.SrcIP)
	b = strconv.AppendUint(append(b, `,"src_port":`...), uint64(f.SrcPort), 10)
	b = appendMAC(append(b, `,"src_mac":`...), f.SrcMAC)
	b = strconv.AppendUint(append(b, `,"src_packets":`...), f.SrcPackets, 10)
	b = strconv.AppendUint(append(b, `,"src_bytes":`...), f.SrcBytes, 10)
	b = strconv.AppendUint(append(b, `,"src_payload_bytes":`...), f.SrcPayloadBytes, 10)
	b = appendAddr(append(b, `,"dst_ip":`...), f.DstIP)
	b = strconv.AppendUint(append(b, `,"dst_port":`...), uint64(f.DstPort), 10)
	b = appendMAC(append(b, `,"dst_mac":`...), f.DstMAC)
	b = strconv.AppendUint(append(b, `,"dst_packets":`...), f.DstPackets, 10)
	b = strconv.AppendUint(append(b, `,"dst_bytes":`...), f.DstBytes, 10)
	b = strconv.AppendUint(append(b, `,"dst_payload_bytes":`...), f.DstPayloadBytes, 10)
	b = appendVLAN(append(b, `,"vlan":`...), f.VLAN)
	b = appendVLAN(append(b, `,"vlan_inner":`...), f.VLANInner)
	b = appendList(append(b, `,"tunnel":`...), f.Tunnel, appendText)
	b = appendText(append(b, `,"state":`...), f.State)
	b = appendText(append(b, `,"protocol":`...), f.Protocol)
	b = appendText(append(b, `,"protocol_by":`...), f.ProtocolBy)
	b = appendList(append(b, `,"protocol_inner":`...), f.ProtocolInner, appendText)
	b = appendCommunityID(append(b, `,"community_id":`...), f.CommunityID)
	b = appendID(append(b, `,"src_device":`...), f.SrcDevice)
	b = appendID(append(b, `,"dst_device":`...), f.DstDevice)
	b = appendText(append(b, `,"duplicate_of_sensor":`...), f.DuplicateOfSensor)
	b = appendID(append(b, `,"src_endpoint":`...), f.SrcEndpoint)
	b = appendID(append(b, `,"dst_endpoint":`...), f.DstEndpoint)
	b = strconv.AppendBool(append(b, `,"src_inside":`...), f.SrcInside)
	b = strconv.AppendBool(append(b, `,"dst_inside":`...), f.DstInside)
	b = strconv.AppendUint(append(b, `,"src_retransmits":`...), uint64(f.SrcRetransmits), 10)
	b = strconv.AppendUint(append(b, `,"dst_retransmits":`...), uint64(f.DstRetransmits), 10)
	b = strconv.AppendUint(append(b, `,"src_resets":`...), uint64(f.SrcResets), 10)
	b = strconv.AppendUint(append(b, `,"dst_resets":`...), uint64(f.DstResets), 10)
	b = strconv.AppendUint(append(b, `,"src_zero_windows":`...), uint64(f.SrcZeroWindows), 10)
	b = strconv.AppendUint(append(b, `,"dst_zero_windows":`...), uint64(f.DstZeroWindows), 10)
	b = f.SrcRTT.appendJSON(append(b, `,"src_rtt_ms":`...))
	b = f.DstRTT.appendJSON(append(b, `,"dst_rtt_ms":`...))
	b = appendText(append(b, `,"first_payload":`...), f.FirstPayload)
	b = appendList(append(b, `,"path":`...), f.Path, appendText)
	b = f.SrcMessages.appendJSON(b, "src")
	b = f.DstMessages.appendJSON(b, "dst")
	return append(b, '}')
}

// appendJSON appends the five keys of a side's messages.
func (m *Messages) appendJSON(b []byte, side string) []byte {
	if m == nil {
		m = &Messages{}
	}
	key := func(b []byte, name string) []byte {
		return append(append(append(append(b, `,"`...), side...), name...), `":`...)
	}
	b = strconv.AppendUint(key(b, "_messages"), uint64(m.Count), 10)
	b = appendTimeOrNull(key(b, "_message_first"), m.First)
	b = appendTimeOrNull(key(b, "_message_last"), m.Last)
	b = m.Gaps.appendJSON(key(b, "_message_gap_ms"))
	return m.Sizes.appendJSON(key(b, "_message_bytes"))
}

func appendTimeOrNull(b []byte, t Time) []byte {
	if t == 0 {
		return append(b, "null"...)
	}
	return appendTime(b, t)
}

// AppendJSON appends the observation as json.Marshal writes it.
func (o *Observation) AppendJSON(b []byte) []byte {
	b = appendTime(append(b, `{"time":`...), o.Time)
	b = appendID(append(b, `,"observation_id":`...), o.ObservationID)
	b = appendText(append(b, `,"site":`...), o.Site)
	b = appendText(append(b, `,"sensor":`...), o.Sensor)
	b = appendID(append(b, `,"flow_id":`...), o.FlowID)
	b = appendID(append(b, `,"device":`...), o.Device)
	b = appendText(append(b, `,"protocol":`...), o.Protocol)
	b = appendText(append(b, `,"kind":`...), o.Kind)
	b = o.Attributes.AppendJSON(append(b, `,"attributes":`...))
	b = appendID(append(b, `,"endpoint":`...), o.Endpoint)
	b = appendAddr(append(b, `,"ip":`...), o.IP)
	b = appendMAC(append(b, `,"mac":`...), o.MAC)
	b = appendVLAN(append(b, `,"vlan":`...), o.VLAN)
	b = appendID(append(b, `,"gateway":`...), o.Gateway)
	b = appendID(append(b, `,"peer":`...), o.Peer)
	return append(appendText(append(b, `,"duplicate_of_sensor":`...), o.DuplicateOfSensor), '}')
}

// AppendJSON appends one object with sorted keys.
func (a Attributes) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	for i := range a {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, a[i].Name), ':')
		if a[i].List != nil {
			b = appendList(b, a[i].List, appendText)
		} else {
			b = appendText(b, a[i].Value)
		}
	}
	return append(b, '}')
}

// AppendJSON appends the score as json.Marshal writes it.
func (r *Risk) AppendJSON(b []byte) []byte {
	b = appendTime(append(b, `{"time":`...), r.Time)
	b = appendID(append(b, `,"device_id":`...), r.DeviceID)
	b = appendFloat(append(b, `,"score":`...), r.Score)
	b = appendText(append(b, `,"tier":`...), r.Tier)
	b = appendFloat(append(b, `,"likelihood":`...), r.Likelihood)
	b = appendFloat(append(b, `,"impact":`...), r.Impact)
	b = appendList(append(b, `,"factors":`...), r.Factors, appendFactor)
	b = appendText(append(b, `,"framework":`...), r.Framework)
	b = strconv.AppendUint(append(b, `,"version":`...), r.Version, 10)
	b = appendText(append(b, `,"cause":`...), r.Cause)
	b = appendText(append(b, `,"site":`...), r.Site)
	return append(appendID(append(b, `,"endpoint":`...), r.Endpoint), '}')
}

func appendFact(b []byte, f *Fact) []byte {
	if f == nil {
		return append(b, "null"...)
	}
	b = appendText(append(b, `{"value":`...), f.Value)
	b = appendFloat(append(b, `,"confidence":`...), f.Confidence)
	return append(appendList(append(b, `,"sources":`...), f.Sources, appendText), '}')
}

func appendAttachment(b []byte, a Attachment) []byte {
	b = appendText(append(b, `{"switch":`...), a.Switch)
	b = appendText(append(b, `,"port":`...), a.Port)
	b = appendText(append(b, `,"access_point":`...), a.AccessPoint)
	b = appendText(append(b, `,"ssid":`...), a.SSID)
	b = appendText(append(b, `,"controller":`...), a.Controller)
	b = appendText(append(b, `,"vlan":`...), a.VLAN)
	b = appendText(append(b, `,"source":`...), a.Source)
	b = appendTime(append(b, `,"first":`...), a.First)
	b = appendTime(append(b, `,"last":`...), a.Last)
	return append(appendFloat(append(b, `,"confidence":`...), a.Confidence), '}')
}

func appendBehaviour(b []byte, v *Behaviour) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	b = appendText(append(b, `{"label":`...), v.Label)
	b = appendFloat(append(b, `,"confidence":`...), v.Confidence)
	return append(appendList(append(b, `,"features":`...), v.Features, appendText), '}')
}

func appendEvidence(b []byte, v Evidence) []byte {
	b = appendText(append(b, `{"attribute":`...), v.Attribute)
	b = appendText(append(b, `,"value":`...), v.Value)
	b = appendText(append(b, `,"protocol":`...), v.Protocol)
	b = appendTime(append(b, `,"first":`...), v.First)
	b = appendTime(append(b, `,"last":`...), v.Last)
	b = strconv.AppendUint(append(b, `,"count":`...), v.Count, 10)
	return append(appendFloat(append(b, `,"weight":`...), v.Weight), '}')
}

func appendFactor(b []byte, f Factor) []byte {
	b = appendText(append(b, `{"name":`...), f.Name)
	b = appendFloat(append(b, `,"value":`...), f.Value)
	b = appendFloat(append(b, `,"share":`...), f.Share)
	b = appendText(append(b, `,"why":`...), f.Why)
	return append(appendList(append(b, `,"evidence":`...), f.Evidence, appendText), '}')
}

func appendList[T any](b []byte, list []T, each func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = each(b, v)
	}
	return append(b, ']')
}

func appendID(b []byte, id ID) []byte {
	if id.IsZero() {
		return append(b, "null"...)
	}
	return append(hex.AppendEncode(append(b, '"'), id[:]), '"')
}

// appendTime writes TimeLayout by hand: the standard library reads the layout
// anew each time.
func appendTime(b []byte, t Time) []byte {
	const day = 24 * 60 * 60
	seconds, ns := int64(t)/1e9, int64(t)%1e9
	if ns < 0 {
		seconds, ns = seconds-1, ns+1e9
	}
	days, clock := seconds/day, seconds%day
	if clock < 0 {
		days, clock = days-1, clock+day
	}
	y, m, d := civil(days)
	b = two(two(append(b, '"'), y/100), y%100)
	b = two(append(b, '-'), m)
	b = two(append(b, '-'), d)
	b = two(append(b, 'T'), clock/3600)
	b = two(append(b, ':'), clock/60%60)
	b = two(append(b, ':'), clock%60)
	b = nine(append(b, '.'), ns)
	return append(b, 'Z', '"')
}

// civil gives the date of a day since 1970-01-01 in the proleptic Gregorian
// calendar. It counts in years that begin in March, so that the leap day is the
// last, and in eras of 400 years, which are all alike.
func civil(days int64) (y, m, d int64) {
	const toMarch0, era = 719468, 146097 // days from 0000-03-01 to 1970-01-01, and in 400 years
	days += toMarch0
	eras := days / era
	if days < 0 {
		eras = (days - era + 1) / era
	}
	doe := days - eras*era                                 // day of the era
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365 // year of the era
	doy := doe - (365*yoe + yoe/4 - yoe/100)               // day of the year, from March on
	mp := (5*doy + 2) / 153
	y, m, d = yoe+400*eras, mp+3, doy-(153*mp+2)/5+1
	if m > 12 {
		y, m = y+1, m-12
	}
	return y, m, d
}

// twoDigits are 00 to 99.
const twoDigits = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// two appends v, below 100, with two digits.
func two(b []byte, v int64) []byte { return append(b, twoDigits[2*v], twoDigits[2*v+1]) }

// nine appends v, below 10^9, with nine digits.
func nine(b []byte, v int64) []byte {
	b = append(b, byte('0'+v/1e8))
	v %= 1e8
	b = two(two(b, v/1e6), v/1e4%100)
	return two(two(b, v/100%100), v%100)
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Zone() != "" { // may be any text
		return appendText(b, a.String())
	}
	b = append(b, '"')
	if a.IsValid() {
		b = a.AppendTo(b)
	}
	return append(b, '"')
}

func appendMAC(b []byte, m MAC) []byte {
	if m.IsZero() {
		return append(b, `""`...)
	}
	const hexadecimal = "0123456789abcdef"
	for i, v := range m {
		b = append(b, `":::::`[i], hexadecimal[v>>4], hexadecimal[v&15])
	}
	return append(b, '"')
}

func appendVLAN(b []byte, v VLAN) []byte {
	if v == 0 {
		return append(b, "null"...)
	}
	return strconv.AppendUint(b, uint64(v), 10)
}

func appendCommunityID(b []byte, c CommunityID) []byte {
	if c == (CommunityID{}) {
		return append(b, `""`...)
	}
	return append(base64.StdEncoding.AppendEncode(append(b, `"1:`...), c[:]), '"')
}

// appendText leaves to encoding/json whatever must be escaped.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			if val, err := json.Marshal(s); err == nil { // text always marshals
				return append(b, val...)
			}
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// plain are the bytes that stand for themselves in encoding/json's text.
var plain = func() (list [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		list[c] = !strings.ContainsRune(`"\<>&`, rune(c))
	}
	return list
}()

// appendFloat writes the shortest form; what JSON has no word for is null.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		if val, err := json.Marshal(f); err == nil {
			return append(b, val...)
		}
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}
