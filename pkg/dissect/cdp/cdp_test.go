package cdp_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func tlv(kind uint16, v string) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(v)))
	return append(b, v...)
}

func frame(parts ...[]byte) []byte {
	b := []byte("\xaa\xaa\x03\x00\x00\x0c\x20\x00\x02\xb4\x00\x00")
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func headers(b []byte) packet.Headers {
	return packet.Headers{SrcMAC: proto.MAC{2, 0, 0, 0, 0, 1}, DstMAC: proto.MAC{1, 0, 0x0c, 0xcc, 0xcc, 0xcc}, LinkPayload: b}
}

func run(b []byte) *dissecttest.Result {
	return dissecttest.Play(dissect.Config{}, []packet.Headers{headers(b)})
}

func TestFacts(t *testing.T) {
	whole := frame(tlv(1, "SEP001122334455"), tlv(2, "\x00\x00\x00\x01\x01\x01\xcc\x00\x04\x0a\x01\x02\x03"), tlv(3, "Port 1"), tlv(4, "\x00\x00\x00\x90"), tlv(5, "SIP45.8-4-2S\nCompiled by somebody"),
		tlv(6, "Cisco IP Phone 7945"), tlv(10, "\x00\x29"), tlv(11, "\x01"), tlv(14, "\x01\x00\x2a"), tlv(16, "\x2e\xe0"), tlv(0x14, "phone"), tlv(0x99, "unknown"))
	want := `cdp announcement side=0 mac= ip=invalid IP equipment="" gateway=0 {"capabilities":["station","telephone"],"chassis_id":"SEP001122334455","duplex":"full","ips":["10.1.2.3"],"model":"Cisco IP Phone 7945",` +
		`"port_id":"1","port_vlan":"41","power_mw":"12000","software_version":"SIP45.8-4-2S","system_name":"phone","ttl_s":"180","voice_vlan":"42"}` + "\n"
	if got := run(whole).Text(); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	for i := range whole {
		if r := run(whole[:i]); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	}
	for _, other := range []string{"", "\x42\x42\x03", "\xaa\xaa\x03\x00\x00\x0c\x20\x03\x02\xb4\x00\x00"} {
		if r := run([]byte(other)); len(r.Facts) > 0 || len(r.Counters) > 0 {
			t.Errorf("%q: %s %v", other, r.Text(), r.Counters)
		}
	}
	for name, b := range map[string][]byte{
		"cdp_version": []byte("\xaa\xaa\x03\x00\x00\x0c\x20\x00\x09\xb4\x00\x00"), "cdp_cut": frame([]byte{0, 1}), "cdp_tlv_malformed": frame([]byte{0, 1, 0, 99}), "cdp_port_withheld": frame(tlv(3, "room of somebody 3")),
	} {
		if r := run(b); r.Counters[name] != 1 {
			t.Errorf("%s: %v", name, r.Counters)
		}
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"room of Canarius", "canaryuser", "Canary Street"}
	b := frame(tlv(1, "sw1"), tlv(3, "room of Canarius 3"), tlv(5, "IOS 12\nCompiled by canaryuser"), tlv(0x17, "\x00Canary Street 7"), tlv(8, "canaryuser"))
	dissecttest.Planted(t, "cdp", secrets, []packet.Headers{headers(b), headers(b[:60])})
	s := canary.New(secrets)
	for i := range b {
		if hits := s.Search(run(b[:i]).Everything()); len(hits) > 0 {
			t.Fatalf("cut at %d: %v", i, hits)
		}
	}
}

// What tcpdump and Wireshark print of these frames.
func TestCapture(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/tcpdump/LLDP_and_CDP.pcap")))
	list := r.Of("cdp", "announcement")
	if len(list) == 0 || !strings.Contains(r.Text(), `"model":"cisco WS-C3560-24TS"`) {
		t.Errorf("%d announcements\n%s", len(list), r.Text())
	}
}

func Fuzz(f *testing.F) {
	f.Add(frame(tlv(2, "\x00\x00\x00\x01\x01\x01\xcc\x00\x04\x0a\x01\x02\x03")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := run(b); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
