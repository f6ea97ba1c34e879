package peers

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ArkimeSession is what Arkime's own tests expect of one session.
type ArkimeSession struct {
	IPProtocol  int `json:"ipProtocol"`
	Protocol    []string
	Source      arkimeEnd
	Destination arkimeEnd
	Network     struct {
		CommunityID string `json:"community_id"`
	}
	Cert []arkimeCert
	DNS  []arkimeDNS

	fields map[string]json.RawMessage
}

type arkimeEnd struct {
	IP      string
	Port    uint16
	Packets uint64
}

type arkimeCert struct {
	IssuerCN, IssuerON, SubjectCN, SubjectON, Alt []string
	NotBefore, NotAfter                           int64
	Serial                                        string
}

type arkimeDNS struct {
	Host      []string
	OpCode    string
	QC, QT    string
	Status    string
	QueryHost string
}

// UnmarshalJSON keeps all fields beside those that are named.
func (x *ArkimeSession) UnmarshalJSON(b []byte) error {
	type plain ArkimeSession
	if err := json.Unmarshal(b, (*plain)(x)); err != nil {
		return err
	}
	return json.Unmarshal(b, &x.fields)
}

// values are those of a field such as tls.ja3, as text.
func (x *ArkimeSession) values(path string) []string {
	group, name, ok := strings.Cut(path, ".")
	raw := x.fields[group]
	if ok {
		var m map[string]json.RawMessage
		if json.Unmarshal(raw, &m) != nil {
			return nil
		}
		raw = m[name]
	}
	var list []any
	if json.Unmarshal(raw, &list) != nil {
		var one any
		if json.Unmarshal(raw, &one) != nil || one == nil {
			return nil
		}
		list = []any{one}
	}
	var out []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case float64:
			out = append(out, strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
	return out
}

// ends are the session's.
func (x *ArkimeSession) ends() (e Ends, src netip.AddrPort, ok bool) {
	a, err1 := netip.ParseAddr(x.Source.IP)
	b, err2 := netip.ParseAddr(x.Destination.IP)
	if err1 != nil || err2 != nil {
		return e, src, false
	}
	e = EndsOf(transportName(x.IPProtocol), netip.AddrPortFrom(a, x.Source.Port), netip.AddrPortFrom(b, x.Destination.Port))
	src = netip.AddrPortFrom(a, x.Source.Port)
	if e.A.Port() == 0 && e.B.Port() == 0 {
		src = netip.AddrPortFrom(a, 0)
	}
	return e, src, true
}

func transportName(n int) string {
	switch n {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 58:
		return "icmp6"
	case 132:
		return "sctp"
	}
	return strconv.Itoa(n)
}

// Arkime reads the sessions of a *.test.
func Arkime(path string) ([]ArkimeSession, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read Arkime's test: %w", err)
	}
	var want struct {
		Sessions3, Sessions2 []struct{ Body ArkimeSession }
	}
	if err := json.Unmarshal(b, &want); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var list []ArkimeSession
	for _, s := range want.Sessions3 {
		list = append(list, s.Body)
	}
	return list, nil
}

// ArkimeTests are the tests of Arkime below the folder of captures, by capture.
func ArkimeTests(captures string) (map[string]string, error) {
	list, err := filepath.Glob(filepath.Join(captures, "arkime", "pcap", "*.test"))
	if err != nil {
		return nil, fmt.Errorf("look for Arkime's tests: %w", err)
	}
	m := map[string]string{}
	for _, path := range list {
		base := strings.TrimSuffix(path, ".test")
		for _, ext := range []string{".pcap", ".pcapng"} {
			if _, err := os.Stat(base + ext); err == nil {
				m["arkime/pcap/"+filepath.Base(base)+ext] = path
				break
			}
		}
	}
	return m, nil
}

// CompareArkime compares a capture's flows and facts with Arkime's sessions.
func (r *Report) CompareArkime(o *Observed, list []ArkimeSession) {
	sum, ids := map[Ends]*[2]uint64{}, map[Ends]string{}
	var order []Ends
	for i := range list {
		x := &list[i]
		e, src, ok := x.ends()
		if !ok {
			continue
		}
		s := sum[e]
		if s == nil {
			s = new([2]uint64)
			sum[e], ids[e] = s, x.Network.CommunityID
			order = append(order, e)
		}
		side := 0
		if src != e.A {
			side = 1
		}
		s[side] += x.Source.Packets
		s[1-side] += x.Destination.Packets
		r.arkimeFields(o, e, x)
	}
	for _, e := range order {
		r.packets("Arkime", o, e, *sum[e])
		if id := ids[e]; id != "" {
			var ours []string
			for _, f := range o.Flows[e] {
				ours = append(ours, f.CommunityID)
			}
			r.want("Arkime", "community_id", o, o.where(e), id, ours)
		}
	}
}

