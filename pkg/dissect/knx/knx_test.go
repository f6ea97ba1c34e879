package knx_test

import (
	"bytes"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/knx"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var unhex = dissecttest.Hex

func message(service string, body ...[]byte) []byte {
	b := append(append([]byte{6, 0x10}, unhex(service)...), 0, 0)
	b = append(b, bytes.Join(body, nil)...)
	b[5] = byte(len(b))
	return b
}

// described is a device's description, with a name that somebody typed.
func described(name string) []byte {
	return bytes.Join([][]byte{
		unhex("36 01 02 01 1101 0000 00c5 01020304 e000170c 001122334455"), append([]byte(name), make([]byte, 30-len(name))...),
		unhex("08 02 02 01 04 01 05 01"),
	}, nil)
}

const endpoint = "08 01 0a010203 0e57"

func TestDatagrams(t *testing.T) {
	secret := "PHI-CANARY-0001"
	ports := [2]uint16{40000, 3671}
	var planted []packet.Headers
	for _, tc := range []struct {
		name string
		b    []byte
		want string
	}{
		{"search", message("0201", unhex(endpoint)), `search 0 {"role":"client"}`},
		{"found", message("0202", unhex(endpoint), described(secret)), `device 0 {"knx_address":"1.1.1","mac":"00:11:22:33:44:55","medium":"tp1","programming":"true","role":"server","serial":"00c501020304","services":["core","tunnelling","routing"],"vendor":"Weinzierl","vendor_id":"197"}`},
		{"described", message("0204", described(secret), unhex("04 fe 0002")), `device 0 {"knx_address":"1.1.1","mac":"00:11:22:33:44:55","medium":"tp1","programming":"true","role":"server","serial":"00c501020304","services":["core","tunnelling","routing"],"vendor":"ABB","vendor_id":"2"}`},
		{"connect", message("0205", unhex(endpoint), unhex(endpoint), unhex("04 04 02 00")), `connect 0 {"connection":"tunnel","role":"client"}`},
		{"light", message("0420", unhex("04 01 00 00 11 00 bc e0 0000 0901 01 00 81")), ""},
		{"restart", message("0420", unhex("04 01 00 00 11 00 bc 60 0000 1105 01 03 80")), `control 0 {"operation":"restart","role":"client"}`},
		{"property", message("0310", unhex("04 01 00 00 f6 000b 01 34 10 01 01")), `control 0 {"operation":"property_write","role":"client"}`},
		{"secure", message("0951", unhex(endpoint), make([]byte, 32)), `connect 0 {"connection":"secure","role":"client"}`},
		{"routing", message("0530", unhex("29 00 bc d0 1101 0901 01 00 81")), ""},
		{"cut", message("0202", unhex("08 01")), ""},
		{"a description that is too long", message("0204", unhex("ff 01 02")), ""},
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, ports, tc.b)})
		if got := dissecttest.Said(r); got != tc.want || r.Flows[0].Protocol != "knx" || r.Flows[0].By != "content" || len(r.Panics) > 0 {
			t.Errorf("%s: %v %s\n%s\nwant\n%s", tc.name, r.Panics, r.Flows[0].Protocol, got, tc.want)
		}
		if bytes.Contains(r.Everything(), []byte("CANARY")) {
			t.Errorf("%s: %s", tc.name, r.Text())
		}
		planted = append(planted, dissecttest.Datagrams(ports, tc.b)...)
	}
	dissecttest.Planted(t, "knx", []string{secret}, planted)
	for name, b := range map[string][]byte{
		"another length": append(message("0201", unhex(endpoint)), 0), "another service": message("0301"), "another version": unhex("06 11 0201 0006"),
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, ports, b)})
		if r.Flows[0].By == "content" {
			t.Errorf("%s is taken for KNX", name)
		}
	}
}

func TestStream(t *testing.T) {
	dissecttest.SaysWhateverTheCut(t, dissecttest.Talk(
		[2][]byte{message("0203", unhex("08 02 00000000 0000")), message("0204", described("x"))},
		[2][]byte{message("0420", unhex("04 01 00 00 11 00 bc 60 0000 1105 01 03 80")), message("0421", unhex("04 01 00 00"))},
	), "knx", `description_request 0 {"role":"client"}
device 1 {"knx_address":"1.1.1","mac":"00:11:22:33:44:55","medium":"tp1","programming":"true","role":"server","serial":"00c501020304","services":["core","tunnelling","routing"],"vendor":"Weinzierl","vendor_id":"197"}
control 0 {"operation":"restart","role":"client"}`)
	if v := knx.Protocol.Recognise([]byte("\x06\x10hello"), false); v != dissector.No {
		t.Error(v)
	}
}

// Both flows of nDPI's capture.
func TestPeer(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/knxip.pcapng")))
	for _, f := range r.Flows {
		if f.Protocol != "knx" || f.By != "content" {
			t.Errorf("%s %s", f.Protocol, f.By)
		}
	}
	if len(r.Flows) != 2 {
		t.Error(len(r.Flows))
	}
}

func FuzzStream(f *testing.F) {
	f.Add(message("0203", unhex("08 02 00000000 0000")), message("0204", described("x")), 9)
	f.Add(message("0420", unhex("04 01 00 00 11 00 bc 60 0000 1105 01 03 80")), message("0202", unhex(endpoint), described("x")), 9)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "knx", dissecttest.Talk([2][]byte{a, b}, [2][]byte{message("0420", a[:min(len(a), 200)]), message("0204", b[:min(len(b), 200)])}), cut, cut/2)
	})
}
