package dissect_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// tsharkCounts are tshark 4.0.17's counts of HL7 messages by type, and of DICOM's PDUs,
// requests and last responses; then what there is besides. tapirx's captures begin with a
// message in a segment of its own, which tshark takes for HL7 only once the port is known.
var tsharkCounts = []struct{ file, counts, besides string }{
	{"ward-a/day.pcapng", "dicom:associate_ac=311 dicom:associate_rq=311 dicom:c_echo=104 dicom:c_find=133 dicom:c_move=2 dicom:c_store=307 dicom:n_create=14 dicom:n_set=14 dicom:release=311 hl7:ACK=326 hl7:ORU=326 responses=574", ""},
	{"ward-a/incident-01-port-scan.pcap", "dicom:associate_ac=19 dicom:associate_rq=19 dicom:c_echo=10 dicom:c_find=9 dicom:release=19 hl7:ACK=16 hl7:ORU=16 responses=19", ""},
	{"ward-a/incident-02-pacs-bulk-query.pcap", "dicom:associate_ac=70 dicom:associate_rq=70 dicom:c_echo=9 dicom:c_find=60 dicom:c_move=20 dicom:release=70 hl7:ACK=12 hl7:ORU=12 responses=89", ""},
	{"ward-a/incident-03-monitor-external-515.pcap", "dicom:associate_ac=19 dicom:associate_rq=19 dicom:c_echo=10 dicom:c_find=9 dicom:release=19 hl7:ACK=16 hl7:ORU=16 responses=19", ""},
	{"ward-a/incident-04a-beacon-long-connection.pcap", "dicom:associate_ac=29 dicom:associate_rq=29 dicom:c_echo=15 dicom:c_find=14 dicom:release=29 hl7:ACK=24 hl7:ORU=24 responses=29", ""},
	{"ward-a/incident-04b-beacon-short-connections.pcap", "dicom:associate_ac=41 dicom:associate_rq=41 dicom:c_echo=22 dicom:c_find=19 dicom:release=41 hl7:ACK=36 hl7:ORU=36 responses=41", ""},
	{"ward-a/incident-05-pump-telnet-ftp.pcap", "dicom:associate_ac=13 dicom:associate_rq=13 dicom:c_echo=7 dicom:c_find=6 dicom:release=13 hl7:ACK=11 hl7:ORU=11 responses=13", ""},
	{"ward-a/incident-06a-arp-spoof.pcap", "dicom:associate_ac=10 dicom:associate_rq=10 dicom:c_echo=5 dicom:c_find=5 dicom:release=10 hl7:ACK=8 hl7:ORU=8 responses=10", ""},
	{"ward-a/incident-06b-rogue-dhcp.pcap", "dicom:associate_ac=10 dicom:associate_rq=10 dicom:c_echo=5 dicom:c_find=5 dicom:release=10 hl7:ACK=8 hl7:ORU=8 responses=10", ""},
	{"ward-a/incident-07-ot-write.pcap", "dicom:associate_ac=12 dicom:associate_rq=12 dicom:c_echo=7 dicom:c_find=5 dicom:release=12 hl7:ACK=12 hl7:ORU=12 responses=12", ""},
	{"ward-a/incident-08-poct-remote-command.pcap", "dicom:associate_ac=10 dicom:associate_rq=10 dicom:c_echo=5 dicom:c_find=5 dicom:release=10 hl7:ACK=8 hl7:ORU=8 responses=10", ""},
	{"ward-a/incident-09-dns-tunnel.pcap", "dicom:associate_ac=10 dicom:associate_rq=10 dicom:c_echo=5 dicom:c_find=5 dicom:release=10 hl7:ACK=8 hl7:ORU=8 responses=10", ""},
	{"ward-a/incident-10-pump-silent.pcap", "dicom:associate_ac=38 dicom:associate_rq=38 dicom:c_echo=20 dicom:c_find=18 dicom:release=38 hl7:ACK=27 hl7:ORU=27 responses=38", ""},
	{"clinical/hl7.pcap", "hl7:ACK=1 hl7:ORU=1", ""},
	{"clinical/dicom.pcap", "dicom:associate_ac=1 dicom:associate_rq=1 dicom:c_echo=1 dicom:c_find=1 dicom:c_store=1 dicom:n_create=1 dicom:n_set=1 dicom:release=1 responses=5", ""},
	{"clinical/dcmtk.pcap", "dicom:associate_ac=1 dicom:associate_rq=1 dicom:c_echo=1 dicom:release=1 responses=1", ""},
	{"tapirx/testdata/HL7-ADT-UDI-OBX.pcap", "hl7:ACK=1", "hl7:ADT=1"},
	{"tapirx/testdata/HL7-ORM.pcap", "hl7:ACK=1", "hl7:ORM=1"},
	{"tapirx/testdata/dicom_arq_1_find_testclient.pcap", "dicom:associate_rq=1", ""},
	{"tapirx/testdata/dicom_arq_3_find_bogus_local.pcap", "dicom:associate_rq=1", ""},
	{"nDPI/pcap/hl7.pcap", "hl7:ACK=1", "hl7:ADT=1"},
}

