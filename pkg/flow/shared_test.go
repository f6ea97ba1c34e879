package flow_test

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// flowsOf gives the flows of a capture, one record each: no part ends by time.
func flowsOf(t testing.TB, path string, cfg ...flow.Config) []*proto.Flow {
	t.Helper()
	r, err := capfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []*proto.Flow
	c := flow.Config{}
	if len(cfg) > 0 {
		c = cfg[0]
	}
	c.Site = "site"
	if c.ActiveTimeout == 0 {
		c.ActiveTimeout = 1e8 * time.Second
	}
	c.Emit = func(_ *flow.Entry, f *proto.Flow) { out = append(out, f) }
	table := flow.New(c)
	var d packet.Decoder
	var h packet.Headers
	var p capfile.Packet
	for {
		err := r.Next(&p)
		if errors.Is(err, io.EOF) || errors.Is(err, capfile.ErrTruncated) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if d.Decode(p.LinkType, p.Time, p.Data, p.WireLen, &h) == packet.OK {
			table.Add(&h)
		}
	}
	table.Flush()
	return out
}

// connLog is a row of a Zeek conn.log as far as it is compared.
type connLog struct{ ends, state, history, srcPackets, dstPackets, srcBytes, dstBytes string }

func readConnLog(t *testing.T, path string) []connLog {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var fields []string
	var out []connLog
	for sc := bufio.NewScanner(f); sc.Scan(); {
		cols := strings.Split(sc.Text(), "\t")
		if cols[0] == "#fields" {
			fields = cols[1:]
		} else if fields == nil && cols[0] == "ts" {
			fields = cols
			continue
		}
		if strings.HasPrefix(cols[0], "#") || len(cols) != len(fields) {
			continue
		}
		get := func(name string) string {
			if i := slices.Index(fields, name); i >= 0 {
				return cols[i]
			}
			return ""
		}
		out = append(out, connLog{
			ends:  fmt.Sprintf("%s %s:%s>%s:%s", get("proto"), get("id.orig_h"), get("id.orig_p"), get("id.resp_h"), get("id.resp_p")),
			state: get("conn_state"), history: get("history"), srcPackets: get("orig_pkts"), dstPackets: get("resp_pkts"),
			srcBytes: get("orig_ip_bytes"), dstBytes: get("resp_ip_bytes"),
		})
	}
	return out
}

// elsewhere are connections that Zeek sees otherwise on purpose.
var elsewhere = map[string]string{
	"tcp 192.168.57.103:35391>192.168.57.101:55968": "its GridFTP policy stops looking at bulk data",
	"udp 192.168.1.95:123>17.253.4.253:123":         "it swaps the ends by the port's number",
	"tcp 173.192.163.128:80>141.142.220.235:6705":   "a test of not swapping the ends of a SYN-ACK",
	"tcp 192.168.0.4:26242>212.227.15.188:110":      "a refused SYN that is sent again, same number: there a new connection",
	"tcp 192.168.0.4:26245>212.227.15.171:110":      "the same",
}

// notHere are tests one of whose logs is of a capture that is not collected, or not
// read.
var notHere = map[string]string{
	"scripts.base.protocols.modbus.events":              "another capture of Modbus",
	"scripts.policy.protocols.conn.speculative-service": "another capture",
	"scripts.policy.protocols.conn.mac-logging":         "IEEE 802.11",
}

