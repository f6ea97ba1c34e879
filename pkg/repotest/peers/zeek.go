package peers

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Log is a log of Zeek's: rows of columns.
type Log struct {
	Capture string
	Path    string // below the folder of captures
	columns []string
	rows    [][]string
}

// Row is one line of a log.
type Row struct {
	log    *Log
	values []string
}

// Get is the value of a column; "" where it is unset.
func (r Row) Get(column string) string {
	i := slices.Index(r.log.columns, column)
	if i < 0 || i >= len(r.values) || r.values[i] == "-" || r.values[i] == "(empty)" {
		return ""
	}
	return r.values[i]
}

// Has reports a column.
func (l *Log) Has(column string) bool { return slices.Contains(l.columns, column) }

// Rows are all lines.
func (l *Log) Rows() []Row {
	var list []Row
	for _, v := range l.rows {
		list = append(list, Row{l, v})
	}
	return list
}

// ReadLog reads a log with its head (#fields), or one whose first line names the
// columns (zeek-cut -m).
func ReadLog(path string) (*Log, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	l := &Log{}
	for line := range strings.Lines(string(b)) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case row[0] == "#fields":
			l.columns = row[1:]
		case strings.HasPrefix(line, "#"):
		case l.columns == nil && slices.ContainsFunc(row, func(s string) bool { return s == "ts" || s == "uid" || s == "id.orig_h" }):
			l.columns = row
		case l.columns != nil:
			l.rows = append(l.rows, row)
		}
	}
	return l, nil
}

// ends are those of a row; the transport is known from another column, or given.
func (r Row) ends(transport string) (Ends, netip.AddrPort, bool) {
	a, err1 := netip.ParseAddr(r.Get("id.orig_h"))
	b, err2 := netip.ParseAddr(r.Get("id.resp_h"))
	p, err3 := strconv.ParseUint(r.Get("id.orig_p"), 10, 16)
	q, err4 := strconv.ParseUint(r.Get("id.resp_p"), 10, 16)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return Ends{}, netip.AddrPort{}, false
	}
	if v := r.Get("proto"); v != "" {
		transport = v
	}
	if transport == "icmp" && a.Is6() {
		transport = "icmp6"
	}
	if transport == "unknown_transport" {
		transport = r.Get("ip_proto")
	}
	src := netip.AddrPortFrom(a, uint16(p))
	e := EndsOf(transport, src, netip.AddrPortFrom(b, uint16(q)))
	if e.A.Port() == 0 && e.B.Port() == 0 {
		src = netip.AddrPortFrom(a, 0)
	}
	return e, src, true
}

// ZeekLogs are the logs that Zeek's tests and ICSNPP's expect, with their capture.
func ZeekLogs(captures string) ([]*Log, error) {
	b, err := os.ReadFile(filepath.Join(captures, "zeek", "TRACE_TO_BASELINE.csv"))
	if err != nil {
		return nil, fmt.Errorf("read the list of Zeek's baselines: %w", err)
	}
	var list []*Log
	seen := map[string]bool{}
	for i, line := range strings.Split(string(b), "\n") {
		parts := strings.SplitN(line, ",", 3)
		if i == 0 || len(parts) < 3 {
			continue
		}
		for _, base := range strings.Fields(parts[2]) {
			path := "zeek/" + base
			if name := filepath.Base(base); !strings.Contains(name, ".log") && !strings.HasSuffix(name, ".cut") || strings.HasSuffix(name, ".json") || seen[parts[0]+path] {
				continue
			}
			seen[parts[0]+path] = true
			l, err := ReadLog(filepath.Join(captures, filepath.FromSlash(path)))
			if err != nil || len(l.rows) == 0 {
				continue // several tests' baselines are not there
			}
			l.Capture, l.Path = "zeek/Traces/"+parts[0], path
			list = append(list, l)
		}
	}
	return list, nil
}

// Name is the log's, as conn, dns, ssl.
func (l *Log) Name() string {
	name, _, _ := strings.Cut(filepath.Base(l.Path), ".log")
	if i := strings.LastIndexByte(name, '.'); i >= 0 && !strings.HasSuffix(name, ".cut") {
		name = name[i+1:] // krb.ldap.log
	}
	name, _, _ = strings.Cut(name, ".")
	name, _, _ = strings.Cut(name, "-")
	return name
}

