package flow_test

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
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
	c.Site, c.ActiveTimeout = "site", 1e8*time.Second
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
type connLog struct{ ends, state, srcPackets, dstPackets, srcBytes, dstBytes string }

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
			state: get("conn_state"), srcPackets: get("orig_pkts"), dstPackets: get("resp_pkts"),
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

// TestZeekConnLogs compares flows with every full conn.log among Zeek's own test
// baselines: state, and packets and IP bytes of each direction.
func TestZeekConnLogs(t *testing.T) {
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
	var got, want [4]int // ends, state, packets, bytes
	for _, row := range rows[1:] {
		capture := filepath.Join(dir, "Traces", row[0])
		for _, log := range strings.Fields(row[2]) {
			if filepath.Base(log) != "conn.log" || !exists(capture) || !exists(filepath.Join(dir, log)) {
				continue
			}
			byEnds := map[string][]*proto.Flow{}
			for _, v := range flowsOf(t, capture) {
				ends := fmt.Sprintf("%v %v:%d>%v:%d", v.Transport, v.SrcIP, v.SrcPort, v.DstIP, v.DstPort)
				byEnds[ends] = append(byEnds[ends], v)
			}
			for _, c := range readConnLog(t, filepath.Join(dir, log)) {
				if c.state == "" || strings.HasPrefix(c.ends, "icmp") || strings.Contains(c.ends, " :") || elsewhere[c.ends] != "" {
					continue
				}
				v := &proto.Flow{}
				if list := byEnds[c.ends]; len(list) > 0 {
					v, byEnds[c.ends] = list[0], list[1:]
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
					want[i]++
					if pair[0] == pair[1] && v.SrcIP.IsValid() {
						got[i]++
					} else {
						t.Logf("%s: %s: %s, Zeek has %s", row[0], c.ends, pair[0], pair[1])
					}
				}
			}
		}
	}
	for i, what := range []string{"ends", "state", "packets", "bytes"} {
		t.Logf("%s: %d of %d agree", what, got[i], want[i])
		if want[i] < 120 || float64(got[i]) < 0.99*float64(want[i]) {
			t.Errorf("%s: %d of %d agree, 99 %% are wanted", what, got[i], want[i])
		}
	}
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
