package peers

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// FoxIO is what FoxIO's own implementations of JA4, in Python and Rust, expect of a
// connection of one of their captures.
type FoxIO struct {
	Capture string
	Ends    Ends
	JA4     string
	Name    string // SNI, or HTTP's host
}

// FoxIOResults reads all of them below the folder of captures.
func FoxIOResults(captures string) ([]FoxIO, error) {
	root := filepath.Join(captures, "ja4")
	var list []FoxIO
	add := func(capture, transport string, src, sport, dst, dport, ja4, name string) {
		a, err1 := netip.ParseAddr(src)
		b, err2 := netip.ParseAddr(dst)
		p, err3 := strconv.ParseUint(sport, 10, 16)
		q, err4 := strconv.ParseUint(dport, 10, 16)
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil || ja4 == "" {
			return
		}
		e := EndsOf(transport, netip.AddrPortFrom(a, uint16(p)), netip.AddrPortFrom(b, uint16(q)))
		list = append(list, FoxIO{"ja4/pcap/" + capture, e, ja4, name})
	}
	paths, err := filepath.Glob(root + "/python/test/testdata/*.json")
	if err != nil {
		return nil, fmt.Errorf("look for JA4's results: %w", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read JA4's results: %w", err)
		}
		var rows []map[string]any
		if err := json.Unmarshal(b, &rows); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		for _, m := range rows {
			get := func(name string) string { v, _ := m[name].(string); return v }
			add(strings.TrimSuffix(filepath.Base(path), ".json"), ja4Transport(get("JA4.1")), get("src"), get("srcport"), get("dst"), get("dstport"), get("JA4.1"), get("domain"))
		}
	}
	if paths, err = filepath.Glob(root + "/rust/ja4/src/snapshots/*.snap"); err != nil {
		return nil, fmt.Errorf("look for JA4's results: %w", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read JA4's results: %w", err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "ja4__insta@"), ".snap")
		for _, part := range strings.Split(string(b), "\n- ") {
			m := map[string]string{}
			for _, x := range ja4Field.FindAllStringSubmatch(part, -1) {
				m[x[1]] = x[2]
			}
			add(name, m["transport"], m["src"], m["src_port"], m["dst"], m["dst_port"], m["ja4"], m["tls_server_name"])
		}
	}
	return list, nil
}

var ja4Field = regexp.MustCompile(`(?m)^  (?:- )?(\w+): (.*)$|^- (stream): `)

func ja4Transport(ja4 string) string {
	if strings.HasPrefix(ja4, "t") {
		return "tcp"
	}
	return "udp"
}

// CompareFoxIO compares the fingerprints of a capture.
func (r *Report) CompareFoxIO(o *Observed, list []FoxIO) {
	for i := range list {
		x := &list[i]
		facts := o.Of(x.Ends)
		r.want("FoxIO", ja4Protocol(x.JA4)+" ja4", o, o.where(x.Ends), x.JA4, Values(facts, "", "", "ja4"))
		if x.Name != "" {
			names := slices.Concat(Values(facts, "", "", "sni"), Values(facts, "http", "", "host"))
			r.want("FoxIO", "host and sni", o, o.where(x.Ends), x.Name, names)
		}
	}
}

// ja4Protocol is what carried the hello: the first letter says it.
func ja4Protocol(ja4 string) string {
	switch ja4[0] {
	case 'q':
		return "quic"
	case 'd':
		return "dtls"
	}
	return "tls"
}
