package carescape_test

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

const day = proto.Time(1795000000 * 1e9)

// message is a datagram of n bytes with an address, a location and a time, the rest
// of a pattern.
func message(n int, location string, seconds int64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + 1)
	}
	copy(b[6:], []byte{10, 1, 2, 3})
	clear(b[24:37])
	copy(b[24:37], location)
	if n >= 64 {
		binary.BigEndian.PutUint32(b[60:], uint32(seconds+2208988800))
	}
	return b
}

func play(port uint16, step proto.Time, list ...[]byte) *dissecttest.Result {
	var out []packet.Headers
	for i, b := range list {
		h := dissecttest.Datagram(0, [2]uint16{port, port}, b)
		h.Time = day + proto.Time(i)*step
		out = append(out, h)
	}
	return dissecttest.Play(dissect.Config{}, out)
}

func lines(r *dissecttest.Result) string {
	return strings.Join(r.Lines(func(f *dissecttest.Fact) string { return f.Kind + " " + f.JSON() }), "\n")
}

func TestMessages(t *testing.T) {
	now := int64(day) / 1e9
	for _, tc := range []struct {
		name  string
		port  uint16
		step  proto.Time
		list  [][]byte
		want  string
		count string
	}{
		{"time", 2000, 1, [][]byte{message(64, "ICU|CIC1", now+95)}, `time_sync {"clock_skew_s":"95","location":"ICU^CIC1","role":"master"}`, ""},
		{"time of yesterday", 2000, 1, [][]byte{message(64, "ICU|CIC1", now-86400)}, `time_sync {"clock_skew_s":"-86400","location":"ICU^CIC1","role":"master"}`, ""},
		{"heartbeats", 7000, 1e9, [][]byte{message(300, "ICU|BED7", 0), message(300, "ICU|BED7", 0), message(300, "ICU|BED8", 0)}, "heartbeat {\"location\":\"ICU^BED7\",\"role\":\"node\"}\nheartbeat {\"location\":\"ICU^BED8\",\"role\":\"node\"}\nsession {\"heartbeats\":\"3\",\"role\":\"node\"}", ""},
		{"heartbeats for long", 7000, 400e9, [][]byte{message(300, "ICU|BED7", 0), message(300, "ICU|BED7", 0), message(300, "ICU|BED7", 0)}, "heartbeat {\"location\":\"ICU^BED7\",\"role\":\"node\"}\nheartbeat {\"location\":\"ICU^BED7\",\"role\":\"node\"}\nsession {\"heartbeats\":\"3\",\"role\":\"node\"}", ""},
		{"a name for a room", 7000, 1, [][]byte{message(300, "ICU|Disney", 0)}, `heartbeat {"role":"node"}`, "carescape_location_withheld"},
		{"alarm", 7001, 1, [][]byte{message(300, "ICU|BED7", 0)}, `session {"alarms":"1","role":"node"}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.port, tc.step, tc.list...)
			if got := lines(r); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
			if tc.count != "" && r.Counters[tc.count] == 0 {
				t.Errorf("%s is not counted: %v", tc.count, r.Counters)
			}
			if f := r.Flows[0]; f.Protocol != "carescape" || f.By != proto.ByContent {
				t.Errorf("labelled %s by %s", f.Protocol, f.By)
			}
		})
	}
}

func TestNotCarescape(t *testing.T) {
	now := int64(day) / 1e9
	other := message(64, "ICU|BED7", now)
	other[9]++
	for name, tc := range map[string]struct {
		port uint16
		b    []byte
	}{
		"another's address": {7000, other}, "other port": {7005, message(64, "ICU|BED7", now)}, "length": {2000, message(65, "ICU|BED7", now)}, "clock": {2000, message(64, "ICU|BED7", 0)},
		"no room": {7000, message(64, "ICUBED7", now)}, "long room": {7000, message(64, "ICU|BED1234", now)}, "long unit": {7000, message(64, "ICUICUIC|B", now)}, "no unit": {7000, message(64, "|BED7", now)},
		"bytes behind": {7000, message(64, "ICU|B\x00x", now)}, "not text": {7000, message(64, "ICU|B\x01", now)}, "two bars": {7000, message(64, "I|U|B", now)}, "short": {7000, message(64, "ICU|B", now)[:36]},
	} {
		if r := play(tc.port, 1, tc.b); len(r.Facts) > 0 || r.Flows[0].By == proto.ByContent {
			t.Errorf("%s: %s", name, r.Text())
		}
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"CANARY^ALFA", "PHI-CANARY-0001"}
	b := message(400, "ICU|BED7", 0)
	for at := 40; at+20 < len(b); at += 20 {
		copy(b[at:], secrets[at/20%2])
	}
	for _, port := range []uint16{7000, 7001, 2000} {
		dissecttest.HoldsBackDatagrams(t, secrets, [2]uint16{port, port}, b)
	}
	var planted []packet.Headers
	copy(b[6:], []byte{10, 99, 1, 3}) // of an end that Planted does not move
	for _, port := range []uint16{7000, 7001} {
		for _, h := range dissecttest.Datagrams([2]uint16{port, port}, b) {
			h.SrcIP = netip.AddrFrom4([4]byte{10, 99, 1, 3})
			planted = append(planted, h)
		}
	}
	dissecttest.Planted(t, "carescape", secrets, planted)
}

func FuzzDatagram(f *testing.F) {
	f.Add(message(64, "ICU|BED7", int64(day)/1e9), uint16(2000))
	f.Add(message(300, "ICU|BED7", 0), uint16(7000))
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		if r := play(port, 1, b, b); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