// zeekColumns are the columns that are compared, by log.
var zeekColumns = map[string][]zeekColumn{
	"ssl": {
		{"version", "tls", "server_hello", "tls_version", zeekTLSVersion},
		{"cipher", "tls", "server_hello", "cipher", nil},
		{"server_name", "tls", "client_hello", "sni", zeekName},
		{"next_protocol", "tls", "server_hello", "alpn", nil},
		{"cert_chain_fps", "tls", "certificate", "certificate_sha256", sha256Of},
	},
	"http": {
		{"host", "http", "request", "host", hostName},
		{"user_agent", "http", "request", "user_agent", nil},
	},
	"ssh": {
		{"client", "ssh", "banner", "software", sshSoftware},
		{"server", "ssh", "banner", "software", sshSoftware},
	},
	"modbus": {
		{"func", "modbus", "transactions", "functions", zeekModbus},
		{"exception", "modbus", "exception", "exception", strings.ToLower},
	},
	"modbus_detailed": {
		{"func", "modbus", "transactions", "functions", zeekModbus},
		{"unit", "modbus", "transactions", "units", nil},
	},
	"dns": {
		{"qtype_name", "dns", "", "qtype", zeekType},
		{"rcode_name", "dns", "response", "rcode", dnsCode},
		{"AA", "dns", "response", "authoritative", zeekTrue},
		{"TC", "dns", "response", "truncated", zeekTrue},
		{"RA", "dns", "response", "recursion", zeekTrue},
	},
	"snmp": {
		{"version", "snmp", "", "snmp_version", snmpVersion},
	},
	"bacnet_discovery": {
		{"pdu_service", "bacnet", "", Kind, underscored},
		{"vendor", "bacnet", "i_am", "vendor", plainVendor},
		{"device_id_number", "bacnet", "i_have", "device_instance", nil},
	},
	"bacnet_device_control": {
		{"device_state", "bacnet", "", "state", underscored},
		{"pdu_service", "bacnet", "", Kind, underscored},
	},
	"ntlm": {
		{"username", "", "ntlm_authenticate", "account", account},
		{"hostname", "", "ntlm_authenticate", "computer_name", nil},
		{"domainname", "", "ntlm_authenticate", "netbios_domain", nil},
		{"server_nb_computer_name", "", "ntlm_challenge", "computer_name", nil},
		{"server_dns_computer_name", "", "ntlm_challenge", "dns_computer_name", nil},
		{"server_tree_name", "", "ntlm_challenge", "dns_forest", nil},
	},
}

// zeekServices are ours for Zeek's names of services.
var zeekServices = map[string]string{
	"ftp": "ftp", "ftp-data": "ftp_data", "smtp": "smtp", "pop3": "pop3", "imap": "imap", "krb": "kerberos", "krb_tcp": "kerberos", "ldap_tcp": "ldap", "ldap_udp": "ldap", "rdp": "rdp", "radius": "radius", "rfb": "vnc",
	"dce_rpc": "dcerpc", "sip": "sip", "mqtt": "mqtt", "socks": "socks", "xmpp": "xmpp", "irc": "irc", "smb": "smb", "rdpeudp": "rdp",
}

// zeekService compares the label with the services of a row, those apart that Zeek
// took back ("-ssl"): one of them must be ours.
func (r *Report) zeekService(o *Observed, row Row, peer string) {
	e, _, ok := row.ends("")
	if !ok || len(o.Flows[e]) == 0 {
		return
	}
	var want []string
	for _, service := range strings.Split(row.Get("service"), ",") {
		if n := zeekServices[service]; n != "" {
			want = append(want, n)
		}
	}
	if len(want) == 0 {
		return
	}
	ours, by := o.Label(e)
	if by == "port" {
		ours = ""
	}
	if slices.Contains(want, ours) {
		want[0] = ours
	}
	r.want(peer, "service", o, o.where(e), want[0], []string{ours})
}

type zeekColumn struct {
	column, protocol, kind, attribute string
	convert                           func(string) string
}

// CompareZeek compares a capture's flows and facts with a log. A test may have more
// than one trace: elsewhere tells of flows that another has.
func (r *Report) CompareZeek(o *Observed, l *Log, peer string, elsewhere func(Ends) bool) {
	name := l.Name()
	if name == "conn" && l.Has("orig_pkts") && l.Has("resp_pkts") && l.Has("id.orig_h") {
		r.zeekConn(o, l, peer, elsewhere)
	}
	if name == "conn" && l.Has("service") && l.Has("id.orig_h") {
		for _, row := range l.Rows() {
			r.zeekService(o, row, peer)
		}
	}
	if name == "dhcp" {
		r.zeekDHCP(o, l, peer)
	}
	columns := append(slices.Clip(zeekColumns[name]), serviceColumns[name]...)
	if len(columns) == 0 || !l.Has("id.orig_h") {
		return
	}
	for _, row := range l.Rows() {
		for _, transport := range []string{"tcp", "udp"} {
			e, _, ok := row.ends(transport)
			if !ok || len(o.Flows[e]) == 0 {
				continue
			}
			if name == "dns" {
				r.name(peer, o, e, row.Get("query"))
			}
			for _, c := range columns {
				v := row.Get(c.column)
				if name == "ntp" {
					v = zeekNTP(c.column, row)
				}
				if c.convert != nil && v != "" {
					v = c.convert(v)
				}
				if v == "" {
					continue
				}
				field := strings.TrimPrefix(c.protocol+" "+c.attribute, " ")
				protocol := c.protocol
				if protocol == "tls" && transport == "udp" {
					protocol = "" // QUIC, DTLS
				}
				r.want(peer, field, o, o.where(e), v, ourWords(c.attribute, Values(o.Of(e), protocol, c.kind, c.attribute)))
			}
		}
	}
}

