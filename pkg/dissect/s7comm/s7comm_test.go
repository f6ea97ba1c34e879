package s7comm_test

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/s7comm"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var unhex = dissecttest.Hex

func tpkt(b []byte) []byte {
	return append([]byte{3, 0, byte((len(b) + 4) >> 8), byte(len(b) + 4)}, b...)
}

func data(b []byte) []byte { return tpkt(append([]byte{2, 0xf0, 0x80}, b...)) }

// s7 is a message with its parameters and data; kind 3 has an error.
func s7(kind byte, p, d []byte) []byte {
	b := []byte{0x32, kind, 0, 0, 0, 7}
	b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(d)))
	if kind == 3 {
		b = append(b, 0, 0)
	}
	return data(append(append(b, p...), d...))
}

// record is a record of a list: an index, and a text filled up with spaces.
func record(index byte, text string, n int) []byte {
	return append([]byte{0, index}, (text + strings.Repeat(" ", n))[:n]...)
}

// list is an answer with a list.
func list(id uint16, more byte, records ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = append(b, 0, 0, 0, byte(len(records[0])), 0, byte(len(records)))
	for _, r := range records {
		b = append(b, r...)
	}
	return part(more, b)
}

func part(more byte, b []byte) []byte {
	d := append([]byte{0xff, 9, byte(len(b) >> 8), byte(len(b))}, b...)
	return s7(7, []byte{0, 1, 0x12, 8, 0x12, 0x84, 1, 1, 0, more, 0, 0}, d)
}

var (
	connect   = tpkt(unhex("11 e0 0000 0001 00 c1 02 0100 c2 02 0102 c0 01 0a"))
	confirm   = tpkt(unhex("11 d0 0001 0002 00 c0 01 0a c1 02 0100 c2 02 0102"))
	setup     = s7(1, unhex("f0 00 0001 0001 01e0"), nil)
	setUp     = s7(3, unhex("f0 00 0001 0001 00f0"), nil)
	readList  = s7(7, unhex("00 01 12 04 11 44 01 00"), unhex("ff 09 0004 0011 0000"))
	writeDB   = s7(1, unhex("05 01 12 0a 10 02 0001 0005 84 000000"), append(unhex("00 04 00 08"), "PHI-CANARY"...))
	written   = s7(3, unhex("05 01"), []byte{0xff})
	stop      = s7(1, append(unhex("29 0000000000 09"), "P_PROGRAM"...), nil)
	start     = s7(1, append(unhex("28 000000000000 fd 0000 09"), "P_PROGRAM"...), nil)
	download  = s7(1, append(unhex("1a 00 0000 00000000 09"), "_0A00001P"...), nil)
	login     = s7(7, unhex("00 01 12 04 11 45 01 00"), append(unhex("ff 09 0008"), "CANARYPW"...))
	clock     = s7(7, unhex("00 01 12 04 11 47 02 00"), unhex("ff 09 0002 0000"))
	modules   = list(0x11, 0, append(record(1, "6ES7 315-2EH14-0AB0", 20), 0, 0xc0, 0, 4, 0, 1), append(record(6, "6ES7 315-2EH14-0AB0", 20), 0, 0xc0, 0, 4, 0, 1), append(record(7, "", 20), 0, 0xc0, 'V', 3, 2, 6))
	component = list(0x1c, 0, record(1, "STATION", 32), record(3, "PHI-CANARY plant", 32), record(5, "S C-1234", 32), record(7, "CPU 315-2 PN/DP", 32))
	mode      = list(0x424, 0, unhex("5102ff08 00000000 00000000 0000000000000000"))
)

func TestEverything(t *testing.T) {
	whole := component[4+3+10+12+4:]
	c := dissecttest.Talk(
		[2][]byte{connect, confirm}, [2][]byte{setup, setUp}, [2][]byte{readList, modules}, [2][]byte{readList, part(1, whole[:50])},
		[2][]byte{readList, part(0, whole[50:])}, [2][]byte{readList, mode}, [2][]byte{readList, modules}, [2][]byte{writeDB, written}, [2][]byte{writeDB, written},
		[2][]byte{download, nil}, [2][]byte{stop, nil}, [2][]byte{start, nil}, [2][]byte{login, nil}, [2][]byte{clock, nil},
	)
	dissecttest.SaysWhateverTheCut(t, c, "s7comm", `connect 0 {"connection":"pg","rack":"0","role":"client","slot":"2"}
identity 1 {"firmware_version":"3.2.6","hardware_version":"4","manufacturer":"Siemens","model":"6ES7 315-2EH14-0AB0","role":"server"}
identity 1 {"product":"CPU 315-2 PN/DP","role":"server","serial":"S C-1234","system_name":"STATION"}
state 1 {"role":"server","state":"run"}
write 0 {"area":"db 5","role":"client"}
download 0 {"block":"DB1","role":"client"}
control 0 {"operation":"stop","role":"client"}
control 0 {"operation":"start","role":"client"}
login 0 {"cleartext_credential":"password","role":"client"}
control 0 {"operation":"set_clock","role":"client"}
transactions 0 {"functions":["cpu_functions:5","pi_service:1","plc_stop:1","request_download:1","security:1","setup_communication:1","time:1","write_var:2"],"role":"client"}`)
	dissecttest.KeepsToItself(t, []string{"PHI-CANARY", "CANARYPW"}, c)
	dissecttest.PlantedTalks(t, "s7comm", 9999, []string{"PHI-CANARY", "CANARYPW"}, c)
	if r := dissecttest.Play(dissect.Config{}, c[2:].Segments(false)); len(r.Of("s7comm", "identity")) != 2 {
		t.Errorf("from the middle on:\n%s", dissecttest.Said(r))
	}
}

