package bacnet_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/bacnet"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// The builders below write BACnet: each puts its header before what it carries.

var home = [2]uint16{47808, 47808}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// link is the virtual link layer of IPv4.
func link(function byte, body []byte) []byte {
	n := 4 + len(body)
	return append([]byte{0x81, function, byte(n >> 8), byte(n)}, body...)
}

// here is an NPDU of this network.
func here(apdu ...[]byte) []byte { return append([]byte{1, 4}, bytes.Join(apdu, nil)...) }

// unicast is a whole datagram with an APDU of this network, in hex and texts.
func unicast(apdu ...[]byte) []byte { return link(10, here(apdu...)) }

// character is an application's character string.
func character(s string) []byte {
	b := append([]byte{0}, s...)
	if len(b) < 5 {
		return append([]byte{0x70 | byte(len(b))}, b...)
	}
	return append([]byte{0x75, byte(len(b))}, b...)
}

// context is a context's field.
func context(number byte, b []byte) []byte {
	if len(b) < 5 {
		return append([]byte{number<<4 | 8 | byte(len(b))}, b...)
	}
	return append([]byte{number<<4 | 8 | 5, byte(len(b))}, b...)
}

// property is the answer about one property of the device 41001.
func property(id uint16, value []byte) []byte {
	return unicast(unhex("30 07 0c 0c 0200a029"), context(1, []byte{byte(id >> 8), byte(id)}), []byte{0x3e}, value, []byte{0x3f})
}

func run(t *testing.T, ports [2]uint16, b []byte) *dissecttest.Result {
	t.Helper()
	r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, ports, b)})
	if len(r.Panics) > 0 {
		t.Fatal(r.Panics)
	}
	return r
}