// zeekConn compares packets by direction, over all connections with the same ends.
func (r *Report) zeekConn(o *Observed, l *Log, peer string, elsewhere func(Ends) bool) {
	sum := map[Ends]*[2]uint64{}
	var order []Ends
	for _, row := range l.Rows() {
		e, src, ok := row.ends("")
		if !ok || len(o.Flows[e]) == 0 && elsewhere(e) {
			continue
		}
		orig, err1 := strconv.ParseUint(row.Get("orig_pkts"), 10, 64)
		resp, err2 := strconv.ParseUint(row.Get("resp_pkts"), 10, 64)
		if err1 != nil || err2 != nil || orig+resp == 0 { // the test has them not counted
			continue
		}
		s := sum[e]
		if s == nil {
			s = new([2]uint64)
			sum[e] = s
			order = append(order, e)
		}
		side := 0
		if src != e.A {
			side = 1
		}
		s[side] += orig
		s[1-side] += resp
	}
	for _, e := range order {
		r.packets(peer, o, e, *sum[e])
	}
}

// zeekDHCP compares the rows of dhcp.log, which do not say between whom.
func (r *Report) zeekDHCP(o *Observed, l *Log, peer string) {
	for _, row := range l.Rows() {
		for _, c := range []zeekColumn{
			{"mac", "dhcp", "", MAC, nil},
			{"host_name", "dhcp", "", "hostname", nil},
			{"domain", "dhcp", "", "domain", nil},
			{"client_fqdn", "dhcp", "", "fqdn", nil},
			{"requested_addr", "dhcp", "", "requested_ip", nil},
			{"assigned_addr", "dhcp", "", "ip", nil},
			{"lease_time", "dhcp", "", "lease_s", seconds},
			{"msg_types", "dhcp", "", Kind, strings.ToLower},
			{"server_addr", "dhcp", "", "server_id", nil},
			{"circuit_id", "dhcp", "", "circuit_id", nil},
			{"agent_remote_id", "dhcp", "", "remote_id", zeekBytes},
		} {
			for _, v := range strings.Split(row.Get(c.column), ",") {
				if c.convert != nil {
					v = c.convert(v)
				}
				if v != "" {
					r.want(peer, "dhcp "+c.attribute, o, "capture", v, Values(o.Facts, c.protocol, c.kind, c.attribute))
				}
			}
		}
	}
}

// zeekNTP is a value that a client's empty field, or an address in IPv6, is not.
func zeekNTP(column string, row Row) string {
	v := row.Get(column)
	switch column {
	case "poll":
		if v = seconds(v); v == "1" || v == "0" {
			return ""
		}
	case "stratum":
		if v == "0" && row.Get("mode") == "3" {
			return ""
		}
	case "ref_id":
		if strings.HasPrefix(v, `\x`) || strings.Contains(row.Get("id.orig_h"), ":") {
			return ""
		}
		v = strings.TrimRight(strings.ReplaceAll(v, `\x00`, " "), " ")
	}
	return v
}

func zeekTLSVersion(v string) string {
	return map[string]string{"TLSv10": "1.0", "TLSv11": "1.1", "TLSv12": "1.2", "TLSv13": "1.3", "SSLv3": "ssl3"}[v]
}

// sha256Of is the first hash of a chain, where it is of that kind.
func sha256Of(v string) string {
	if v, _, _ = strings.Cut(v, ","); len(v) != 64 {
		return ""
	}
	return v
}

// zeekBytes is ours, in hex, for bytes that Zeek writes as \x13.
func zeekBytes(v string) string {
	if strings.HasPrefix(v, `\x`) {
		return strings.ReplaceAll(v, `\x`, "")
	}
	return v
}

// zeekName is a name, without a port behind it.
func zeekName(v string) string {
	name, _, _ := strings.Cut(strings.ToLower(v), ":")
	return name
}

// zeekType is ours for a type without a name.
func zeekType(v string) string {
	if v == "*" {
		return "ANY"
	}
	if n, ok := strings.CutPrefix(v, "query-"); ok {
		return "TYPE" + n
	}
	return v
}

// sshSoftware takes SSH-2.0-OpenSSH_5.9p1 Debian apart.
func sshSoftware(v string) string {
	p := strings.SplitN(v, "-", 3)
	if len(p) < 3 {
		return ""
	}
	v, _, _ = strings.Cut(p[2], " ")
	return v
}

// hostName leaves the port of a host out.
func hostName(v string) string {
	if i := strings.LastIndexByte(v, ':'); i > 0 {
		if _, err := strconv.Atoi(v[i+1:]); err == nil {
			v = v[:i]
		}
	}
	v = strings.ToLower(v)
	if ip, err := netip.ParseAddr(v); err == nil {
		v = ip.String()
	}
	return v
}