func TestPlus(t *testing.T) {
	hello := data(append(unhex("72 01 0030 32 0000 04ca 0000 0001 36 00 15"), "1;6ES7 212-1BE31-0XB0 ;V3.0\x82\x23 72 01 00 00"...))
	c := dissecttest.Talk([2][]byte{tpkt(append(unhex("15 e0 0000 0001 00 c1 02 0600 c2 10"), "SIMATIC-ROOT-HMI"...)), confirm}, [2][]byte{data(unhex("72 01 0004 31 0000 04ca")), hello})
	c[0].Data[4] = byte(len(c[0].Data) - 5)
	dissecttest.SaysWhateverTheCut(t, c, "s7comm", `connect 0 {"connection":"SIMATIC-ROOT-HMI","role":"client"}
identity 1 {"firmware_version":"3.0","manufacturer":"Siemens","model":"6ES7 212-1BE31-0XB0","role":"server"}`)
}

func TestRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"RDP":                append(tpkt(append(unhex("27 e0 0000 0000 00"), "Cookie: mstshash=someone\r\n\x01\x00\x08\x00\x03\x00\x00\x00"...)), 0),
		"MMS":                append(connect, data(unhex("0d b7 05 06 13 01 00 16 01 02 14 02 00 02"))...),
		"another version":    unhex("02 00 00 16 11 e0 0000"),
		"a kind of no use":   append(connect, data(unhex("32 05 0000 0007 0000 0000"))...),
		"a length too small": unhex("03 00 00 06 01 f0"),
		"text":               []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		if v := s7comm.Protocol.Recognise(b, false); v != dissector.No {
			t.Errorf("%s: %d", name, v)
		}
	}
	if v := s7comm.Protocol.Recognise(connect, false); v != dissector.More {
		t.Errorf("what sets up the transport alone: %d", v)
	}
}

func TestDamaged(t *testing.T) {
	for name, tc := range map[string]struct {
		b       []byte
		counter string
	}{
		"parameters beyond the end": {data(unhex("32 01 0000 0007 00ff 0000")), "s7comm_malformed"},
		"rubbish between":           {unhex("ffff"), "s7comm_not_a_message"},
		"another protocol":          {data(unhex("33 01")), "s7comm_other"},
	} {
		r := dissecttest.Play(dissect.Config{}, dissecttest.Talk([2][]byte{connect, confirm}, [2][]byte{setup, setUp}, [2][]byte{tc.b, nil}, [2][]byte{stop, nil}).Segments(true))
		if r.Counters[tc.counter] != 1 || len(r.Of("s7comm", "control")) != 1 {
			t.Errorf("%s: %v\n%s", name, r.Counters, dissecttest.Said(r))
		}
	}
}

// TestPeer compares with the logs that ICSNPP's tests expect: how often each job
// was asked for, and which device answers.
func TestPeer(t *testing.T) {
	root := repotest.Shared(t, "captures/icsnpp/s7comm/tests")
	names := map[string]string{
		"Setup Communication": "setup_communication", "Read Variable": "read_var", "Write Variable": "write_var", "Start Upload": "start_upload",
		"Upload": "upload", "End Upload": "end_upload", "PLC Stop": "plc_stop", "PLC Control": "pi_service", "Request Download": "request_download",
		"Request: CPU Functions": "cpu_functions", "Request: Block Functions": "block_functions", "Request: Time Functions": "time", "Request: Security": "security",
	}
	total := 0
	for capture, log := range map[string]string{"snap7": "snap7", "s7ident": "s7ident", "s7comm_plus": "s7comm_plus"} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/traces/"+capture+".pcap"))
		b, err := os.ReadFile(root + "/baseline/analyzer." + log + "/s7comm.log")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		for _, line := range strings.Split(string(b), "\n") {
			f := strings.Split(line, "\t")
			if len(f) > 15 && line[0] != '#' && (f[11] == "1" || strings.HasPrefix(f[15], "Request")) && f[12] != "ACK-Data" {
				if names[f[15]] == "" {
					t.Errorf("%s: no name for %q", capture, f[15])
				}
				want[names[f[15]]]++
			}
		}
		got := r.Counts(t, "s7comm", "transactions", "functions")
		for name, n := range want {
			if capture == "snap7" && name == "cpu_functions" {
				n++ // the request for the rest of a list; Wireshark counts it too
			}
			if total++; got[name] != n {
				t.Errorf("%s: %s: %d, ICSNPP has %d", capture, name, got[name], n)
			}
		}
	}
	if t.Logf("%d values", total); total < 10 {
		t.Errorf("only %d values: the logs are no longer read", total)
	}
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/traces/s7ident.pcap"))
	if f := r.Of("s7comm", "identity"); len(f) != 2 || f[0].Attributes.Get("system_name")+f[1].Attributes.Get("system_name") != "SNAP7-SERVER" || f[0].Attributes.Get("serial")+f[1].Attributes.Get("serial") != "S C-C2UR28922012" {
		t.Error(dissecttest.Said(r))
	}
}

func FuzzStream(f *testing.F) {
	f.Add(append(connect, setup...), append(confirm, modules...), 30)
	f.Add(append(setup, download...), append(setUp, part(1, []byte("x"))...), 11)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "s7comm", dissecttest.Talk([2][]byte{a, b}, [2][]byte{a, b}), cut, cut/2)
	})
}
