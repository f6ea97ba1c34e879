package flow_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// table reads a file of testdata without its head.
func table(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// unlikeTshark are captures of which tshark counts otherwise, by why.
var unlikeTshark = map[string]string{}

func init() {
	for why, captures := range map[string]string{
		"the same packets before and behind a router, or on two VLANs: here no retransmissions": `
			nDPI/pcap/fix2.pcap arkime/pcap/http-post-upload.pcap nDPI/pcap/mongodb.pcap arkime/pcap/mongo.pcap zeek/Traces/vlan-pcp-dei.pcapng
			nDPI/pcap/imaps.pcap arkime/pcap/oracle.pcap malcolm-artifacts/pcap/other/Digital_Bond_S4/Advantech.pcap`,
		"tshark calls out of order what fills a hole no sooner than a round trip, or what was sent before; its round trip may be that of a SYN that was sent again": `
			suricata-verify/tcp-rst-unacked-stream-09/TLPW1-tcp-110.37.219.134-10.12.14.101-tcp-990-49230.pcap
			suricata-verify/tcp-rst-unacked-stream-10/TLPW1-tcp-174.56.47.59-10.3.11.101-tcp-80-49309.pcap
			malcolm-artifacts/pcap/plugins/zeek-asyncrat-detector/9596cf60-0da6-47a7-a375-1f25ae32d843.pcap
			malcolm-artifacts/pcap/plugins/zeek-agenttesla-detector/0e328ab7-12b2-4843-8717-a5b3ebef33a8.pcap
			nDPI/pcap/heuristic_tcp_ack_payload.pcap nDPI/pcap/psiphon3.pcap nDPI/pcap/ultrasurf.pcap nDPI/pcap/ftp-start-tls.pcap
			suricata-verify/smtp-long-DATA-line/input.pcap suricata-verify/smtp-bug-5989/input.pcap`,
		"packets that stand in the file behind the answer to them, or fill a hole sooner than a round trip: here out of order": `
			icsnpp/opcua-binary/pcaps/opcua_with-gap.pcap icsnpp/opcua-binary/tests/traces/opcua_with-gap.pcap
			icsnpp/opcua-binary/tests/traces/opcua_with-gap_with-handshake.pcap icsnpp/opcua-binary/pcaps/opcua_with-gap_with-handshake.pcap
			arkime/pcap/tcp-reassembly-synthetic.pcap suricata-verify/tcp-protodetect-bailout/input.pcap nDPI/pcap/weibo.pcap
			malcolm-artifacts/pcap/plugins/zeek-httpattacks/http.trace arkime/pcap/smtp-decrypted.pcap`,
		"what comes long after both sides' FIN is another flow, or several connections have the same ends": `
			zeek/Traces/socks.pcap nDPI/pcap/bt-http.pcapng malcolm-artifacts/pcap/protocols/DNP3.pcap`,
		"made up: SYN-ACKs with other numbers, data with the SYN, all flags at once": `
			nDPI/pcap/tls_multiple_synack_different_seq.pcapng suricata-verify/tcp-fastopen-10-syn-data-ignore/input.pcap
			zeek/Traces/modbus/fuzz-72.pcap iti-ics/bro/modbus/fuzz-72.pcap`,
		"segments that claim to be longer than the frame is: tshark leaves them out": `
			nDPI/pcap/telnet.pcap suricata-verify/telnet/telnet-01/telnet.pcap malcolm-artifacts/pcap/protocols/Telnet.pcap nDPI/pcap/fuzz-2006-06-26-2594.pcap`,
		"connections in tunnels that are not opened here": `
			nDPI/pcap/rtmp.pcap nDPI/pcap/ajp.pcap malcolm-artifacts/pcap/protocols/Tunnels.pcap`,
		"a window of zero after the other side's FIN says nothing": `
			ja4/pcap/browsers-x509.pcapng iti-ics/IEC60870-5-104/JavaRMI_and_IEC_Misc.pcap`,
		"a keep-alive of a byte that was not sent before": `
			arkime/pcap/wireshark-retrans.pcap`,
	} {
		for _, c := range strings.Fields(captures) {
			unlikeTshark[c] = why
		}
	}
}

// TestTshark compares retransmissions, zero windows and resets with the counts of
// tshark 4.0.17 (tcp.analysis.retransmission, tcp.analysis.zero_window,
// tcp.flags.reset, of packets that are not inside ICMP), for every capture in which
// it finds any.
func TestTshark(t *testing.T) {
	dir := repotest.Shared(t, "captures")
	files, same := 0, 0
	var total [3]uint64
	for _, row := range table(t, "tshark.csv") {
		path := filepath.Join(dir, row[0])
		if !exists(path) {
			continue
		}
		var got [3]uint64
		for _, f := range flowsOf(t, path) {
			got[0] += uint64(f.SrcRetransmits + f.DstRetransmits)
			got[1] += uint64(f.SrcZeroWindows + f.DstZeroWindows)
			got[2] += uint64(f.SrcResets + f.DstResets)
		}
		for i := range total {
			total[i] += got[i]
		}
		files++
		ours, theirs := fmt.Sprint(got[0], got[1], got[2]), strings.Join(row[1:], " ")
		switch why := unlikeTshark[row[0]]; {
		case ours == theirs:
			same++
		case why == "":
			t.Errorf("%s: retransmissions, zero windows, resets %s, tshark has %s", row[0], ours, theirs)
		default:
			t.Logf("%s: %s, tshark has %s: %s", row[0], ours, theirs, why)
		}
	}
	t.Logf("%d captures, %d as tshark counts; %d retransmissions, %d zero windows, %d resets", files, same, total[0], total[1], total[2])
	if files < 250 || same < files-len(unlikeTshark) {
		t.Errorf("%d captures, %d as tshark counts", files, same)
	}
}

// TestTsharkRTT compares the two halves of handshakes together with tshark's
// tcp.analysis.initial_rtt. Where the two are not both told, a part of the handshake
// was sent again, or was not there at all.
func TestTsharkRTT(t *testing.T) {
	dir := repotest.Shared(t, "captures")
	var flows map[string][]*proto.Flow
	last := ""
	all, same, untold := 0, 0, 0
	for _, row := range table(t, "tshark_rtt.csv") {
		if path := filepath.Join(dir, row[0]); path != last {
			last, flows = path, map[string][]*proto.Flow{}
			if exists(path) {
				for _, f := range flowsOf(t, path) {
					for _, ends := range []string{fmt.Sprint(f.SrcIP, " ", f.SrcPort, " ", f.DstIP, " ", f.DstPort), fmt.Sprint(f.DstIP, " ", f.DstPort, " ", f.SrcIP, " ", f.SrcPort)} {
						flows[ends] = append(flows[ends], f)
					}
				}
			}
		}
		list := flows[strings.Join(row[1:5], " ")]
		if len(list) == 0 || strings.HasPrefix(filepath.Base(row[0]), "mongo") { // of which some packets are there twice, on two VLANs
			continue
		}
		all++
		want, _ := strconv.ParseFloat(row[5], 64)
		switch {
		case slices.ContainsFunc(list, func(f *proto.Flow) bool {
			return f.SrcRTT > 0 && f.DstRTT > 0 && math.Abs(float64(f.SrcRTT+f.DstRTT)-want) <= 2
		}):
			same++
		case slices.ContainsFunc(list, func(f *proto.Flow) bool { return f.SrcRTT == 0 || f.DstRTT == 0 }):
			untold++
		default:
			t.Errorf("%s: %s has %d and %d us, tshark has %g", row[0], row[1:5], list[0].SrcRTT, list[0].DstRTT, want)
		}
	}
	t.Logf("%d handshakes, %d as long, %d not told", all, same, untold)
	if all < 460 || same < 430 {
		t.Errorf("%d handshakes, %d as long as tshark says, %d not told", all, same, untold)
	}
}

// TestZeekHistories compares what Zeek's history says with what flows say: T and t,
// something was sent again, W and w, a window of zero, R and r, a reset, and whose D
// is the first.
func TestZeekHistories(t *testing.T) {
	all, letters := 0, 0
	for log, flows := range zeekLogs(t) {
		for _, c := range readConnLog(t, log) {
			list := flows[c.ends]
			if len(list) == 0 || !strings.HasPrefix(c.ends, "tcp") || c.history == "" || elsewhere[c.ends] != "" {
				continue
			}
			v := list[0]
			flows[c.ends] = list[1:]
			all++
			if c.ends == "tcp 192.168.0.4:26284>212.227.15.166:110" {
				v.SrcRetransmits-- // of its SYN, which Zeek does not count
			}
			letters += sayTheSame(t, filepath.Base(filepath.Dir(log)), &c, v)
		}
	}
	t.Logf("%d connections, %d letters", all, letters)
	if all < 100 || letters < 15 {
		t.Errorf("%d connections, %d letters", all, letters)
	}
}

// sayTheSame gives how many letters of the history it has found to be right.
func sayTheSame(t *testing.T, log string, c *connLog, v *proto.Flow) (letters int) {
	t.Helper()
	for letter, n := range map[string]uint32{
		"T": v.SrcRetransmits, "t": v.DstRetransmits, "W": v.SrcZeroWindows, "w": v.DstZeroWindows, "R": v.SrcResets, "r": v.DstResets,
	} {
		if says := strings.Contains(c.history, letter); says != (n > 0) {
			t.Errorf("%s: %s: %d of what is %s in Zeek's history %s", log, c.ends, n, letter, c.history)
		} else if says {
			letters++
		}
	}
	first := ""
	if i := strings.IndexAny(c.history, "Dd"); i >= 0 {
		first = map[byte]string{'D': proto.BySrc, 'd': proto.ByDst}[c.history[i]]
	}
	if v.FirstPayload != first {
		t.Errorf("%s: %s: first payload from %q, Zeek's history is %s", log, c.ends, v.FirstPayload, c.history)
	}
	return letters
}

// TestOddPaths: captures of which it is known how they were taken.
func TestOddPaths(t *testing.T) {
	dir := repotest.Shared(t, "captures")
	for capture, want := range map[string]string{
		"nDPI/pcap/tls_1.2_unidirectional_server.pcapng":         "asymmetric",
		"nDPI/pcap/tls_1.2_unidirectional_server_no_cert.pcapng": "asymmetric",
		"nDPI/pcap/tls_1.3_unidirectional_client.pcapng":         "asymmetric",
		"zeek/Traces/tcp/one-sided-2745.pcap":                    "asymmetric",
		"arkime/pcap/http-post-upload.pcap":                      "two_paths",
		"nDPI/pcap/fix2.pcap":                                    "two_paths",
		"clinical/astm.pcap":                                     "",
		"zeek/Traces/wikipedia.pcap":                             "",
	} {
		if !exists(filepath.Join(dir, capture)) {
			t.Logf("%s is not there", capture)
			continue
		}
		got := map[string]bool{}
		for _, f := range flowsOf(t, filepath.Join(dir, capture)) {
			for _, word := range f.Path {
				got[word] = true
			}
		}
		if (want != "") != got[want] && want != "" || want == "" && len(got) > 0 {
			t.Errorf("%s: %v, want %q", capture, got, want)
		}
	}
}

// TestBeaconsInsideOneConnection: of these, a log of connections has one line each.
// The score is RITA's of timestamps, which is the mean of 1 less the size of Bowley's
// skew and of the share of the median that the MAD leaves (analysis/beacons.go of
// activecm/rita), over the gaps of a second and more, since it counts in seconds.
func TestBeaconsInsideOneConnection(t *testing.T) {
	dir := repotest.Shared(t, "captures")
	const asyncrat = "malcolm-artifacts/pcap/plugins/zeek-asyncrat-detector/"
	for _, tt := range []struct {
		name, capture, ends string
		side                func(*proto.Flow) *proto.Messages
		median, least       float64 // seconds, score
	}{
		{"AsyncRAT", asyncrat + "cd010953-5faf-4054-86be-58c020c3a532.pcap", "tcp 192.168.100.124:49207>181.131.218.39:4041", ofSrc, 12.5, 0.9},
		{"AsyncRAT, one minute", asyncrat + "9596cf60-0da6-47a7-a375-1f25ae32d843.pcap", "tcp 192.168.100.163:49757>94.156.71.237:4782", ofSrc, 1.0, 0.9},
		{"Merlin over QUIC", "zeek/Traces/quic/merlinc2_Zeek_example.pcapng", "udp 10.0.0.4:53241>24.199.110.233:443", ofSrc, 14.8, 0.95},
		{"a long connection", "long-connections/testing/pcaps/long_connection.pcap", "tcp 192.168.2.186:53798>192.168.2.21:1234", ofDst, 29.7, 0.95},
		{"IRC, a person", "malcolm-artifacts/pcap/protocols/IRC.pcap", "tcp 192.168.1.77:57640>66.198.80.67:6667", ofSrc, 9.2, 0},
		{"a shell, a person", "slips/dataset/test7-malicious.pcap", "tcp 192.168.2.1:51371>192.168.2.16:22", ofSrc, 1.6, 0},
	} {
		path := filepath.Join(dir, tt.capture)
		if !exists(path) {
			t.Logf("%s is not there", tt.capture)
			continue
		}
		// As it runs: in parts of a minute, which are added.
		m := sum(byEnds(flowsOf(t, path, flow.Config{ActiveTimeout: time.Minute}))[tt.ends], tt.side)
		gaps := m.Gaps.From(1024 - 64)
		median, score := gaps.Quantile(0.5)/1000, timestampScore(gaps)
		t.Logf("%-21s median gap %5.1f s, score %.2f, of %d gaps; median size %.0f, score %.2f", tt.name, median, score, gaps.Total(), m.Sizes.Quantile(0.5), dispersion(m.Sizes))
		if math.Abs(median-tt.median) > tt.median/10 || score < tt.least || (tt.least == 0 && score > 0.8) {
			t.Errorf("%s: median gap %.1f s, score %.2f, want %.1f s and %g or more", tt.name, median, score, tt.median, tt.least)
		}
	}
}

// timestampScore is RITA's; the quartiles are in milliseconds.
func timestampScore(h proto.Histogram) float64 {
	q1, q2, q3 := h.Quantile(0.25), h.Quantile(0.5), h.Quantile(0.75)
	skew := 0.0
	if q3-q1 >= 10_000 && q2 != q1 && q2 != q3 {
		skew = (q1 + q3 - 2*q2) / (q3 - q1)
	}
	return (1 - math.Abs(skew) + dispersion(h)) / 2
}

func dispersion(h proto.Histogram) float64 {
	q2 := h.Quantile(0.5)
	if q2 == 0 {
		return 0
	}
	return max(0, (q2-h.Deviation(q2))/q2)
}
