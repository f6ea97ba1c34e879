package tftp_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var (
	home     = [2]uint16{40000, 69}
	transfer = [2]uint16{40000, 50000} // the server answers from a port of its own
	strange  = [2]uint16{40002, 50002}
)

func request(op byte, words ...string) string {
	return string([]byte{0, op}) + strings.Join(words, "\x00") + "\x00"
}

func block(op byte, n int, data string) string {
	return string([]byte{0, op, byte(n >> 8), byte(n)}) + data
}

type said struct {
	side  int
	ports [2]uint16
	b     string
}

func play(list ...said) *dissecttest.Result {
	var packets []packet.Headers
	for _, s := range list {
		packets = append(packets, dissecttest.Datagram(s.side, s.ports, []byte(s.b)))
	}
	return dissecttest.Play(dissect.Config{}, packets)
}

func lines(r *dissecttest.Result) (list []string) {
	for _, f := range r.Facts {
		a, err := f.Attributes.MarshalJSON()
		if err != nil {
			panic(err)
		}
		list = append(list, fmt.Sprintf("%s %s %s", f.Kind, f.Speaker(), a))
	}
	return list
}

func TestTransfers(t *testing.T) {
	full := strings.Repeat("x", 512)
	const client, server = "10.1.2.3", "10.1.2.4"
	for _, tc := range []struct {
		name   string
		list   []said
		want   []string
		labels string
	}{
		{
			"read",
			[]said{{0, home, request(1, "nobody.bin", "octet")}, {1, transfer, block(3, 1, full)}, {0, transfer, block(4, 1, "")}, {1, transfer, block(3, 1, full)}, {1, transfer, block(3, 2, "end")}, {0, transfer, block(4, 2, "")}},
			[]string{`read_request ` + client + ` {"mode":"octet","role":"client"}`, `transfer ` + server + ` {"blocks":"2","bytes":"515","complete":"true","direction":"read","role":"server"}`},
			"tftp content tftp context",
		},
		{
			"write with options",
			[]said{{0, home, request(2, "nobody.bin", "OCTET", "tsize", "1500", "blksize", "1000", "x-other", "nobody")}, {1, transfer, "\x00\x06blksize\x001000\x00"}, {0, transfer, block(3, 1, strings.Repeat("x", 1000))}, {1, transfer, block(4, 1, "")}, {0, transfer, block(3, 2, full)}},
			[]string{`write_request ` + client + ` {"file_bytes":"1500","mode":"octet","options":["tsize","blksize"],"role":"client"}`, `transfer ` + server + ` {"blocks":"2","bytes":"1512","complete":"true","direction":"write","role":"server"}`},
			"tftp content tftp context",
		},
		{"an error", []said{{0, home, request(1, "nobody.bin", "octet")}, {1, transfer, block(5, 1, "no file nobody.bin\x00")}}, []string{`read_request ` + client + ` {"mode":"octet","role":"client"}`, `transfer ` + server + ` {"error":"not_found","role":"server"}`}, "tftp content tftp context"},
		{"from the port that was asked", []said{{0, home, request(1, "f", "netascii")}, {1, home, block(3, 1, "end")}}, []string{`read_request ` + client + ` {"mode":"netascii","role":"client"}`, `transfer ` + server + ` {"blocks":"1","bytes":"3","complete":"true","direction":"read","role":"server"}`}, "tftp content"},
		{"asked again", []said{{0, home, request(1, "f", "octet")}, {0, home, request(1, "f", "octet")}, {0, home, request(1, "g", "octet")}}, []string{`read_request ` + client + ` {"mode":"octet","role":"client"}`, `requests ` + client + ` {"count":"3","role":"client"}`}, "tftp content"},
		{"cut short", []said{{0, home, request(1, "f", "octet")}, {1, transfer, block(3, 1, full)}}, []string{`read_request ` + client + ` {"mode":"octet","role":"client"}`, `transfer ` + server + ` {"blocks":"1","bytes":"512","complete":"false","direction":"read","role":"server"}`}, "tftp content tftp context"},
		{"to another port", []said{{0, strange, request(2, "f", "octet")}}, []string{`write_request ` + client + ` {"mode":"octet","role":"client"}`}, "tftp content"},
		{"announced, and something else", []said{{0, home, request(1, "f", "octet")}, {1, transfer, "something else"}}, []string{`read_request ` + client + ` {"mode":"octet","role":"client"}`}, "tftp content tftp context"},
		{"data without a request", []said{{1, strange, block(3, 1, full)}, {0, strange, block(4, 1, "")}}, nil, " "},
		{"no mode", []said{{0, home, request(1, "f", "nobody")}}, nil, "tftp port"},
		{"no file", []said{{0, home, request(1, "", "octet")}}, nil, "tftp port"},
		{"no end", []said{{0, home, "\x00\x01f"}}, nil, "tftp port"},
		{"a broken option, elsewhere", []said{{0, strange, request(1, "f", "octet", "blksize")}}, nil, " "},
		{"a broken option", []said{{0, home, request(1, "f", "octet", "blksize")}}, []string{`read_request ` + client + ` {"mode":"octet","role":"client"}`}, "tftp content"},
		{"DNS", []said{{0, home, "\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x00\x00\x01\x00\x01"}}, nil, "dns content"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.list...)
			if got := lines(r); !slices.Equal(got, tc.want) && tc.name != "DNS" || len(r.Panics) > 0 {
				t.Errorf("%v got\n%s\nwant\n%s", r.Panics, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			var labels []string
			for _, f := range r.Flows {
				labels = append(labels, f.Protocol+" "+f.By)
			}
			if got := strings.Join(labels, " "); got != tc.labels && tc.name != "DNS" {
				t.Errorf("labels %q, want %q", got, tc.labels)
			}
			if strings.Contains(string(r.Everything()), "obody") {
				t.Errorf("a name leaves:\n%s", r.Everything())
			}
		})
	}
}