// arkimeFields are the fields that are compared: Arkime's, and ours.
var arkimeFields = []struct {
	path      string
	protocol  string
	kind      string
	attribute string
	convert   func(string) string
}{
	{"tls.ja3", "tls", "", "ja3", nil},
	{"tls.ja3s", "tls", "", "ja3s", nil},
	{"tls.ja4", "tls", "", "ja4", nil},
	{"tls.cipher", "tls", "", "cipher", nil},
	{"http.useragent", "http", "", "user_agent", nil},
	{"http.authType", "http", "", "auth", nil},
	{"quic.version", "quic", "", "quic_version", nil},
	{"quic.useragent", "quic", "", "user_agent", nil},
	{"ssh.hassh", "ssh", "", "hassh", nil},
	{"ssh.hasshServer", "ssh", "", "hassh_server", nil},
	{"smb.os", "smb", "", "native_os", nil},
	{"smb.version", "smb", "", "native_lan_manager", nil},
	{"smb.domain", "smb", "", "netbios_domain", nil},
	{"smb.host", "smb", "", "computer_name", nil},
	{"ntlm.domain", "", "", "netbios_domain", nil},
	{"ntlm.host", "", "", "computer_name", nil},
	{"dhcp.host", "dhcp", "", "hostname", nil},
	{"dhcp.classId", "dhcp", "", "vendor_class", nil},
	{"dhcp.mac", "dhcp", "", MAC, nil},
	{"snmp.version", "snmp", "", "snmp_version", snmpVersion},
	{"snmp.type", "snmp", "", Kind, snmpKind},
	{"snmp.secLevel", "snmp", "", "security_level", snmpLevel},
	{"snmp.trapOid", "snmp", "", "trap_id", nil},
	{"snmp.engineId", "snmp", "", "engine_id", nil},
	{"modbus.funccode", "modbus", "transactions", "functions", modbusFunction},
	{"modbus.unitid", "modbus", "transactions", "units", nil},
}

func (r *Report) arkimeFields(o *Observed, e Ends, x *ArkimeSession) {
	facts := o.Of(e)
	for _, f := range arkimeFields {
		for _, v := range x.values(f.path) {
			if f.convert != nil {
				v = f.convert(v)
			}
			if v == "" {
				continue
			}
			field := strings.TrimPrefix(f.protocol+" "+f.attribute, " ")
			r.want("Arkime", field, o, o.where(e), v, counted(Values(facts, f.protocol, f.kind, f.attribute)))
		}
	}
	for i := range x.DNS {
		d := &x.DNS[i]
		r.name("Arkime", o, e, d.QueryHost)
		for _, x := range [][2]string{{"qtype", d.QT}, {"rcode", dnsCode(d.Status)}} {
			if x[1] != "" {
				r.want("Arkime", "dns "+x[0], o, o.where(e), x[1], Values(facts, "dns", "", x[0]))
			}
		}
	}
	r.arkimeHosts(o, e, x)
	r.arkimeCertificate(o, e, x)
}

// arkimeHosts: for Arkime the name in TLS or QUIC is a host of HTTP too, and it
// keeps the port.
func (r *Report) arkimeHosts(o *Observed, e Ends, x *ArkimeSession) {
	facts := o.Of(e)
	ours := append(Values(facts, "http", "", "host"), Values(facts, "", "", "sni")...)
	for _, h := range append(x.values("http.host"), x.values("quic.host")...) {
		if host, _, err := net.SplitHostPort(h); err == nil {
			h = host
		}
		if h != "" {
			r.want("Arkime", "host and sni", o, o.where(e), h, ours)
		}
	}
}

// arkimeCertificate looks for our certificate, which is the first of the chain, in
// Arkime's, which has names in lower case.
func (r *Report) arkimeCertificate(o *Observed, e Ends, x *ArkimeSession) {
	if len(x.Cert) == 0 {
		return
	}
	facts := o.Of(e)
	get := func(attribute string) []string { return Values(facts, "", "certificate", attribute) }
	serials := get("certificate_serial")
	var c *arkimeCert
	for i := range x.Cert {
		if slices.Contains(serials, strings.TrimPrefix(x.Cert[i].Serial, "00")) {
			c = &x.Cert[i]
		}
	}
	if c == nil {
		r.want("Arkime", "tls certificate_serial", o, o.where(e), strings.TrimPrefix(x.Cert[0].Serial, "00"), serials)
		return
	}
	same := func(attribute string, want []string) {
		for _, w := range want {
			var ours []string
			for _, v := range get(attribute) {
				ours = append(ours, strings.ToLower(v))
			}
			r.want("Arkime", "tls "+attribute, o, o.where(e), strings.ToLower(w), ours)
		}
	}
	same("certificate_subject", c.SubjectCN)
	same("certificate_issuer", c.IssuerCN)
	same("certificate_organization", c.SubjectON[:min(len(c.SubjectON), 1)])
	same("certificate_issuer_organization", c.IssuerON[:min(len(c.IssuerON), 1)])
	same("certificate_names", c.Alt[:min(len(c.Alt), 32)])
	same("certificate_not_before", []string{time.UnixMilli(c.NotBefore).UTC().Format(time.RFC3339)})
	same("certificate_not_after", []string{time.UnixMilli(c.NotAfter).UTC().Format(time.RFC3339)})
}

// where names a flow, with our label of it.
func (o *Observed) where(e Ends) string { return e.String() + " (ours: " + o.called(e) + ")" }
