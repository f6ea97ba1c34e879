package enip_test

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/enip"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var unhex = dissecttest.Hex

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// encapsulate puts the encapsulation's header before data.
func encapsulate(command byte, b []byte) []byte {
	h := binary.LittleEndian.AppendUint16([]byte{command, 0}, uint16(len(b)))
	return join(h, make([]byte, 20), b)
}

// rr is a CIP message without connection.
func rr(cip ...[]byte) []byte {
	m := join(cip...)
	return encapsulate(0x6f, join(unhex("00000000 0000 0200 0000 0000 b200"), binary.LittleEndian.AppendUint16(nil, uint16(len(m))), m))
}

// unit is one in a connection.
func unit(cip ...[]byte) []byte {
	m := join([]byte{1, 0}, join(cip...))
	return encapsulate(0x70, join(unhex("00000000 0000 0200 a100 0400 11223344 b100"), binary.LittleEndian.AppendUint16(nil, uint16(len(m))), m))
}

// attributes are those of an identity object.
func attributes(serial string, name string) []byte {
	return join(unhex("0100 0c00 3a00 04 03 3000"), unhex(serial), []byte{byte(len(name))}, []byte(name))
}

func listed(name string) []byte {
	item := join(unhex("0100 0002 af12 0a010203 0000000000000000"), attributes("8e4d5200", name), []byte{3})
	return encapsulate(0x63, join([]byte{1, 0, 0x0c, 0}, binary.LittleEndian.AppendUint16(nil, uint16(len(item))), item))
}

var register = encapsulate(0x65, unhex("0100 0000"))

func TestEverything(t *testing.T) {
	secret := "PHI-CANARY-0001"
	tag := join([]byte{0x91, byte(len(secret))}, []byte(secret), []byte{0})
	words := byte(len(tag) / 2)
	routed := unhex("01 02 20 01 24 01")
	c := dissecttest.Talk(
		[2][]byte{register, register},
		[2][]byte{encapsulate(0x63, nil), listed("1756-ENBT/A")},
		[2][]byte{rr(unhex("01 02 20 01 24 01")), rr(unhex("81 00 00 00"), attributes("01020304", "1756-ENBT/A"))},
		[2][]byte{rr(unhex("52 02 20 06 24 01 07 e8 0600"), routed, unhex("01 00 01 00")), rr(unhex("81 00 00 00"), attributes("05060708", "1756-L61"))},
		[2][]byte{unit([]byte{0x4d, words}, tag, unhex("c400 0100 2a000000")), unit(unhex("cd 00 00 00"))},
		[2][]byte{unit([]byte{0x4d, words}, tag, unhex("c400 0100 2a000000")), unit(unhex("cd 00 05 00"))},
		[2][]byte{unit([]byte{0x4c, words}, tag, unhex("0100")), unit(unhex("cc 00 00 00"), []byte(secret))},
		[2][]byte{unit(unhex("0a 02 20 02 24 01 0200 0600 0e00"), unhex("03 02 20 01 24 01 0000"), unhex("10 03 20 f5 24 01 30 05 0000")), nil},
		[2][]byte{rr(unhex("07 02 20 8e 24 01")), rr(unhex("87 00 00 00"))},
		[2][]byte{rr(unhex("05 02 20 01 24 01")), nil},
		[2][]byte{rr(unhex("4b 02 20 67 24 01 07 4d00 11223344 0f 00 0100 80 08")), nil},
	)
	dissecttest.SaysWhateverTheCut(t, c, "enip", `list_identity 0 {"role":"client"}
identity 1 {"device_type":"communications_adapter","firmware_version":"4.3","product":"1756-ENBT/A","product_code":"58","role":"server","serial":"00524d8e","vendor":"Rockwell Automation","vendor_id":"1"}
identity 1 {"device_type":"communications_adapter","firmware_version":"4.3","product":"1756-ENBT/A","product_code":"58","role":"server","serial":"04030201","vendor":"Rockwell Automation","vendor_id":"1"}
identity 2 cip:1:08070605 {"device_type":"communications_adapter","firmware_version":"4.3","product":"1756-L61","product_code":"58","role":"server","serial":"08070605","vendor":"Rockwell Automation","vendor_id":"1"}
write 0 {"role":"client","service":"write_tag"}
error 1 {"role":"server","service":"write_tag","status":"0x5"}
write 0 {"class":"tcp_ip","role":"client","service":"set_attribute_single"}
control 0 {"class":"controller","role":"client","service":"stop"}
control 0 {"class":"identity","role":"client","service":"reset"}
control 0 {"class":"pccc","role":"client","service":"pccc_change_mode"}
transactions 0 {"role":"client","services":["execute_pccc:1","get_attribute_list:1","get_attributes_all:2","multiple_service_packet:1","read_tag:1","reset:1","set_attribute_single:1","stop:1","unconnected_send:1","write_tag:2"]}`)
	dissecttest.KeepsToItself(t, []string{secret}, c)
	dissecttest.PlantedTalks(t, "enip", 9999, []string{secret}, c)
	if r := dissecttest.Play(dissect.Config{}, c[2:].Segments(false)); len(r.Of("enip", "identity")) != 3 {
		t.Errorf("from the middle on:\n%s", dissecttest.Said(r))
	}
}