// What Suricata's and nDPI's captures are known to carry: RFC 1350 itself, of
// 24599 bytes.
func TestCaptures(t *testing.T) {
	for path, want := range map[string]string{
		"suricata-verify/output-eve-tftp-01/input.pcap":   `"bytes":"24599","complete":"true","direction":"read"`,
		"suricata-verify/tftp-tx-handling-wrq/input.pcap": `"bytes":"24599","complete":"true","direction":"write"`,
		"nDPI/pcap/tftp.pcap":                             `"bytes":"24599","complete":"true","direction":"read"`,
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+path)))
		if !strings.Contains(r.Text(), want) || strings.Contains(r.Text(), "rfc1350") {
			t.Errorf("%s: %s", path, r.Text())
		}
	}
	b, err := os.ReadFile(repotest.Shared(t, "captures/suricata-verify/output-eve-tftp-01/test.yaml"))
	if err != nil || !strings.Contains(string(b), `event_type: tftp`) {
		t.Errorf("the check is no longer there: %v", err)
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canary.cfg"}
	s := canary.New(secrets)
	list := []said{{0, home, request(2, "Canarella/canary.cfg", "octet", "Canarella", "canary.cfg")}, {1, transfer, "\x00\x06Canarella\x00canary.cfg\x00"}, {0, transfer, block(3, 1, "Canarella and canary.cfg")}, {1, transfer, block(5, 0, "Canarella\x00")}}
	var packets []packet.Headers
	for _, m := range list {
		packets = append(packets, dissecttest.Datagram(m.side, m.ports, []byte(m.b)))
	}
	dissecttest.Planted(t, "tftp", secrets, packets)
	for cut := range 40 {
		var x []said
		for _, m := range list {
			x = append(x, said{m.side, m.ports, m.b[:max(0, len(m.b)-cut)]})
		}
		if hits := s.Search(play(x...).Everything()); len(hits) > 0 {
			t.Fatalf("cut by %d: %v", cut, hits)
		}
	}
}

func FuzzTransfer(f *testing.F) {
	f.Add(request(2, "f", "octet", "tsize", "1500"), "\x00\x06blksize\x001000\x00", block(3, 1, "x"))
	f.Add(request(1, "f", "netascii"), block(5, 1, "x\x00"), block(4, 1, ""))
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if r := play(said{0, home, a}, said{1, transfer, b}, said{0, transfer, c}, said{1, home, c}); len(r.Panics) > 0 || len(r.Facts) > 12 {
			t.Fatal(r.Panics, len(r.Facts))
		}
	})
}
