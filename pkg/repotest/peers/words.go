package peers

import (
	"strconv"
	"strings"
)

// What peers call things, and what we do.

// name compares a name that was looked up by what leaves of it: its length, and the
// domain where it has one.
func (r *Report) name(peer string, o *Observed, e Ends, query string) {
	query = strings.TrimSuffix(query, ".")
	if query == "" || query == "<root>" {
		return
	}
	facts := o.Of(e)
	r.want(peer, "dns name_len", o, o.where(e), strconv.Itoa(len(query)), Values(facts, "dns", "", "name_len"))
	if d := domain(query); d != "" && len(Values(facts, "mdns", "", Kind))+len(Values(facts, "llmnr", "", Kind)) == 0 {
		r.want(peer, "dns domain", o, o.where(e), d, Values(facts, "dns", "", "domain"))
	}
}

// domain is the last two labels of a name, of letters, digits and hyphens.
func domain(query string) string {
	labels := strings.Split(strings.ToLower(query), ".")
	if len(labels) < 2 {
		return ""
	}
	d := strings.Join(labels[len(labels)-2:], ".")
	if strings.Trim(d, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return ""
	}
	return d
}

// dnsCode is ours for a response code, which is IANA's; Arkime writes one otherwise.
func dnsCode(s string) string {
	if s = strings.ToUpper(s); s == "NOTIMPL" {
		return "NOTIMP"
	}
	return s
}

// counted leaves the counts of "read_coils:12" out.
func counted(list []string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v
		if at := strings.LastIndexByte(v, ':'); at > 0 {
			if _, err := strconv.Atoi(v[at+1:]); err == nil && strings.Count(v, ":") == 1 {
				out[i] = v[:at]
			}
		}
	}
	return out
}

func snmpVersion(v string) string {
	if v == "2" {
		return "2c"
	}
	return v
}

func snmpKind(v string) string {
	v = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(v, "SNMPv2-"), "Request"))
	v = strings.TrimSuffix(v, "_request")
	switch v {
	case "getnext":
		return "get_next"
	case "getbulk":
		return "get_bulk"
	case "getresponse", "get_response":
		return "response"
	case "trapv2", "v2trap", "trap_v1", "trap_v2", "snmpv2trap":
		return "trap"
	}
	return v
}

func snmpLevel(v string) string {
	return map[string]string{"noAuthNoPriv": "noauth_nopriv", "authNoPriv": "auth_nopriv", "authPriv": "auth_priv"}[v]
}

// modbusFunctions are the names of the specification's codes.
var modbusFunctions = map[string]string{
	"1": "read_coils", "2": "read_discrete_inputs", "3": "read_holding_registers", "4": "read_input_registers", "5": "write_single_coil",
	"6": "write_single_register", "7": "read_exception_status", "8": "diagnostics", "11": "get_comm_event_counter", "12": "get_comm_event_log",
	"15": "write_multiple_coils", "16": "write_multiple_registers", "17": "report_server_id", "20": "read_file_record", "21": "write_file_record",
	"22": "mask_write_register", "23": "read_write_multiple_registers", "24": "read_fifo_queue", "43": "encapsulated_interface_transport", "90": "umas",
}

func modbusFunction(v string) string {
	if name := modbusFunctions[v]; name != "" {
		return name
	}
	return v
}

// zeekModbus is ours for READ_COILS, unknown-29, READ_COILS_EXCEPTION.
func zeekModbus(v string) string {
	v = strings.ToLower(strings.TrimSuffix(v, "_EXCEPTION"))
	if n, ok := strings.CutPrefix(v, "unknown-"); ok {
		code, err := strconv.Atoi(n)
		if err != nil || code >= 128 {
			return ""
		}
		return modbusFunction(n)
	}
	switch v {
	case "report_slave_id":
		return "report_server_id"
	case "encap_interface_transport", "encapsulated_interface_transport":
		return "encapsulated_interface_transport"
	case "program_484":
		return "13"
	}
	return v
}

func underscored(v string) string { return strings.ReplaceAll(strings.ToLower(v), "-", "_") }

// seconds is 3600.000000 as a whole number.
func seconds(v string) string {
	v, _, _ = strings.Cut(v, ".")
	return v
}

// plainVendor is a vendor's name without what ICSNPP leaves out, commas, and without
// what it was before.
func plainVendor(v string) string {
	v, _, _ = strings.Cut(strings.ReplaceAll(v, ",", ""), " (")
	if strings.HasPrefix(v, "Unknown") {
		return ""
	}
	return v
}

// ourWords are our values as a peer's are compared with them.
func ourWords(attribute string, list []string) []string {
	list = counted(list)
	if attribute == "vendor" {
		for i, v := range list {
			list[i] = plainVendor(v)
		}
	}
	return list
}
