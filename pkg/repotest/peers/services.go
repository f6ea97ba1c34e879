package peers

import (
	"net/netip"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// serviceColumns are those of Zeek's logs of services, of any protocol of ours: it may
// be inside of another one.
var serviceColumns = map[string][]zeekColumn{
	"ftp": {{"user", "", "", "account", account}},
	"smtp": {
		{"helo", "", "", "hostname", mailName},
		{"tls", "", "", "upgraded", word("T", "tls")},
		{"user_agent", "", "", "user_agent", nil},
	},
	"kerberos": {
		{"service", "", "", "service_class", serviceClass},
		{"cipher", "", "", "ticket_etype", nil},
		{"error_msg", "", "", "error", kerberosError},
	},
	"ldap": {
		{"opcode", "", "", "mechanism", word("bind simple", "simple")},
		{"result", "", "", "outcome", word("success", "success")},
	},
	"rdp": {
		{"client_name", "", "", "computer_name", nil},
		{"security_protocol", "", "", "security", word("RDP", "rdp", "HYBRID", "credssp", "HYBRID_EX", "credssp_ex", "SSL", "tls")},
		{"client_dig_product_id", "", "", "product_id", nil},
	},
	"sip":          {{"method", "", "", "method", nil}, {"user_agent", "", "", "user_agent", nil}, {"status_code", "", "", "status", nil}},
	"mqtt_connect": {{"proto_version", "", "", "mqtt_version", nil}, {"connect_status", "", "", "result", word("Connection Accepted", "accepted")}},
	"rfb":          {{"authentication_method", "", "", "security", word("None", "none", "VNC", "vnc", "Apple Remote Desktop", "apple")}},
	"socks":        {{"user", "", "", "account", account}, {"status", "", "", "outcome", word("succeeded", "success")}},
	"dce_rpc":      {{"endpoint", "", "", "interfaces", nil}},
	"quic":         {{"server_name", "quic", "client_hello", "sni", zeekName}, {"client_protocol", "quic", "client_hello", "alpn", nil}},
	"syslog":       {{"facility", "syslog", "messages", "facilities", syslogWord}, {"severity", "syslog", "messages", "severities", syslogWord}},
	"ntp":          {{"version", "ntp", "", "ntp_version", nil}, {"stratum", "ntp", "", "stratum", nil}, {"ref_id", "ntp", "", "reference", nil}, {"poll", "ntp", "", "poll_s", nil}},
}

// word translates the values of a list, and drops all others.
func word(pairs ...string) func(string) string {
	return func(s string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == s {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// account is what is told of a name that somebody logs in with.
func account(name string) string {
	if name == "<unknown>" {
		return ""
	}
	return dissector.Account([]byte(name))
}

// mailName is the name that a client of SMTP gives itself. An address, or localhost,
// is nobody's name.
func mailName(v string) string {
	v = strings.Trim(strings.ToLower(v), "[]")
	if _, err := netip.ParseAddr(v); err == nil || v == "localhost" || strings.HasPrefix(v, "localhost.") {
		return ""
	}
	return v
}

// serviceClass is the first part of HTTP/server.example.
func serviceClass(v string) string {
	class, _, _ := strings.Cut(strings.ToLower(v), "/")
	return class
}

func kerberosError(v string) string {
	return strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(v), "kdc_err_"), "krb_err_")
}

func syslogWord(v string) string {
	if v == "UNSPECIFIED" {
		return ""
	}
	return strings.ToLower(v)
}

func zeekTrue(v string) string { return word("T", "true")(v) }
