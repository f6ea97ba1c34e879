package peers

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// NDPIFlow is a flow of nDPI's results.
type NDPIFlow struct {
	Ends       Ends
	Src        string // as it is printed on the left
	Packets    [2]uint64
	Master     string // TLS of VXLAN:91.119/TLS.Facebook
	Sub        string // Facebook
	Tunnel     string // VXLAN
	Proto      string // all of it
	Confidence string
	Fields     map[string]string
}

var (
	ndpiLine    = regexp.MustCompile(`^\s+\d+\s+(\S+) (\S+) (?:<->|->|<-) (\S+) .*?\[proto: ([^\]]*)\]`)
	ndpiConf    = regexp.MustCompile(`\[Confidence: ([^\]]*)\]`)
	ndpiPackets = regexp.MustCompile(`\[(\d+) pkts/\d+ bytes (?:<->|->|<-) (\d+) pkts/\d+ bytes\]`)
	ndpiField   = regexp.MustCompile(`\[((?:JA4|JA3C|JA3S|HASSH-C|HASSH-S|Hostname/SNI|User-Agent|Server|Cipher|Username|Password|DHCP Fingerprint|DHCP Class Ident)): ([^\]]*)\]`)
)

// ndpiTransports are ours for nDPI's.
var ndpiTransports = map[string]string{
	"TCP": "tcp", "UDP": "udp", "ICMP": "icmp", "ICMPV6": "icmp6", "SCTP": "sctp", "IGMP": "2", "GRE": "47", "ESP": "50", "AH": "51",
	"OSPF": "89", "PIM": "103", "VRRP": "112", "PGM": "113", "IPIP": "4",
}

// NDPI reads the flows of a result, *.out.
func NDPI(path string) ([]*NDPIFlow, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []*NDPIFlow
	for line := range strings.Lines(string(b)) {
		if f := ndpiFlow(line); f != nil {
			list = append(list, f)
		}
	}
	return list, nil
}

func ndpiFlow(line string) *NDPIFlow {
	m := ndpiLine.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	transport := ndpiTransports[m[1]]
	if transport == "" {
		transport = m[1]
	}
	a, ok1 := addrPort(m[2])
	b, ok2 := addrPort(m[3])
	if !ok1 || !ok2 {
		return nil
	}
	f := &NDPIFlow{Ends: EndsOf(transport, a, b), Src: a.String(), Proto: m[4], Fields: map[string]string{}}
	f.Tunnel, f.Master, f.Sub = ndpiProto(m[4])
	if c := ndpiConf.FindStringSubmatch(line); c != nil {
		f.Confidence = c[1]
	}
	if p := ndpiPackets.FindStringSubmatch(line); p != nil {
		f.Packets[0], _ = strconv.ParseUint(p[1], 10, 64)
		f.Packets[1], _ = strconv.ParseUint(p[2], 10, 64)
	}
	for _, x := range ndpiField.FindAllStringSubmatch(line, -1) {
		f.Fields[x[1]] = x[2]
	}
	return f
}

// ndpiProto takes VXLAN:91.119/TLS.Facebook apart.
func ndpiProto(s string) (tunnel, master, sub string) {
	ids, names, _ := strings.Cut(s, "/")
	if t, rest, ok := strings.Cut(ids, ":"); ok {
		tunnel, ids = t, rest
	}
	if strings.Contains(ids, ".") {
		master, sub, _ = strings.Cut(names, ".")
		return tunnel, master, sub
	}
	return tunnel, names, ""
}

// CompareNDPI compares a capture's flows with nDPI's.
func (r *Report) CompareNDPI(o *Observed, flows []*NDPIFlow, known map[string]bool) {
	for _, f := range flows {
		if f.Confidence == "DPI" {
			r.ndpiProtocol(o, f, known)
		}
		r.ndpiFields(o, f)
	}
	r.ndpiPackets(o, flows)
}

// The fields of the tables of protocols.
const (
	FieldProtocol = "protocol" // nDPI and we know it
	FieldUnknown  = "unknown"  // we do not
)

// ndpiProtocol compares the application protocol. A guess by port is none.
func (r *Report) ndpiProtocol(o *Observed, f *NDPIFlow, known map[string]bool) {
	words := NDPINames(f.Master, f.Sub, f.Ends.Transport)
	field := FieldUnknown
	if slices.ContainsFunc(words, func(w string) bool { return known[w] }) {
		field = FieldProtocol
	}
	label, by := o.Label(f.Ends)
	ours := label
	switch {
	case len(o.Flows[f.Ends]) == 0:
		ours = "no such flow"
	case by == "port":
		ours = "unknown (port says " + label + ")"
	}
	c := Check{Peer: "nDPI", Field: field, Capture: o.Capture, Where: f.Ends.String(), Want: f.Proto, Ours: ours, Equal: by != "port" && slices.Contains(words, label)}
	r.add(c)
}