func TestDatagrams(t *testing.T) {
	for _, tc := range []struct {
		name  string
		b     []byte
		label string
		facts int
	}{
		{"list", listed("X"), "enip", 1},
		{"question", encapsulate(0x63, nil), "enip", 1},
		{"services", encapsulate(0x04, unhex("0100 0001 1400 0100 2001 436f6d6d756e69636174696f6e730000")), "enip", 0},
		{"cyclic data", unhex("0200 0280 0800 0b0000000100 0000 b100 0400 01020304"), "enip", 0},
		{"another length", append(listed("X"), 0), "", 0},
		{"cyclic data of another length", unhex("0200 0280 0800 0b0000000100 0000 b100 0500 01020304"), "", 0},
		{"options", append(encapsulate(0x63, nil)[:20], 1, 0, 0, 0), "", 0},
		{"damaged", encapsulate(0x63, unhex("0100 0c00 ff00 00")), "enip", 0},
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 40001}, tc.b)})
		if r.Flows[0].Protocol != tc.label || len(r.Facts) != tc.facts || len(r.Panics) > 0 {
			t.Errorf("%s: %q %s %v", tc.name, r.Flows[0].Protocol, dissecttest.Said(r), r.Panics)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"an HTTP/2 preface":  []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		"another version":    encapsulate(0x65, unhex("0200 0000")),
		"a status of no use": append(append(register[:8:8], 9), register[9:]...),
		"text":               []byte("continue, and go on for a long while"),
	} {
		if v := enip.Protocol.Recognise(b, false); v != dissector.No {
			t.Errorf("%s: %d", name, v)
		}
	}
}

// TestPeer compares with the logs that ICSNPP's tests expect: how often each
// service was asked for, and which device lists its identity.
func TestPeer(t *testing.T) {
	root := repotest.Shared(t, "captures/icsnpp/enip/tests")
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/traces/enip_cip_example.pcap"))
	b, err := os.ReadFile(root + "/baseline/analyzer.basic/cip.log")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Split(line, "\t")
		if len(f) > 14 && line[0] != '#' && f[12] == "request" {
			want[strings.ReplaceAll(strings.ToLower(f[14]), " ", "_")]++
		}
	}
	got := r.Counts(t, "enip", "transactions", "services")
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %d, ICSNPP has %d", name, got[name], n)
		}
	}
	if len(want) < 3 {
		t.Errorf("only %v: the log is no longer read", want)
	}
	f := r.Of("enip", "identity")
	if len(f) != 1 || f[0].Attributes.Get("product") != "1756-ENBT/A" || f[0].Attributes.Get("serial") != "00524d8e" || f[0].Attributes.Get("firmware_version") != "4.3" {
		t.Error(dissecttest.Said(r))
	}
}

func FuzzStream(f *testing.F) {
	f.Add(rr(unhex("01 02 20 01 24 01")), rr(unhex("81 00 00 00"), attributes("01020304", "X")), 30)
	f.Add(unit(unhex("0a 02 20 02 24 01 0200 0600 0e00"), unhex("03 02 20 01 24 01 0000")), listed("X"), 11)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "enip", dissecttest.Talk([2][]byte{a, b}, [2][]byte{a, b}), cut, cut/2)
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{1, 44818}, a)})
		if len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
