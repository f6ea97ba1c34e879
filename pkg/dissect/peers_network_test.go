package dissect_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// zeekNetworkLogs are the logs of the network's own services.
var zeekNetworkLogs = map[string]map[string]zeekColumn{
	"dhcp.log": {
		"mac": {"dhcp", "", "mac"}, "host_name": {"dhcp", "", "hostname"}, "client_fqdn": {"dhcp", "", "fqdn"}, "domain": {"dhcp", "", "domain"}, "server_addr": {"dhcp", "", "server_id"},
		"requested_addr": {"dhcp", "", "requested_ip"}, "assigned_addr": {"dhcp", "", "ip"}, "lease_time": {"dhcp", "", "lease_s"}, "msg_types": {"dhcp", "", "kind"},
		"circuit_id": {"dhcp", "", "circuit_id"}, "agent_remote_id": {"dhcp", "", "remote_id"},
	},
	"dns.log": {
		"qtype_name": {"dns", "", "qtype"}, "rcode_name": {"dns", "response", "rcode"}, "AA": {"dns", "response", "authoritative"}, "TC": {"dns", "response", "truncated"}, "RA": {"dns", "response", "recursion"},
		"query": {"dns", "", "domain"},
	},
	"syslog.log": {"facility": {"syslog", "messages", "facilities"}, "severity": {"syslog", "messages", "severities"}},
	"ntp.log":    {"version": {"ntp", "", "ntp_version"}, "stratum": {"ntp", "", "stratum"}, "ref_id": {"ntp", "", "reference"}, "poll": {"ntp", "", "poll_s"}},
}

// TestZeekNetwork compares with the logs that Zeek's own tests expect.
func TestZeekNetwork(t *testing.T) {
	root := repotest.Shared(t, "captures/zeek")
	s := newScore(t, "Zeek")
	seen := map[string]*observed{}
	for _, line := range strings.Split(read(t, root+"/TRACE_TO_BASELINE.csv"), "\n")[1:] {
		parts := strings.SplitN(line, ",", 3)
		if len(parts) < 3 {
			continue
		}
		for _, baseline := range strings.Fields(parts[2]) {
			columns := zeekNetworkLogs[filepath.Base(baseline)]
			path := filepath.Join(root, baseline)
			if columns == nil || !exists(path) {
				continue
			}
			if seen[parts[0]] == nil {
				if seen[parts[0]] = observe(t, filepath.Join(root, "Traces", parts[0])); seen[parts[0]] == nil {
					continue
				}
			}
			o := seen[parts[0]]
			for _, row := range zeekRows(read(t, path)) {
				k, ok := zeekEnds(row)
				facts := o.facts[k]
				if row("uids") != "" { // of a DHCP transaction, wherever its messages went
					facts = o.result.Facts
				} else if !ok || o.flows[k] == nil {
					continue
				}
				for name, c := range columns {
					value := zeekNetworkValue(name, row)
					if c.protocol == "dns" { // Zeek's log has mDNS, LLMNR and NetBIOS, too
						if c.protocol = o.flows[k].Protocol; c.protocol != "dns" && (name != "qtype_name" && name != "rcode_name" || c.protocol == "netbios") {
							continue
						}
					}
					if value == "" {
						continue
					}
					where := parts[0] + " " + k.a.String() + " " + k.b.String() + " (ours: " + o.label(k) + ")"
					for _, v := range strings.Split(value, ",") {
						s.want(c.protocol+" "+c.attribute, where, v, zeekOurs(facts, c), func() string { return zeekNetworkWhy(name) })
					}
				}
			}
		}
	}
	s.report(300)
}

// zeekOurs are our values of a column; two of Zeek's are no attributes.
func zeekOurs(facts []dissecttest.Fact, c zeekColumn) (list []string) {
	for _, f := range facts {
		switch {
		case f.Protocol != c.protocol:
		case c.attribute == "kind":
			list = append(list, strings.ToUpper(f.Kind))
		case c.attribute == "mac":
			list = append(list, f.Subject.MAC.String())
		case c.protocol == "syslog":
			for _, v := range f.Attributes.List(c.attribute) {
				name, _, _ := strings.Cut(v, ":")
				list = append(list, strings.ToUpper(name))
			}
		}
	}
	return append(list, values(facts, c.protocol, c.kind, c.attribute)...)
}

func zeekNetworkWhy(column string) string {
	switch column {
	case "circuit_id":
		return "a text that an administrator typed: its HMAC is told"
	case "agent_remote_id":
		return "a byte that Zeek prints as it is: we have it in hex"
	}
	return ""
}

// zeekRows are the rows of a log, by the names of its columns.
func zeekRows(log string) (rows []func(string) string) {
	var names []string
	for _, line := range strings.Split(log, "\n") {
		row := strings.Split(line, "\t")
		switch {
		case row[0] == "#fields":
			names = row[1:]
		case strings.HasPrefix(line, "#"):
		case row[0] == "ts" || row[0] == "uid":
			names = row
		default:
			rows = append(rows, func(name string) string {
				for i, n := range names {
					if n == name && i < len(row) {
						return row[i]
					}
				}
				return ""
			})
		}
	}
	return rows
}

// zeekNetworkValue writes a value of Zeek's our way; "" where there is none, or
// none that is told.
func zeekNetworkValue(name string, at func(string) string) string {
	v := at(name)
	if v == "-" || v == "(empty)" || v == "UNSPECIFIED" {
		return ""
	}
	switch name {
	case "AA", "TC", "RA":
		if v != "T" {
			return ""
		}
		return "true"
	case "query":
		labels := strings.Split(strings.ToLower(v), ".")
		if len(labels) < 2 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
			return ""
		}
		return strings.Join(labels[len(labels)-2:], ".")
	case "qtype_name":
		if v == "*" {
			return "ANY"
		}
		if n, ok := strings.CutPrefix(v, "query-"); ok {
			return "TYPE" + n
		}
	case "lease_time":
		v, _, _ = strings.Cut(v, ".")
	case "poll":
		if v, _, _ = strings.Cut(v, "."); v == "1" || v == "0" { // of clients that leave the field empty
			return ""
		}
	case "stratum":
		if v == "0" && at("mode") == "3" {
			return ""
		}
	case "ref_id":
		if strings.HasPrefix(v, `\x`) || strings.Contains(at("id.orig_h"), ":") {
			return ""
		}
		v = strings.TrimRight(strings.ReplaceAll(v, `\x00`, " "), " ")
	}
	return v
}
