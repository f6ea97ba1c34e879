package fingerprint

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// How rows with evidence are packed. Half of such a row was names of attributes and
// protocols, and most of the rest times that are the same few over and over: what one
// message says has one time. So a text is the number of a word, of a text that came
// earlier in the row, or itself; and a time is the number of one that came earlier, or
// the distance from the one that was new last.

// words are the texts that have numbers, by their place. New ones go to the end: rows on
// disk have the numbers.
var words = strings.Fields(`
	ip hostname dhcp tls arp hl7 dicom tcp server client dns http ja3 ja4 tls_sni serial model manufacturer software_version location
	dhcp_vendor_class dhcp_parameter_list ae_title equipment_type equipment_id intellivue mdns ssdp snmp smb behaviour module
	dicom_modality dicom_service hl7_role hl7_application hl7_facility hl7_profile tcp_stack tcp_stack_server user_agent
	dicom_implementation_uid dicom_implementation_version station_name institution department os os_version hardware_version
	dhcp_client_arch dhcp_product dhcp_duid dhcpv6_parameter_list dhcpv6 access ae application application_version asset_id
	bacnet_device bacnet_role build category cdp_capability certificate_issuer certificate_organization certificate_subject
	cip_device_type clinical_role cpu darwin_version description device_description device_uid directory_level
	directory_version domain eui64 firmware_version fox_application ftp_banner hap_category hassh hassh_server host_os
	http_powered_by http_realm http_server hue_bridge imap_banner knx_medium last_calibration lldp_capability lldp_class
	management_ip mdns_product mdns_service model_name model_number mud_url native_os netbios_role ntlm_version ntp_system
	object_name opcua_application oui_vendor part_number platform pop3_banner port_mac product_name profinet_role rtsp_realm
	rtsp_server server_software sip_agent smtp_banner snmp_engine snmp_enterprise snmp_object_id software_product
	software_vendor ssh_software syslog_form system_description telnet_banner type udi upnp_device upnp_server vnc_version
	wsd_type attachment vlan behaviour_feature alaris amqp astm bacnet carescape cdp dcerpc dicomweb dnp3 enip fdp fhir fox
	ftp hart_ip iec104 imap ipp jetdirect kerberos knx ldap lldp llmnr lpd medibus mms modbus mqtt mysql netbios nfs ntp opcua
	oracle poct1a pop3 postgresql profinet quic radius rdp rpc rtp rtsp s7comm sdc sip smtp ssh syslog tds telnet tftp upnp
	vnc ws_discovery x11 802.1q ndp igmp icmp unknown idle in_use offline exam infusion monitoring test completed
	discontinued true false storage_scu storage_scp worklist_scu mpps_scu query_retrieve_scp receiver sender_equipment live`)

// wordNumbers finds a word's number.
var wordNumbers = func() map[string]int {
	m := make(map[string]int, len(words))
	for i, w := range words {
		if _, twice := m[w]; twice {
			panic("fingerprint: a word twice: " + w) // a programming error, found by any test
		}
		m[w] = i
	}
	return m
}()

// What a text is, in the two lowest bits of its head.
const (
	textItself  = iota // the head's rest is its length
	textWord           // the number of a word
	textBefore         // the number of a text of the row
	textAddress        // the number of an address of the row, as text
)

// packer writes a row.
type packer struct {
	b     []byte
	texts []string
	times []proto.Time
	ips   []netip.Addr
}

func (p *packer) uint(n uint64) { p.b = stream.AppendUint(p.b, n) }

func (p *packer) text(s string) {
	if n, ok := wordNumbers[s]; ok {
		p.uint(uint64(n)<<2 | textWord)
		return
	}
	if n := slices.Index(p.texts, s); n >= 0 {
		p.uint(uint64(n)<<2 | textBefore)
		return
	}
	p.uint(uint64(len(s)) << 2)
	p.b = append(p.b, s...)
	if s != "" {
		if p.texts == nil {
			p.texts = make([]string, 0, usual)
		}
		p.texts = append(p.texts, s)
	}
}

// address writes one that text values may name.
func (p *packer) address(ip netip.Addr) {
	p.b = appendAddr(p.b, ip)
	p.ips = append(p.ips, ip)
}

