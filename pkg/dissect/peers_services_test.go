package dissect_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// serviceColumn says of a column of one of Zeek's logs which attribute is its own, of any
// protocol, and how its value is written our way ("" for what cannot be compared).
type serviceColumn struct {
	attribute string
	ours      func(string) string
}

func same(s string) string  { return s }
func lower(s string) string { return strings.ToLower(s) }

// translate translates the values of a list.
func translate(pairs ...string) func(string) string {
	return func(s string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == s {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func account(s string) string {
	if s == "<unknown>" {
		return ""
	}
	return dissector.Account([]byte(s))
}

// serviceLogs are the logs of the protocols that services and identity have.
var serviceLogs = map[string]map[string]serviceColumn{
	"ftp.log":  {"user": {"account", account}},
	"smtp.log": {"helo": {"hostname", func(s string) string { return strings.Trim(lower(s), "[]") }}, "tls": {"upgraded", translate("T", "tls")}, "user_agent": {"user_agent", same}},
	"kerberos.log": {
		"service":   {"service_class", func(s string) string { class, _, _ := strings.Cut(lower(s), "/"); return class }},
		"cipher":    {"ticket_etype", same},
		"error_msg": {"error", func(s string) string { return strings.TrimPrefix(strings.TrimPrefix(lower(s), "kdc_err_"), "krb_err_") }},
	},
	"ldap.log":         {"opcode": {"mechanism", translate("bind simple", "simple")}, "result": {"outcome", translate("success", "success")}},
	"rdp.log":          {"client_name": {"computer_name", same}, "security_protocol": {"security", translate("RDP", "rdp", "HYBRID", "credssp", "HYBRID_EX", "credssp_ex", "SSL", "tls")}, "client_dig_product_id": {"product_id", same}},
	"sip.log":          {"method": {"method", same}, "user_agent": {"user_agent", same}, "status_code": {"status", same}},
	"mqtt_connect.log": {"proto_version": {"mqtt_version", same}, "connect_status": {"result", translate("Connection Accepted", "accepted")}},
	"rfb.log":          {"authentication_method": {"security", translate("None", "none", "VNC", "vnc", "Apple Remote Desktop", "apple")}},
	"socks.log":        {"user": {"account", account}, "status": {"outcome", translate("succeeded", "success")}},
	"ntlm.log": {
		"hostname": {"computer_name", same}, "domainname": {"netbios_domain", same}, "username": {"account", account},
		"server_nb_computer_name": {"computer_name", same}, "server_dns_computer_name": {"dns_computer_name", same}, "server_tree_name": {"dns_forest", same},
	},
	"dce_rpc.log": {"endpoint": {"interfaces", same}},
}

// serviceReasons are why Zeek's logs differ.
var serviceReasons = []struct{ word, reason string }{
	{"ldap/ctu-", "the client gives the login up: an outcome that nobody told"},
	{"krb/smb2_krb", "Zeek has the keys"},
	{"ldap/ldap-starttls", "of the extended operation StartTLS, which is told as upgraded"},
}

// TestZeekServices compares with the logs that Zeek's own tests expect.
func TestZeekServices(t *testing.T) {
	root := repotest.Shared(t, "captures/zeek")
	s := newScore(t, "Zeek")
	seen := map[string]*observed{}
	for _, line := range strings.Split(read(t, root+"/TRACE_TO_BASELINE.csv"), "\n")[1:] {
		parts := strings.SplitN(line, ",", 3)
		if len(parts) < 3 {
			continue
		}
		for _, baseline := range strings.Fields(parts[2]) {
			path := filepath.Join(root, baseline)
			name := filepath.Base(baseline)
			if i := strings.IndexByte(name, '.'); i >= 0 && strings.Count(name, ".") == 2 && !strings.HasSuffix(name, ".1") { // krb.ldap.log
				name = name[i+1:]
			}
			columns := serviceLogs[name]
			if !exists(path) || columns == nil && name != "conn.log" {
				continue
			}
			if seen[parts[0]] == nil {
				if seen[parts[0]] = observe(t, filepath.Join(root, "Traces", parts[0])); seen[parts[0]] == nil {
					continue
				}
			}
			if name == "conn.log" {
				seen[parts[0]].zeekLabels(s, parts[0], read(t, path))
			} else {
				seen[parts[0]].services(s, name, parts[0], read(t, path), columns)
			}
		}
	}
	s.report(180)
}

// rows calls yield with the rows of a log whose connection is in the capture.
func (o *observed) rows(log string, yield func(k ends, at func(string) string)) {
	var names []string
	for _, line := range strings.Split(log, "\n") {
		row := strings.Split(line, "\t")
		switch {
		case row[0] == "#fields":
			names = row[1:]
			continue
		case strings.HasPrefix(line, "#"):
			continue
		case row[0] == "ts" || row[0] == "uid":
			names = row
			continue
		}
		at := func(name string) string {
			if i := slices.Index(names, name); i >= 0 && i < len(row) && row[i] != "-" && row[i] != "(empty)" {
				return row[i]
			}
			return ""
		}
		if k, ok := zeekEnds(at); ok && o.flows[k] != nil {
			yield(k, at)
		}
	}
}

func (o *observed) services(s *score, log, trace, text string, columns map[string]serviceColumn) {
	o.rows(text, func(k ends, at func(string) string) {
		for name, c := range columns {
			value := at(name)
			if value != "" {
				value = c.ours(strings.TrimSpace(value))
			}
			if value == "" {
				continue
			}
			var ours []string
			for _, f := range o.facts[k] {
				if v := f.Attributes.List(c.attribute); len(v) > 0 {
					ours = append(ours, v...)
				} else if v := f.Attributes.Get(c.attribute); v != "" {
					ours = append(ours, v)
				}
			}
			where := trace + " " + k.a.String() + " " + k.b.String() + " (ours: " + o.label(k) + ")"
			s.want(strings.TrimSuffix(log, ".log")+" "+name, where, value, ours, func() string { return serviceWhy(trace, log, name, value) })
		}
	})
}

func serviceWhy(trace, log, name, value string) string {
	for _, r := range serviceReasons {
		if strings.Contains(trace, r.word) {
			return r.reason
		}
	}
	if log == "smtp.log" && name == "helo" {
		if _, err := netip.ParseAddr(value); err == nil || value == "localhost" || strings.HasPrefix(value, "localhost.") {
			return "an address, or localhost: nobody's name"
		}
	}
	return ""
}

// zeekServices are ours for Zeek's names of services.
var zeekServices = map[string]string{
	"ftp": "ftp", "ftp-data": "ftp_data", "smtp": "smtp", "pop3": "pop3", "imap": "imap", "krb": "kerberos", "krb_tcp": "kerberos", "ldap_tcp": "ldap", "ldap_udp": "ldap", "rdp": "rdp", "radius": "radius", "rfb": "vnc",
	"dce_rpc": "dcerpc", "sip": "sip", "mqtt": "mqtt", "socks": "socks", "xmpp": "xmpp", "irc": "irc", "smb": "smb", "rdpeudp": "rdp",
}

// zeekLabels compares the protocol: the first of the services that has one of ours.
func (o *observed) zeekLabels(s *score, trace, text string) {
	o.rows(text, func(k ends, at func(string) string) {
		var want []string
		for _, service := range strings.Split(at("service"), ",") {
			if n := zeekServices[strings.TrimPrefix(service, "-")]; n != "" && !strings.HasPrefix(service, "-") {
				want = append(want, n)
			}
		}
		if len(want) == 0 {
			return
		}
		ours := o.flows[k].Protocol
		if o.flows[k].By == "port" {
			ours = ""
		}
		if slices.Contains(want, ours) {
			want[0] = ours
		}
		s.want("label "+want[0], trace+" "+k.a.String()+" "+k.b.String()+" ("+at("service")+"; ours: "+o.label(k)+")", want[0], []string{ours}, func() string { return labelWhy(trace) })
	})
}

func labelWhy(trace string) string {
	if strings.Contains(trace, "connect-with-smtp") {
		return "SMTP behind HTTP's CONNECT rides on it: the label is the proxy's"
	}
	return ""
}

// ndpiServices are ours for nDPI's names.
var ndpiServices = map[string]string{
	"RTP": "rtp", "SRTP": "rtp", "RTCP": "rtcp", "STUN": "stun", "SIP": "sip", "RTSP": "rtsp", "FTP_CONTROL": "ftp", "FTPS": "ftp", "SMTP": "smtp", "SMTPS": "smtp", "POP3": "pop3", "POPS": "pop3", "IMAP": "imap", "IMAPS": "imap",
	"Telnet": "telnet", "Kerberos": "kerberos", "LDAP": "ldap", "RDP": "rdp", "Radius": "radius", "VNC": "vnc", "DCERPC": "dcerpc", "MQTT": "mqtt", "SOCKS": "socks", "AMQP": "amqp", "Jabber": "xmpp", "IRC": "irc", "RSH": "rsh",
	"SMBv1": "smb", "SMBv23": "smb", "FTP_DATA": "ftp_data",
}

var ndpiAnyFlow = regexp.MustCompile(`^\s+\d+\s+(TCP|UDP) (\S+) (?:<->|->|<-) (\S+) .*?\[proto: (?:[A-Z]+:)?[\d.]+/([^\]]*)\]`)

// TestNDPIServices compares the protocols of flows that nDPI knows by their content, over
// TCP and UDP, where it or we say one of these.
func TestNDPIServices(t *testing.T) {
	root := repotest.Shared(t, "captures/nDPI")
	s := newScore(t, "nDPI")
	for _, path := range glob(t, root+"/result/*.out") {
		name := strings.TrimSuffix(filepath.Base(path), ".out")
		capture := filepath.Join(root, "pcap", name)
		if _, err := os.Stat(capture); err != nil {
			continue
		}
		o := observe(t, capture)
		if o == nil {
			continue
		}
		for _, line := range strings.Split(read(t, path), "\n") {
			m := ndpiAnyFlow.FindStringSubmatch(line)
			if m == nil || !strings.Contains(line, "[Confidence: DPI") {
				continue
			}
			a, err1 := netip.ParseAddrPort(m[2])
			b, err2 := netip.ParseAddrPort(m[3])
			if err1 != nil || err2 != nil {
				continue
			}
			k := endsOf(a, b)
			f := o.flows[k]
			if f == nil {
				continue
			}
			o.ndpiService(s, name, m[4], k, f)
		}
	}
	s.report(100)
}

func (o *observed) ndpiService(s *score, name, proto string, k ends, f *dissecttest.Flow) {
	all := strings.Split(proto, ".")
	want := ndpiServices[all[0]]
	if want == "" && all[0] == "NetBIOS" && len(all) > 1 {
		want = ndpiServices[all[1]]
	}
	ours := f.Protocol
	if f.By == "port" {
		ours = ""
	}
	mine := false
	for _, p := range ndpiServices {
		mine = mine || p == ours
	}
	if want == "" && !mine {
		return
	}
	if want == "" {
		want = "other: " + all[0]
	}
	s.want("label "+want, name+" "+k.a.String()+" "+k.b.String()+" ("+proto+"; ours: "+o.label(k)+")", want, []string{ours}, func() string { return ndpiServiceWhy(name, want, ours) })
}

func ndpiServiceWhy(name, want, ours string) string {
	switch {
	case want == "other: Discord" || want == "other: i3D":
		return "what Discord and i3D send is RTP; nDPI names the application"
	case want == "other: DTLS" || want == "rtp" && ours == "stun":
		return "a flow of WebRTC: nDPI names its last protocol, we the first"
	case ours == "tls":
		return "TLS from the first byte on: nDPI names what is at home on the port"
	case want == "other: TruPhone":
		return "an XMPP stream, which nDPI takes for an application's by its port"
	case name == "jabber.pcap":
		return "port 5223 carries no XMPP stream, but what a messenger encrypts"
	case name == "coap_mqtt.pcap":
		return "MQTT of a connection that began before the capture, cut at other places"
	case name == "sip_hello.pcapng":
		return "datagrams that say hello, on SIP's port"
	case strings.HasPrefix(name, "dos_win98"):
		return "SMB inside of a NetBIOS datagram, whose label goes before"
	case strings.HasPrefix(name, "fuzz-"):
		return "damaged on purpose"
	case name == "zoom_p2p.pcapng":
		return "Zoom's own protocol, on STUN's port"
	case name == "rtp.pcapng":
		return "RTP over TCP (RFC 4571)"
	case name == "radius_false_positive.pcapng":
		return "not RADIUS"
	}
	return ""
}