// ndpiAttributes are ours for nDPI's fields of a protocol.
var ndpiAttributes = map[string]map[string]string{
	"tls":  {"JA4": "ja4", "JA3C": "ja3", "JA3S": "ja3s", "Hostname/SNI": "sni", "Cipher": "cipher"},
	"quic": {"JA4": "ja4", "JA3C": "ja3", "JA3S": "ja3s", "Hostname/SNI": "sni", "Cipher": "cipher", "User-Agent": "user_agent"},
	"http": {"Hostname/SNI": "host", "User-Agent": "user_agent", "Server": "server"},
	"ssh":  {"HASSH-C": "hassh", "HASSH-S": "hassh_server", "Server": "software"},
}

// ndpiFields compares what nDPI reads of TLS, QUIC, HTTP and SSH.
func (r *Report) ndpiFields(o *Observed, f *NDPIFlow) {
	if len(o.Flows[f.Ends]) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		protocol, value := ndpiProtocolOf(f, name), f.Fields[name]
		attribute := ndpiAttributes[protocol][name]
		switch {
		case attribute == "":
			continue
		case name == "JA3S":
			value, _, _ = strings.Cut(value, " (") // (WEAK): nDPI's opinion
		case strings.HasPrefix(name, "HASSH"):
			value = strings.ToLower(value)
		case protocol == "ssh":
			value = sshSoftware(value)
		}
		of := protocol
		if protocol == "tls" && f.Ends.Transport == "udp" {
			of = "" // DTLS
		}
		ours := Values(o.Of(f.Ends), of, "", attribute)
		c := Check{
			Peer: "nDPI", Field: protocol + " " + attribute, Capture: o.Capture, Where: o.where(f.Ends) + " " + f.Proto,
			Want: value, Ours: strings.Join(ours, " | "), Equal: slices.Contains(ours, value),
		}
		if attribute == "ja4" && slices.ContainsFunc(ours, func(v string) bool { return ndpiJA4(v, value) }) {
			c.Class = "ndpi_ja4"
		}
		r.add(c)
	}
}

// ndpiProtocolOf is the protocol that a field of a flow is of: by the field's name, or
// by the flow's.
func ndpiProtocolOf(f *NDPIFlow, field string) string {
	name := f.Master + "." + f.Sub
	switch {
	case f.Master == "RTSP" || f.Master == "SSDP" || f.Master == "Xiaomi": // of their own messages
		return ""
	case strings.HasPrefix(field, "HASSH"), field == "Server" && strings.HasPrefix(f.Fields[field], "SSH-"):
		return "ssh"
	case strings.Contains(name, "QUIC"):
		return "quic"
	case field == "User-Agent", field == "Server", field == "Hostname/SNI" && strings.Contains(name, "HTTP"):
		return "http"
	case field == "Hostname/SNI" && !strings.Contains(name, "TLS"):
		return ""
	}
	return "tls"
}

// ndpiJA4 reports that two fingerprints differ in nothing but how nDPI makes them: it
// writes d where there is no SNI, takes the first two characters of the ALPN rather than
// the first and the last, and hashes nothing where there are no extensions.
func ndpiJA4(ours, theirs string) bool {
	const prefix, hashes = 10, 36 // t13d1516h2_, two of 12 digits
	if len(ours) < hashes || len(theirs) < hashes || ours[:3] != theirs[:3] {
		return false
	}
	if strings.HasSuffix(theirs, "_e3b0c44298fc") && strings.HasSuffix(ours, "_000000000000") {
		return true
	}
	return ours[4:8] == theirs[4:8] && ours[prefix:] == theirs[prefix:] && (ours[3] == theirs[3] || ours[3] == 'i')
}

// ndpiPackets compares packets in each direction, over all flows with the same ends.
func (r *Report) ndpiPackets(o *Observed, flows []*NDPIFlow) {
	sum := map[Ends]*[2]uint64{}
	var order []Ends
	for _, f := range flows {
		s := sum[f.Ends]
		if s == nil {
			s = new([2]uint64)
			sum[f.Ends] = s
			order = append(order, f.Ends)
		}
		i := 0
		if f.Src != f.Ends.A.String() {
			i = 1
		}
		s[i] += f.Packets[0]
		s[1-i] += f.Packets[1]
	}
	for _, e := range order {
		r.packets("nDPI", o, e, *sum[e])
	}
}

// packets compares two directions, A's packets first.
func (r *Report) packets(peer string, o *Observed, e Ends, want [2]uint64) {
	var ours [2]uint64
	for _, f := range o.Flows[e] {
		i := 0
		if f.Src != e.A {
			i = 1
		}
		ours[i] += f.Packets[0]
		ours[1-i] += f.Packets[1]
	}
	for i, end := range []string{e.A.String(), e.B.String()} {
		c := Check{
			Peer: peer, Field: "packets", Capture: o.Capture, Where: e.String() + " from " + end,
			Want: strconv.FormatUint(want[i], 10), Ours: strconv.FormatUint(ours[i], 10), Equal: want[i] == ours[i],
		}
		r.add(c)
	}
}

// NDPIResults are the results of nDPI below the folder of captures, by capture.
func NDPIResults(captures string) (map[string]string, error) {
	list, err := filepath.Glob(filepath.Join(captures, "nDPI", "result", "*.out"))
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, path := range list {
		m["nDPI/pcap/"+strings.TrimSuffix(filepath.Base(path), ".out")] = path
	}
	return m, nil
}