// value writes a text that may be that of an address.
func (p *packer) value(attribute, s string) {
	if attribute == "ip" {
		for i, ip := range p.ips {
			if ip.String() == s {
				p.uint(uint64(i)<<2 | textAddress)
				return
			}
		}
	}
	p.text(s)
}

// time writes 0 and the distance from the one that was new last, or how many new ones
// ago it was written, from 1 on.
func (p *packer) time(t proto.Time) {
	last := proto.Time(0)
	for i := range slices.Backward(p.times) {
		if p.times[i] == t {
			p.uint(uint64(len(p.times) - i))
			return
		}
	}
	if n := len(p.times); n > 0 {
		last = p.times[n-1]
	}
	if p.times == nil {
		p.times = make([]proto.Time, 0, usual)
	}
	p.b = stream.AppendInt(append(p.b, 0), int64(t-last))
	p.times = append(p.times, t)
}

// moment writes a time that may be none, which would make the next a long way off.
func (p *packer) moment(t proto.Time) {
	if t == 0 {
		p.uint(math.MaxUint8)
		return
	}
	p.time(t)
}

// evidence writes a list. It keeps four decimals of a weight; no more are ever given.
func (p *packer) evidence(list []proto.Evidence) {
	p.uint(uint64(len(list)))
	for i := range list {
		v := &list[i]
		p.text(v.Attribute)
		p.value(v.Attribute, v.Value)
		p.text(v.Protocol)
		p.time(v.First)
		p.time(v.Last)
		p.uint(v.Count)
		p.uint(uint64(math.Round(v.Weight * 1e4)))
	}
}

// unpacker reads a row.
type unpacker struct {
	*stream.Decoder
	texts []string
	times []proto.Time
	ips   []netip.Addr
	err   error
}

// usual is how many texts, and times, most rows have at most.
const usual = 16

func newUnpacker(b []byte) *unpacker {
	return &unpacker{Decoder: stream.NewTextDecoder(b), texts: make([]string, 0, usual), times: make([]proto.Time, 0, usual)}
}

// failed is the first error.
func (u *unpacker) failed() error {
	if err := u.Err(); err != nil {
		return err
	}
	return u.err
}

func (u *unpacker) none(what string, n uint64) {
	if u.err == nil {
		u.err = fmt.Errorf("a row has no %s of number %d", what, n)
	}
}

func (u *unpacker) text() string {
	head := u.Uint()
	n := head >> 2
	switch head & 3 {
	case textWord:
		if n < uint64(len(words)) {
			return words[n]
		}
		u.none("word", n)
	case textBefore:
		if n < uint64(len(u.texts)) {
			return u.texts[n]
		}
		u.none("text", n)
	case textAddress:
		if n < uint64(len(u.ips)) {
			return u.ips[n].String()
		}
		u.none("address", n)
	default:
		if n == 0 {
			return ""
		}
		s := u.Text(n)
		u.texts = append(u.texts, s)
		return s
	}
	return ""
}

func (u *unpacker) address() netip.Addr {
	ip := readAddr(u.Decoder)
	u.ips = append(u.ips, ip)
	return ip
}

func (u *unpacker) time() proto.Time {
	last, ago := len(u.times), u.Uint()
	switch {
	case ago > uint64(last):
		u.none("time", ago)
		return 0
	case ago > 0:
		return u.times[last-int(ago)]
	}
	t := proto.Time(u.Int())
	if last > 0 {
		t += u.times[last-1]
	}
	u.times = append(u.times, t)
	return t
}

func (u *unpacker) moment() proto.Time {
	if mark := *u.Decoder; mark.Uint() == math.MaxUint8 {
		u.Uint()
		return 0
	}
	return u.time()
}

func (u *unpacker) evidence() []proto.Evidence {
	n := u.Uint()
	if n == 0 {
		return nil
	}
	list := make([]proto.Evidence, 0, min(n, maxEvidence+maxAddresses+1))
	for ; n > 0 && u.More(); n-- {
		v := proto.Evidence{Attribute: u.text(), Value: u.text(), Protocol: u.text(), First: u.time(), Last: u.time(), Count: u.Uint()}
		v.Weight = float64(u.Uint()) / 1e4
		list = append(list, v)
	}
	return list
}