// Every message that tshark finds is found here, and no other.
func TestTsharkCounts(t *testing.T) {
	for _, tc := range tsharkCounts {
		t.Run(tc.file, func(t *testing.T) {
			path := repotest.Shared(t, "captures/"+tc.file)
			r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, path))
			n := map[string]int{}
			for _, f := range r.Facts {
				switch {
				case f.Protocol == "hl7" && f.Attributes.Get("message_type") != "" && f.Kind != "xml":
					kind, _, _ := strings.Cut(f.Attributes.Get("message_type"), "^")
					n["hl7:"+kind]++
				case f.Protocol == "hl7" && f.Kind == "unknown":
					n["hl7:unknown"]++
				case f.Protocol != "dicom" || f.Kind == "study" || strings.HasSuffix(f.Kind, "_rsp"):
				case f.Kind == "association":
					for _, s := range f.Attributes.List("statuses") {
						_, count, _ := strings.Cut(s, ":")
						x, _ := strconv.Atoi(count)
						n["responses"] += x
					}
				default:
					n["dicom:"+f.Kind]++
				}
			}
			want := strings.TrimSpace(tc.counts + " " + tc.besides)
			if got := sorted(n); got != inOrder(want) {
				t.Errorf("got  %s\nwant %s", got, inOrder(want))
			}
		})
	}
}

// The pinned counts are tshark's, where there is one of that version.
func TestTsharkIsPinned(t *testing.T) {
	version, err := exec.Command("tshark", "--version").Output()
	if err != nil || !strings.Contains(string(version), "4.0.17") {
		t.Skip("no tshark 4.0.17")
	}
	requests := regexp.MustCompile(`\b([CN]-(?:[A-Z]+-)*?[A-Z]+)-(RQ|RSP)( ID=\d+)?(?: [A-Z]=\d+)*( \([^)]*\))?(-DATA)?`)
	pdus := map[string]string{"0x01": "associate_rq", "0x02": "associate_ac", "0x03": "associate_rj", "0x05": "release", "0x07": "abort"}
	for _, tc := range tsharkCounts {
		if strings.Contains(tc.file, "incident") && !all() {
			continue // each takes a second or more
		}
		out, err := exec.Command("tshark", "-r", repotest.Shared(t, "captures/"+tc.file), "-Y", "hl7 or dicom", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;", //nolint:gosec // the capture of a test
			"-e", "hl7.message.type", "-e", "dicom.pdu.type", "-e", "_ws.col.Info").Output()
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for line := range strings.SplitSeq(string(out), "\n") {
			part := append(strings.Split(line, "\t"), "", "", "")
			for s := range strings.SplitSeq(part[0], ";") {
				if s != "" {
					n["hl7:"+s]++
				}
			}
			for s := range strings.SplitSeq(part[1], ";") {
				if pdus[s] != "" {
					n["dicom:"+pdus[s]]++
				}
			}
			for _, m := range requests.FindAllStringSubmatch(part[2], -1) {
				switch {
				case m[5] != "": // a part of the data set
				case m[2] == "RQ":
					n["dicom:"+strings.ToLower(strings.ReplaceAll(m[1], "-", "_"))]++
				case m[4] != "": // a status; those that are pending have none here
					n["responses"]++
				}
			}
		}
		if got := sorted(n); got != inOrder(tc.counts) {
			t.Errorf("%s: %s, pinned %s", tc.file, got, inOrder(tc.counts))
		}
	}
}

func sorted(n map[string]int) string {
	var list []string
	for k, v := range n {
		list = append(list, fmt.Sprintf("%s=%d", k, v))
	}
	return inOrder(strings.Join(list, " "))
}

func inOrder(s string) string {
	list := strings.Fields(s)
	slices.Sort(list)
	return strings.Join(list, " ")
}
