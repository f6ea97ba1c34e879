package profinet_test

import (
	"bytes"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var unhex = dissecttest.Hex

func dcp(id, service string, blocks ...[]byte) []byte {
	all := bytes.Join(blocks, nil)
	return append(append(append(unhex(id), unhex(service)...), unhex("00000001 0000")...), append([]byte{byte(len(all) >> 8), byte(len(all))}, all...)...)
}

// block is a block of an answer, with its information of two bytes.
func block(option string, value []byte) []byte {
	b := append(unhex(option), 0, byte(len(value)+2), 0, 0)
	b = append(b, value...)
	if len(value)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func run(b []byte) *dissecttest.Result {
	return dissecttest.Play(dissect.Config{}, []packet.Headers{{EtherType: 0x8892, SrcMAC: proto.MAC{2, 0, 0, 0, 0, 9}, DstMAC: proto.MAC{2, 0, 0, 0, 0, 8}, LinkPayload: b, Packets: 1}})
}

func TestFrames(t *testing.T) {
	for _, tc := range []struct {
		name string
		b    []byte
		want string
	}{
		{"identify", dcp("fefe", "0500", block("ffff", nil)), `identify 0 {"role":"client"}`},
		{
			"device", append(dcp("feff", "0501", block("0201", []byte("S7-1200")), block("0202", []byte("plc-west")), block("0203", unhex("002a 010d")), block("0204", unhex("02 00")), block("0102", unhex("0a010209 ffffff00 0a010201"))), make([]byte, 9)...),
			`device 0 {"device_id":"0x010d","ip":"10.1.2.9","model":"S7-1200","role":"server","roles":["io_controller"],"station_name":"plc-west","vendor":"Siemens","vendor_id":"0x002a"}`,
		},
		{"set", dcp("fefd", "0400", block("0202", []byte("new")), block("0102", unhex("0a010209 ffffff00 0a010201"))), `set 0 {"operations":["station_name","ip"],"role":"client","target_mac":"02:00:00:00:00:08"}`},
		{"reset", dcp("fefd", "0400", block("0506", unhex("0001"))), `set 0 {"operations":["reset"],"role":"client","target_mac":"02:00:00:00:00:08"}`},
		{"get", dcp("fefd", "0300", unhex("0202")), ""},
		{"data", unhex("8000 0102030405060708090a0b0c0d"), ""},
		{"damaged", dcp("feff", "0501", unhex("0201 00ff 4141")), `device 0 {"role":"server"}`},
		{"short", unhex("feff 0501"), ""},
	} {
		r := run(tc.b)
		if got := dissecttest.Said(r); got != tc.want || len(r.Panics) > 0 {
			t.Errorf("%s: %v\n%s\nwant\n%s", tc.name, r.Panics, got, tc.want)
		}
	}
}

// A new name, an alias and what makers put into blocks of their own stay behind.
func TestCanaries(t *testing.T) {
	secrets := []string{"canary-new-name", "CANARY-ALFA"}
	alias, own := block("0206", []byte("CANARY-ALFA")), block("8001", []byte("CANARY-ALFA"))
	list := [][]byte{
		dcp("fefd", "0400", block("0202", []byte("canary-new-name")), alias, own), dcp("fefe", "0500", block("0202", []byte("canary-new-name"))), dcp("fefe", "0500", alias),
		dcp("feff", "0501", alias, own, block("0203", unhex("002a 010d"))), append(unhex("8000"), "CANARY-ALFA in cyclic data"...),
	}
	var planted []packet.Headers
	for _, b := range list {
		for cut := range len(b) {
			if r := run(b[:len(b)-cut]); len(canary.Search(r.Everything(), secrets)) > 0 || len(r.Panics) > 0 {
				t.Fatal(r.Panics, r.Text())
			}
		}
		for _, x := range [][]byte{b, b[:len(b)*2/3]} {
			planted = append(planted, packet.Headers{EtherType: 0x8892, SrcMAC: proto.MAC{2, 0, 0, 0, 0, 9}, DstMAC: proto.MAC{2, 0, 0, 0, 0, 8}, LinkPayload: x})
		}
	}
	dissecttest.Planted(t, "profinet", secrets, planted)
}

// What Wireshark 4.0 shows of the same frames.
func TestCapture(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/icsnpp/profinet-io-cm/testing/traces/profinet_io_cm_mixed_1.pcap")))
	f := r.Of("profinet", "device")
	if len(f) != 1 || f[0].Attributes.Get("station_name") != "versamax-pns11" || f[0].Attributes.Get("model") != "IC200PNS001" || len(r.Of("profinet", "identify")) != 18 {
		t.Error(len(f), len(r.Of("profinet", "identify")))
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(dcp("feff", "0501", block("0201", []byte("S7-1200"))))
	f.Add(dcp("fefd", "0400", block("0202", []byte("new"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := run(b); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