// zeekLogs gives Zeek's conn logs with the flows of the captures that they may be of:
// a test of several captures has several, and the last one's log is kept.
func zeekLogs(t *testing.T) iter.Seq2[string, map[string][]*proto.Flow] {
	dir := repotest.Shared(t, "captures/zeek")
	f, err := os.Open(filepath.Join(dir, "TRACE_TO_BASELINE.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	captures := map[string][]string{}
	for _, row := range rows[1:] {
		capture := filepath.Join(dir, "Traces", row[0])
		for _, log := range strings.Fields(row[2]) {
			if strings.HasPrefix(filepath.Base(log), "conn") && exists(capture) && exists(filepath.Join(dir, log)) {
				captures[filepath.Join(dir, log)] = append(captures[filepath.Join(dir, log)], capture)
			}
		}
	}
	return func(yield func(string, map[string][]*proto.Flow) bool) {
		for _, log := range slices.Sorted(maps.Keys(captures)) {
			var flows []*proto.Flow
			for _, c := range captures[log] {
				flows = append(flows, flowsOf(t, c)...)
			}
			if !yield(log, byEnds(flows)) {
				return
			}
		}
	}
}

// agreement counts what flows and logs have in common: ends, state, packets, bytes.
type agreement struct{ got, want [4]int }

// compare looks at a row of a log, and takes its flow out of the list.
func (a *agreement) compare(t *testing.T, log string, c *connLog, flows map[string][]*proto.Flow) {
	t.Helper()
	if c.state == "" || strings.HasPrefix(c.ends, "icmp") || strings.Contains(c.ends, " :") || elsewhere[c.ends] != "" {
		return
	}
	v := &proto.Flow{}
	if list := flows[c.ends]; len(list) > 0 {
		v, flows[c.ends] = list[0], list[1:]
	} else if notHere[log] != "" {
		return
	}
	for i, pair := range [4][2]string{
		{v.SrcIP.String(), v.SrcIP.String()},
		{v.State, c.state},
		{fmt.Sprint(v.SrcPackets, " ", v.DstPackets), c.srcPackets + " " + c.dstPackets},
		{fmt.Sprint(v.SrcBytes, " ", v.DstBytes), c.srcBytes + " " + c.dstBytes},
	} {
		if strings.Contains(pair[1], "-") || pair[1] == " " {
			continue // not logged
		}
		a.want[i]++
		if pair[0] == pair[1] && v.SrcIP.IsValid() {
			a.got[i]++
		} else {
			t.Errorf("%s: %s: %s, Zeek has %s", log, c.ends, pair[0], pair[1])
		}
	}
}

func (a *agreement) report(t *testing.T, least int) {
	t.Helper()
	for i, what := range []string{"ends", "state", "packets", "bytes"} {
		t.Logf("%s: %d of %d agree", what, a.got[i], a.want[i])
		if a.want[i] < least {
			t.Errorf("%s: only %d were compared", what, a.want[i])
		}
	}
}

// TestZeekConnLogs compares flows with every conn.log among Zeek's own test
// baselines that has states: state, and packets and IP bytes of each direction.
func TestZeekConnLogs(t *testing.T) {
	var a agreement
	for log, flows := range zeekLogs(t) {
		for _, c := range readConnLog(t, log) {
			a.compare(t, filepath.Base(filepath.Dir(log)), &c, flows)
		}
	}
	a.report(t, 200)
}

// TestICSNPPConnLogs does the same with the baselines of ICSNPP's parsers. Which
// capture a log is of they do not say; some captures are not there.
func TestICSNPPConnLogs(t *testing.T) {
	dir := repotest.Shared(t, "captures/icsnpp")
	folders, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var a agreement
	for _, folder := range folders {
		var logs []string
		var flows []*proto.Flow
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case filepath.Base(path) == "conn.log":
				logs = append(logs, path)
			case strings.Contains(filepath.Base(path), ".pcap") && !strings.Contains(path, "/pcaps/"):
				flows = append(flows, flowsOf(t, path)...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, log := range logs {
			left := byEnds(flows)
			for _, c := range readConnLog(t, log) {
				if len(left[c.ends]) == 0 {
					continue
				}
				same := func(v *proto.Flow) bool { return fmt.Sprint(v.SrcBytes, " ", v.DstBytes) == c.srcBytes+" "+c.dstBytes }
				if i := slices.IndexFunc(left[c.ends], same); i > 0 { // the same ends in another capture
					left[c.ends][0], left[c.ends][i] = left[c.ends][i], left[c.ends][0]
				}
				a.compare(t, log, &c, left)
			}
		}
	}
	a.report(t, 350)
}

// byEnds sorts flows by their ends as readConnLog writes them.
func byEnds(flows []*proto.Flow) map[string][]*proto.Flow {
	out := map[string][]*proto.Flow{}
	for _, v := range flows {
		ends := fmt.Sprintf("%v %v:%d>%v:%d", v.Transport, v.SrcIP, v.SrcPort, v.DstIP, v.DstPort)
		out[ends] = append(out[ends], v)
	}
	return out
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestNFStream compares the flows' packets with nfstream's results for nDPI's
// captures, where those are of the file as it is now (some were cut since).
func TestNFStream(t *testing.T) {
	dir := repotest.Shared(t, "captures")
	results, err := filepath.Glob(filepath.Join(dir, "nfstream", "results", "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	const long = 1e8 * time.Second // nfstream read each file as one
	var files, same int
	for _, result := range results {
		capture := filepath.Join(dir, "nDPI", "pcap", strings.TrimSuffix(filepath.Base(result), ".csv"))
		if !exists(capture) {
			continue
		}
		f, err := os.Open(result)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil || len(rows) == 0 {
			continue
		}
		var theirs, ours []uint64
		var theirSum, ourSum uint64
		for _, row := range rows[1:] {
			n, _ := strconv.ParseUint(row[1], 10, 64)
			theirs, theirSum = append(theirs, n), theirSum+n
		}
		for _, v := range flowsOf(t, capture, flow.Config{TCPIdle: long, UDPIdle: long, OtherIdle: long, ClosedIdle: long}) {
			n := v.SrcPackets + v.DstPackets
			ours, ourSum = append(ours, n), ourSum+n
		}
		if ourSum != theirSum {
			continue
		}
		slices.Sort(theirs)
		slices.Sort(ours)
		files++
		if slices.Equal(ours, theirs) {
			same++
		} else {
			t.Logf("%s: %v, nfstream has %v", filepath.Base(capture), ours, theirs)
		}
	}
	t.Logf("%d captures, %d with the very same flows", files, same)
	if files < 70 || same < files-7 {
		t.Errorf("%d captures, %d with the very same flows", files, same)
	}
}
