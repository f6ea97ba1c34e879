package hartip_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/hartip"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var unhex = dissecttest.Hex

func message(kind, id byte, body []byte) []byte {
	return append([]byte{1, kind, id, 0, 0, 7, 0, byte(8 + len(body))}, body...)
}

// hart is a command with its checksum.
func hart(delimiter, command byte, data []byte) []byte {
	b := append([]byte{delimiter, 0xa6, 0x4e, 0, 0, 0xd2, command, byte(len(data))}, data...)
	sum := byte(0)
	for _, x := range b {
		sum ^= x
	}
	return append(b, sum)
}

var (
	initiate = message(0, 0, unhex("01 000927c0"))
	identify = message(0, 3, hart(0x82, 0, nil))
	answered = message(1, 3, hart(0x86, 0, unhex("0000 fe 264e 05 07 04 01 0c 00 0000d2 05 02 0003 00 0026 0026 84")))
)

const said = `{"device_revision":"4","device_type":"264e","hardware_version":"1","hart_revision":"7","role":"server","serial":"0000d2","software_version":"1","vendor_id":"38"}`

func TestEverything(t *testing.T) {
	secret := "PHI-CANARY-0001"
	c := dissecttest.Talk(
		[2][]byte{initiate, message(1, 0, unhex("01 000927c0"))}, [2][]byte{identify, answered}, [2][]byte{message(0, 2, nil), message(1, 2, nil)},
		[2][]byte{message(0, 3, hart(0x82, 22, []byte(secret))), message(1, 3, hart(0x86, 20, append([]byte{0, 0}, secret...)))},
	)
	dissecttest.SaysWhateverTheCut(t, c, "hart_ip", "identity 1 "+said+"\n"+`write 0 {"operation":"write_long_tag","role":"client"}`)
	dissecttest.KeepsToItself(t, []string{secret}, c)
	dissecttest.PlantedTalks(t, "hart_ip", 9999, []string{secret}, c)
}

func TestDatagrams(t *testing.T) {
	bad := message(0, 3, hart(0x82, 0, nil))
	bad[len(bad)-1] ^= 1
	for _, tc := range []struct {
		name  string
		ports [2]uint16
		b     []byte
		label string
	}{
		{"session", [2]uint16{1, 2}, initiate, "hart_ip"},
		{"answer", [2]uint16{5095, 40000}, answered, "hart_ip"},
		{"a wrong checksum", [2]uint16{1, 5094}, bad, "hart_ip"},
		{"a wrong checksum elsewhere", [2]uint16{1, 2}, bad, ""},
		{"keep alive elsewhere", [2]uint16{1, 2}, message(0, 2, nil), ""},
		{"another length", [2]uint16{1, 5094}, append(message(0, 2, nil), 0), "hart_ip"},
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, tc.ports, tc.b)})
		known := r.Flows[0].By == "content"
		if want := tc.label != "" && tc.name != "another length" && tc.name != "a wrong checksum"; known != want || len(r.Panics) > 0 {
			t.Errorf("%s: %q %q", tc.name, r.Flows[0].Protocol, r.Flows[0].By)
		}
	}
	for name, b := range map[string][]byte{"a keep alive alone": message(0, 2, nil), "text": []byte("hello"), "a wrong checksum": bad} {
		if v := hartip.Protocol.Recognise(b, false); v != dissector.No {
			t.Errorf("%s: %d", name, v)
		}
	}
}

// TestPeer pins what ICSNPP reads of the same device.
func TestPeer(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/icsnpp/hart-ip/testing/traces/hart-ip_publish_and_keepAlive.pcapng")))
	f := r.Of("hart_ip", "identity")
	if len(f) == 0 || f[0].Attributes.Get("serial") != "95266f" || f[0].Attributes.Get("software_version") != "50" || f[0].Attributes.Get("device_revision") != "2" { // 9774703
		t.Error(dissecttest.Said(r))
	}
}

func FuzzStream(f *testing.F) {
	f.Add(initiate, answered, 9)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "hart_ip", dissecttest.Talk([2][]byte{a, b}, [2][]byte{message(0, 3, hart(0x82, 0, a[:min(len(a), 200)])), message(1, 3, hart(0x86, 0, b[:min(len(b), 200)]))}), cut, cut/2)
	})
}