// said is all facts of a run, a line each: the kind, and the attributes.
func said(t *testing.T, r *dissecttest.Result) string {
	t.Helper()
	var out []string
	for _, f := range r.Facts {
		if f.Kind == "transactions" {
			continue
		}
		a, err := json.Marshal(f.Attributes)
		if err != nil {
			t.Fatal(err)
		}
		s := f.Kind + " " + string(a)
		if f.Subject.Equipment != "" {
			s += fmt.Sprintf(" behind %d: %s", f.Subject.Gateway, f.Subject.Equipment)
		}
		if f.Subject.IP.IsValid() {
			s += " of " + f.Subject.IP.String()
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

func TestDatagrams(t *testing.T) {
	iAm := unhex("10 00 c4 0200a029 22 0400 91 00 21 08")
	for _, tc := range []struct {
		name    string
		b       []byte
		want    string
		counted string
	}{
		{"who-is", link(11, here(unhex("10 08"))), `who_is {"role":"client"}`, ""},
		{"who-is of a range", link(11, here(unhex("10 08 09 05 1a 0100"))), `who_is {"high":"256","low":"5","role":"client"}`, ""},
		{"who-has by name", link(11, here(unhex("10 07"), context(3, []byte("\x00AHU")))), `who_has {"by_name":"true","role":"client"}`, ""},
		{"i-am", unicast(iAm), `i_am {"device_instance":"41001","max_apdu":"1024","role":"server","segmentation":"both","vendor":"Delta Controls","vendor_id":"8"}`, ""},
		{"i-am of no device", unicast(unhex("10 00 c4 0000a029 22 0400 91 00 21 08")), "", "bacnet_incomplete"},
		{"i-am behind a router", link(10, append(unhex("01 08 0005 01 2a"), iAm...)), `i_am {"address":"2a","device_instance":"41001","max_apdu":"1024","network":"5","role":"server","segmentation":"both","vendor":"Delta Controls","vendor_id":"8"} behind 0: bacnet:5:2a`, ""},
		{"i-am of an address elsewhere", link(10, append(unhex("01 28 ffff 00 0006 06 0a010909bac0 ff"), iAm...)), `i_am {"address":"0a010909bac0","device_instance":"41001","max_apdu":"1024","network":"6","role":"server","segmentation":"both","vendor":"Delta Controls","vendor_id":"8"} of 10.1.9.9`, ""},
		{"forwarded", link(4, append(unhex("0a010907 bac0"), here(iAm)...)), `i_am {"bbmd":"10.1.2.3","device_instance":"41001","max_apdu":"1024","role":"server","segmentation":"both","vendor":"Delta Controls","vendor_id":"8"} of 10.1.9.7`, ""},
		{"forwarded of a device behind a router", link(4, append(unhex("0a010907 bac0 01 08 0005 01 2a"), iAm...)), `i_am {"address":"2a","bbmd":"10.1.2.3","device_instance":"41001","max_apdu":"1024","network":"5","role":"server","segmentation":"both","vendor":"Delta Controls","vendor_id":"8"} behind 2: bacnet:5:2a`, ""},
		{"over IPv6", append(unhex("82 02 0017 a00001 01 04"), iAm...), `i_am {"device_instance":"41001","max_apdu":"1024","role":"server","segmentation":"both","vendor":"Delta Controls","vendor_id":"8"}`, ""},
		{"i-have of the device", unicast(unhex("10 01 c4 0200a029 c4 0200a029"), character("AHU-1")), `i_have {"device_instance":"41001","object_instance":"41001","object_name":"AHU-1","object_type":"device","role":"server"}`, ""},
		{"i-have of another object", unicast(unhex("10 01 c4 0200a029 c4 00000001"), character("room of nobody")), `i_have {"device_instance":"41001","object_instance":"1","object_type":"analog_input","role":"server"}`, ""},
		{"who-am-i", unicast(unhex("10 0d 21 08"), character("X-1"), character("S7")), `who_am_i {"model":"X-1","role":"client","serial":"S7","vendor":"Delta Controls","vendor_id":"8"}`, ""},
		{"model", property(70, character("eBCON-2")), `identity {"device_instance":"41001","model":"eBCON-2","role":"server"}`, ""},
		{"model in UCS-2", property(70, unhex("75 07 04 0065 0042 0032")), `identity {"device_instance":"41001","model":"eB2","role":"server"}`, ""},
		{"model in Latin 1", property(70, unhex("73 05 5a fc")), `identity {"device_instance":"41001","model":"Zü","role":"server"}`, ""},
		{"serial", property(372, character("A-1")), `identity {"device_instance":"41001","role":"server","serial":"A-1"}`, ""},
		{"status", property(112, unhex("91 04")), `identity {"device_instance":"41001","role":"server","system_status":"non_operational"}`, ""},
		{"restart", property(196, unhex("91 05")), `identity {"device_instance":"41001","restart_reason":"hardware_watchdog","role":"server"}`, ""},
		{"uuid", property(507, unhex("65 10 00112233445566778899aabbccddeeff")), `identity {"device_instance":"41001","device_uid":"00112233445566778899aabbccddeeff","role":"server"}`, ""},
		{"description of equipment", property(28, character("Air handling unit 2")), `identity {"description":"Air handling unit 2","device_instance":"41001","role":"server"}`, ""},
		{"any other description", property(28, character("Bed of Alfa 2")), "", "bacnet_description_withheld"},
		{"a list", property(76, unhex("c4 0200a029 c4 00000001")), "", ""},
		{"a value of another object", unicast(unhex("30 07 0c 0c 00000001 19 4d 3e"), character("canary"), unhex("3f")), "", ""},
		{
			"several properties", unicast(unhex("30 07 0e 0c 0200a029 1e 29 79 4e"), character("Maker"), unhex("4f 29 46 5e 91 02 91 20 5f 29 0c 4e"), character("4.1"), unhex("4f 1f 0c 00000001 1e 29 55 4e 44 41200000 4f 1f")),
			`identity {"device_instance":"41001","manufacturer":"Maker","role":"server","software_version":"4.1"}`, "",
		},
		{"several properties, cut", unicast(unhex("3c 07 00 04 0e 0c 0200a029 1e 29 79 4e"), character("Maker"), unhex("4f 29 46 4e")), `identity {"device_instance":"41001","manufacturer":"Maker","role":"server"}`, "bacnet_incomplete"},
		{"a later segment", unicast(unhex("3c 07 01 04 0e 0c 0200a029")), "", "bacnet_segment"},
		{"mac of a port", unicast(unhex("30 07 0c 0c 0e000001 1a 01a7 3e 65 06 020000000009 3f")), `identity {"mac":"02:00:00:00:00:09","role":"server"}`, ""},
		{"write", unicast(unhex("00 04 01 0f 0c 00800001 19 55 3e 44 42c80000 3f 49 08")), `write_property {"object_instance":"1","object_type":"analog_value","priority":"8","property":"present_value","role":"client","value_type":"real"}`, ""},
		{"write behind a router", link(10, append(unhex("01 24 0005 01 2a ff"), unhex("00 04 01 0f 0c 00800001 19 55 3e 00 3f")...)), `write_property {"object_instance":"1","object_type":"analog_value","property":"present_value","role":"client","target_address":"2a","target_network":"5","value_type":"null"}`, ""},
		{"writes", unicast(unhex("00 04 01 10 0c 00400001 1e 09 55 2e 44 41200000 2f 39 08 09 51 2e 10 2f 1f 0c 01000002 1e 09 55 2e 91 01 2f 1f")), `write_property_multiple {"count":"3","role":"client","writes":["analog_output 1 present_value priority=8","analog_output 1 out_of_service","binary_output 2 present_value"]}`, ""},
		{"disable", unicast(unhex("00 04 01 11 09 05 19 01"), context(2, []byte("\x00canary"))), `device_communication_control {"cleartext_credential":"password","duration_min":"5","role":"client","state":"disable"}`, ""},
		{"restart it", unicast(unhex("00 04 01 14 09 00")), `reinitialize_device {"role":"client","state":"coldstart"}`, ""},
		{"restarted", unicast(unhex("20 01 14")), `acknowledged {"role":"server","service":"reinitialize_device"}`, ""},
		{"written", unicast(unhex("20 01 0f")), "", ""},
		{"write refused", unicast(unhex("50 01 0f 91 02 91 28")), `error {"error_class":"property","error_code":"write_access_denied","role":"server","service":"write_property"}`, "bacnet_error"},
		{"writes refused", unicast(unhex("50 01 10 0e 91 02 91 28 0f 1e 0c 00400001 19 55 1f")), `error {"error_class":"property","error_code":"write_access_denied","role":"server","service":"write_property_multiple"}`, "bacnet_error"},
		{"read refused", unicast(unhex("50 01 0c 91 01 91 1f")), "", "bacnet_error"},
		{"reject", unicast(unhex("60 01 09")), `reject {"reason":"unrecognized_service","role":"server"}`, "bacnet_reject"},
		{"abort", unicast(unhex("71 01 04")), `abort {"reason":"segmentation_not_supported","role":"server"}`, "bacnet_abort"},
		{"write a file", unicast(unhex("00 04 01 07 c4 02800001 0e 31 00"), unhex("65 06"), []byte("canary"), unhex("0f")), `atomic_write_file {"access":"stream","object_instance":"1","object_type":"file","role":"client"}`, ""},
		{"go on writing it", unicast(unhex("00 04 01 07 c4 02800001 0e 31 40 61 00 0f")), "", "bacnet_file_chunk"},
		{"subscribe", unicast(unhex("00 04 01 05 09 01 1c 00000001 29 01 39 3c")), `subscribe_cov {"confirmed":"true","lifetime_s":"60","object_instance":"1","object_type":"analog_input","role":"client"}`, ""},
		{"unsubscribe", unicast(unhex("00 04 01 05 09 01 1c 00000001")), `subscribe_cov {"object_instance":"1","object_type":"analog_input","role":"client","state":"cancelled"}`, ""},
		{"create", unicast(unhex("00 04 01 0a 0e 09 05 0f")), `create_object {"object_type":"binary_value","role":"client"}`, ""},
		{"delete", unicast(unhex("00 04 01 0b c4 00000009")), `delete_object {"object_instance":"9","object_type":"analog_input","role":"client"}`, ""},
		{"alarm", unicast(unhex("10 03 09 01 1c 0200a029 2c 00000001 3e 19 07 3f 49 01 59 32 69 05"), context(7, []byte("\x00canary")), unhex("89 00 99 00 a9 00 b9 03")), `event_notification {"device_instance":"41001","event_type":"out_of_range","from_state":"normal","notify_type":"alarm","object_instance":"1","object_type":"analog_input","priority":"50","role":"server","state":"high_limit"}`, ""},
		{"silence", unicast(unhex("00 04 01 1b 09 01"), context(1, []byte("\x00canary")), unhex("29 01 3c 05400001")), `life_safety_operation {"object_instance":"1","object_type":"life_safety_point","operation":"silence","role":"client"}`, ""},
		{"private", unicast(unhex("10 04 09 08 19 05 2e 65 06"), []byte("canary"), unhex("2f")), `private_transfer {"role":"client","service_number":"5","vendor":"Delta Controls","vendor_id":"8"}`, ""},
		{"time", unicast(unhex("10 06 a4 7e0b1101 b4 0c000000")), `time_synchronization {"role":"client"}`, ""},
		{"text", unicast(unhex("00 04 01 13 0c 0200a029 29 00"), context(3, []byte("\x00canary"))), `text_message {"role":"client"}`, ""},
		{"a changed value", unicast(unhex("10 02 09 01 1c 0200a029 2c 00000001 39 00 4e 09 55 2e 44 41200000 2f 4f")), "", ""},
		{"router", link(11, unhex("01 80 01 0005 0006")), `router {"networks":["5","6"],"role":"router"}`, ""},
		{"routing table", link(10, unhex("01 80 07 02 0005 01 00 0006 02 01 aa")), `routing_table {"networks":["5","6"],"role":"router"}`, ""},
		{"not reachable", link(10, unhex("01 80 03 01 0063")), `network_reject {"networks":["99"],"reason":"not_reachable"}`, ""},
		{"register", link(5, unhex("003c")), `register_foreign_device {"role":"client","ttl_s":"60"}`, ""},
		{"table", link(3, unhex("0a010203bac0 ffffffff 0a020203bac0 ffffffff")), `bbmd {"entries":"2","peers":["10.1.2.3:47808","10.2.2.3:47808"],"role":"server"}`, ""},
		{"write the table", link(1, unhex("0a090909bac0 ffffffff")), `write_broadcast_table {"entries":"1","peers":["10.9.9.9:47808"],"role":"client"}`, ""},
		{"foreign devices", link(7, unhex("0a090909bac0 003c 0010")), `bbmd {"foreign_devices":["10.9.9.9:47808"],"role":"server"}`, ""},
		{"delete a foreign device", link(8, unhex("0a090909bac0")), `delete_foreign_device {"foreign_devices":["10.9.9.9:47808"],"role":"client"}`, ""},
		{"refused", link(0, unhex("0030")), `bvlc_result {"result":"register_foreign_device_refused"}`, ""},
		{"accepted", link(0, unhex("0000")), "", ""},
		{"secured", link(12, unhex("00112233")), "", "bacnet_secured"},
		{"a service to come", unicast(unhex("00 04 01 7f")), "", "bacnet_service_unknown"},
		{"an endless length", unicast(unhex("30 07 0c 0c 0200a029 19 46 3e 75 ff ffffffff 3f")), "", "bacnet_incomplete"},
		{"too short", unicast(unhex("50 01")), "", "bacnet_apdu_malformed"},
		{"half a network", link(10, unhex("01 20 00 05")), "", "bacnet_npdu_malformed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, home, tc.b)
			if got := said(t, r); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
			if r.Flows[0].Protocol != "bacnet" || r.Flows[0].By != "content" {
				t.Errorf("label %q %q", r.Flows[0].Protocol, r.Flows[0].By)
			}
			if tc.counted != "" && r.Counters[tc.counted] == 0 {
				t.Errorf("counters %v, want %s", r.Counters, tc.counted)
			}
			if tc.counted == "" && len(r.Counters) > 0 {
				t.Errorf("counters %v", r.Counters)
			}
		})
	}
}

// What is not BACnet is refused, and away from its ports what could be chance.
func TestRefused(t *testing.T) {
	away := [2]uint16{50000, 50001}
	for name, tc := range map[string]struct {
		ports [2]uint16
		b     []byte
	}{
		"another length":          {home, append(unicast(unhex("10 08")), 0)},
		"another version":         {home, link(10, unhex("02 04 10 08"))},
		"reserved bits":           {home, link(10, unhex("01 44 10 08"))},
		"another function":        {home, link(13, unhex("01 04 10 08"))},
		"management elsewhere":    {away, link(5, unhex("003c"))},
		"a table of odd size":     {home, link(3, unhex("003c"))},
		"RTP with extension bits": {away, unhex("80 00 00 04 00")},
	} {
		if r := run(t, tc.ports, tc.b); r.Flows[0].By == "content" || len(r.Facts) > 0 {
			t.Errorf("%s: %s %s", name, r.Flows[0].Protocol, r.Text())
		}
	}
	if r := run(t, away, unicast(unhex("10 08"))); r.Flows[0].Protocol != "bacnet" {
		t.Error("a whole message is known on any port")
	}
}

// BACnet over Ethernet has no ports and no flow.
func TestFrame(t *testing.T) {
	b := append(unhex("82 82 03 01 00"), unhex("10 00 c4 0200a029 22 0400 91 00 21 08")...)
	r := dissecttest.Play(dissect.Config{}, []packet.Headers{{LinkPayload: b, Packets: 1}, {LinkPayload: unhex("42 42 03 01 00 10 08"), Packets: 1}})
	if len(r.Of("bacnet", "i_am")) != 1 || len(r.Facts) != 1 {
		t.Error(r.Text())
	}
}

// TestFlow has the sum of a flow: what each side asked for and refused, and every
// fact once an hour.
func TestFlow(t *testing.T) {
	read, refused, iAm := unicast(unhex("00 04 01 0c 0c 00000001 19 4d")), unicast(unhex("50 01 0c 91 02 91 20")), unicast(unhex("10 00 c4 0200a029 22 0400 91 00 21 08"))
	var list []packet.Headers
	for i := range 70 {
		for side, b := range [][]byte{read, refused, iAm} {
			h := dissecttest.Datagram(side&1, home, b)
			h.Time = proto.Time(i) * 60e9
			list = append(list, h)
		}
	}
	r := dissecttest.Play(dissect.Config{}, list)
	if n := len(r.Of("bacnet", "i_am")); n != 2 {
		t.Errorf("I-Am was told %d times in 70 minutes", n)
	}
	var got []string
	for _, f := range r.Of("bacnet", "transactions") {
		a, err := json.Marshal(f.Attributes)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s", f.Subject.Side, a))
	}
	want := []string{
		`0 {"role":"client","services":["read_property:60"]}`, `1 {"errors":["read_property unknown_property:60"],"role":"server"}`,
		`0 {"role":"client","services":["read_property:10"]}`, `1 {"errors":["read_property unknown_property:10"],"role":"server"}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestCanaries plants texts in every field of texts; only those that say what a
// device is may leave, and those are not planted.
func TestCanaries(t *testing.T) {
	secrets := []string{"CANARY^ALFA^XAVER", "PHI-CANARY-0001", "19310110"}
	s := canary.New(secrets)
	var planted []packet.Headers
	for _, secret := range secrets {
		x := character(secret)
		c := append([]byte{0}, secret...)
		for i, b := range [][]byte{
			property(28, x),
			property(85, x),
			property(4, x),
			unicast(unhex("30 07 0c 0c 00000001 19 4d 3e"), x, unhex("3f")),
			unicast(unhex("30 07 0c 0c 00000001 19 1c 3e"), x, unhex("3f")),
			unicast(unhex("00 04 01 0f 0c 0200a029 19 4d 3e"), x, unhex("3f")),
			unicast(unhex("00 04 01 10 0c 0200a029 1e 09 4d 2e"), x, unhex("2f 1f")),
			unicast(unhex("10 07"), context(3, c)),
			unicast(unhex("10 01 c4 0200a029 c4 00000001"), x),
			unicast(unhex("00 04 01 11 19 01"), context(2, c)),
			unicast(unhex("00 04 01 14 09 00"), context(1, c)),
			unicast(unhex("00 04 01 13 0c 0200a029 1e"), context(1, c), unhex("1f 29 00"), context(3, c)),
			unicast(unhex("10 03 09 01 1c 0200a029 2c 00000001 3e 19 07 3f 49 01 59 32 69 05"), context(7, c), unhex("89 00 99 00 a9 00 b9 03")),
			unicast(unhex("00 04 01 00 09 01 1c 00000001 29 02 3e 19 07 3f"), context(4, c)),
			unicast(unhex("00 04 01 1b 09 01"), context(1, c), unhex("29 01")),
			unicast(unhex("00 04 01 07 c4 02800001 0e 31 00"), x, unhex("0f")),
			unicast(unhex("10 04 09 08 19 05 2e"), x, unhex("2f")),
			unicast(unhex("10 02 09 01 1c 0200a029 2c 00000001 39 00 4e 09 55 2e"), x, unhex("2f 4f")),
			link(12, []byte(secret)),
		} {
			planted = append(planted, dissecttest.Datagrams(home, b)...)
			for cut := range len(b) {
				h := dissecttest.Datagram(0, home, b[:len(b)-cut])
				h.PayloadLen = len(b)
				r := dissecttest.Play(dissect.Config{}, []packet.Headers{h})
				if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
					t.Fatalf("%d: %v %v in %s", i, hits, r.Panics, r.Text())
				}
			}
		}
	}
	dissecttest.Planted(t, "bacnet", secrets[:2], planted) // without the date, which others may have
}

// Other protocols' datagrams cost nothing.
func TestRefusalAllocatesNothing(t *testing.T) {
	h := dissecttest.Datagram(0, [2]uint16{40000, 53}, bytes.Repeat([]byte{0x81, 0x0a, 0, 9}, 30))
	c := &dissector.Context{Headers: &h}
	if n := testing.AllocsPerRun(100, func() {
		if bacnet.Protocol.Datagram(c, h.Payload, false) != dissector.No {
			t.Fatal("taken for BACnet")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(unhex("01 04 10 08"), byte(11))
	f.Add(unhex("01 2c ffff 00 0005 01 2a ff 10 00 c4 0200a029 22 0400 91 00 21 08"), byte(10))
	f.Add(unhex("0a010907 bac0 01 04 30 07 0e 0c 0200a029 1e 29 79 4e 75 06 00 4d 61 6b 65 72 4f 1f"), byte(4))
	f.Add(unhex("01 04 00 04 01 10 0c 00400001 1e 09 55 2e 44 41200000 2f 39 08 1f"), byte(10))
	f.Add(unhex("01 04 10 03 09 01 1c 0200a029 2c 00000001 3e 19 07 3f 49 01"), byte(10))
	f.Add(unhex("01 80 07 02 0005 01 00"), byte(10))
	f.Fuzz(func(t *testing.T, body []byte, function byte) {
		for _, b := range [][]byte{link(function, body), append([]byte{0x82, function, byte((len(body) + 4) >> 8), byte(len(body) + 4)}, body...)} {
			h := dissecttest.Datagram(0, home, b)
			h.SrcIP = netip.MustParseAddr("10.1.2.3")
			r := dissecttest.Play(dissect.Config{}, []packet.Headers{h, h})
			if len(r.Panics) > 0 {
				t.Fatal(r.Panics)
			}
		}
	})
}
