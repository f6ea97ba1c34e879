package intellivue_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var (
	broadcast = [2]uint16{24105, 24005}
	export    = [2]uint16{50000, 24105}
	exporter  = [2]uint16{24105, 50000}
	elsewhere = [2]uint16{50000, 50001}
)

func u16(values ...int) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// sized is a length of 16 bits and what it counts.
func sized(parts ...[]byte) []byte {
	b := slices.Concat(parts...)
	return append(u16(len(b)), b...)
}

// listed is a count, a length and the parts.
func listed(parts ...[]byte) []byte { return append(u16(len(parts)), sized(parts...)...) }

func attribute(id int, v ...[]byte) []byte { return append(u16(id), sized(v...)...) }

func text(s string) []byte { return sized([]byte(s)) }

func wide(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = append(b, u16(int(u))...)
	}
	return sized(b)
}

// operation is a data message.
func operation(op, command int, argument ...[]byte) []byte {
	return slices.Concat([]byte{0xe1, 0, 0, 2}, u16(op), sized(u16(1, command), sized(argument...)))
}

func linked(state byte, command int, argument ...[]byte) []byte {
	return slices.Concat([]byte{0xe1, 0, 0, 2}, u16(5), sized([]byte{state, 1}, u16(1, command), sized(argument...)))
}

func event(kind int, argument ...[]byte) []byte {
	return slices.Concat(u16(0x21, 0, 0, 0, 0), u16(kind), sized(argument...))
}

func indication(attributes ...[]byte) []byte {
	return slices.Concat([]byte{0, 0, 1, 0}, u16(1), sized(u16(0, 0), sized(event(0x0d17, listed(attributes...)))))
}

func created(attributes ...[]byte) []byte {
	return operation(1, 1, event(0x0d06, u16(0x21, 0, 0), listed(attributes...)))
}

// poll is the answer to one: of a class, with objects.
func poll(op int, class int, objects ...[]byte) []byte {
	argument := slices.Concat(u16(0x21, 0, 0, 0x0c16), sized(u16(1), make([]byte, 12), u16(1, class, 0x0800), listed(slices.Concat(u16(0), listed(objects...)))))
	if op == 5 {
		return linked(1, 7, argument)
	}
	return operation(op, 7, argument)
}

func object(attributes ...[]byte) []byte { return append(u16(0x44), listed(attributes...)...) }

func value(state int, v uint32) []byte {
	return attribute(0x0950, u16(0x4182, state, 0x0aa0), binary.BigEndian.AppendUint32(nil, v))
}

var address = attribute(0xf100, []byte{0, 9, 0xfb, 0x2c, 8, 2, 10, 1, 2, 3, 255, 255, 255, 0})

func monitor(label string) [][]byte {
	return [][]byte{
		attribute(0x0986, u16(1, 4429)), attribute(0x0928, text("Philips\x00"), text("MX800\x00")),
		attribute(0x092d, listed(append(u16(4, 0x50), text("B.99")...), append(u16(1, 8), text("DE61700482\x00\x00")...), append(u16(2, 8), text("866064")...), append(u16(3, 8), text("A.01")...), append(u16(4, 8), text("M.00.08")...), append(u16(9, 8), text("?")...))),
		attribute(0x091e, wide(label)), attribute(0x0984, u16(8), []byte{0, 9, 0xfb, 0xff, 0xfe, 0x2c, 8, 2}), attribute(0x0937, u16(0, 1, 2, 11)), attribute(0x0946, u16(0x4000)), attribute(0x09a7, u16(6)),
	}
}

// The association messages as the interface's guide gives them.
var (
	connect = unhex("0ddc05081301001601028000140200 02c1cc3180a080800101 00 00 a280a003000001a480308002010106045201000130800602510100000000308002010206 0c2a8648ce14020100000001 01308006 0c2a8648ce140201000000020100000000000061803080020101a0806080a180060c2a8648ce1402010000000301 0000be802880060c2a8648ce14020100000001010201028148800000004000000000000000800000002000000000000000000100 2c00010028800000 00 00000fa00000058800000000ffffffff60000000000100 0cf001000800000000000000000000000000000000000000000000000000")
	finish  = unhex("0918c11661803080020101a08062808001000000000000000000")
	leave   = unhex("0a18c11661803080020101a08063808001000000000000000000")
	abort   = unhex("192e110103c129a0808080308002010106025101000000006180308002 0101a080648080010100000000000000000000")
)

func unhex(s string) []byte {
	var b []byte
	s = strings.ReplaceAll(s, " ", "")
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		panic(err)
	}
	switch b[0] {
	case 0x0d, 0x19, 9, 10:
		b[1] = byte(len(b) - 2)
	}
	return b
}

type datagram struct {
	side int
	b    []byte
}

func play(ports [2]uint16, after proto.Time, list ...datagram) *dissecttest.Result {
	var out []packet.Headers
	for i, d := range list {
		h := dissecttest.Datagram(d.side, ports, d.b)
		h.Time = proto.Time(i) * after
		out = append(out, h)
	}
	return dissecttest.Play(dissect.Config{}, out)
}

func lines(r *dissecttest.Result) []string { return r.Lines(dissecttest.SideKind) }

func TestMessages(t *testing.T) {
	const whole = `"equipment_type":"MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS","eui64":"0009FBFFFE2C0802","hardware_version":"A.01","language":"de","location":"W3-B08","mac":"00:09:fb:2c:08:02","manufacturer":"Philips","mode":"monitoring","model":"MX800","part_number":"866064","role":"monitor","serial":"DE61700482","software_version":"M.00.08","state":"operating"}`
	accept := slices.Concat([]byte{0x0e, byte(len(connect) - 2)}, connect[2:])
	long := slices.Concat([]byte{0x0d, 0xff}, u16(len(connect)-2), connect[2:])
	for _, tc := range []struct {
		name  string
		ports [2]uint16
		list  []datagram
		want  []string
		count string
	}{
		{"connect indication", broadcast, []datagram{{0, indication(attribute(0x0986, u16(1, 33)), attribute(0xf101, listed(u16(1, 1, 24105, 0))), address, attribute(0x091e, wide("W3-B08")))}, {0, indication(address)}, {0, indication(address)}}, []string{
			`0 connect_indication {"ip":"10.1.2.3","location":"W3-B08","mac":"00:09:fb:2c:08:02","port":"24105","role":"monitor"}`, `0 connect_indication {"ip":"10.1.2.3","mac":"00:09:fb:2c:08:02","role":"monitor"}`,
		}, ""},
		{"association", export, []datagram{{0, connect}, {1, accept}, {1, created(monitor("W3-B08")...)}, {1, created(monitor("W3-B08")...)}, {0, finish}, {1, leave}}, []string{
			`0 associate_rq {"protocol_version":"1","role":"client","start_mode":"cold"}`, `1 associate_ac {"protocol_version":"1","role":"monitor","start_mode":"cold"}`, "1 mds_create {" + whole, `0 release_rq {"role":"client"}`, `1 release_rp {"role":"monitor"}`,
		}, ""},
		{"on other ports", elsewhere, []datagram{{0, long}, {1, abort}}, []string{`0 associate_rq {"protocol_version":"1","role":"client","start_mode":"cold"}`, `1 abort {"role":"monitor"}`}, ""},
		{"abort alone", export, []datagram{{0, abort}}, []string{`0 abort {"role":"client"}`}, ""},
		{"system polled", export, []datagram{{0, operation(1, 7, u16(0x21, 0, 0, 0x0c16), sized(u16(1, 1, 0x21, 0)))}, {1, poll(2, 0x21, object(monitor("W3-B08")...))}, {1, poll(2, 0x21, object(monitor("W3-B08")...))}}, []string{"1 mds {" + whole, `1 session {"exports":["system"],"interval_s":"1","polls":"1","results":"2","role":"monitor"}`}, ""},
		{"values", exporter, []datagram{{0, poll(2, 6, object(value(0, 0x5a)))}, {0, poll(2, 6, object(value(0, 0x5b), value(0x8000, 1)))}, {0, poll(5, 6, object(value(0x2000, 0)))}, {0, poll(2, 6, object(value(0, 0x007fffff)))}, {0, poll(2, 6)}, {0, poll(2, 0x2a, object(attribute(0x0957, text("NOBODY"))))}}, []string{
			`0 state {"measuring":"true","role":"monitor"}`, `0 state {"measuring":"false","role":"monitor"}`, `0 session {"exports":["demographics","numerics"],"interval_s":"1","polls":"0","results":"6","role":"monitor"}`,
		}, ""},
		{"compound value", exporter, []datagram{{0, poll(2, 6, object(attribute(0x094b, listed(u16(1, 0x8000, 3, 0, 1), u16(1, 0, 3, 0, 1)))))}}, []string{`0 state {"measuring":"true","role":"monitor"}`, "0 session"}, ""},
		{"extended poll", exporter, []datagram{{0, operation(2, 7, u16(0x21, 0, 0, 0xf13b), sized(u16(1, 1), make([]byte, 12), u16(1, 6, 0x0800), listed(slices.Concat(u16(0), listed(object(value(0, 1)))))))}}, []string{`0 state {"measuring":"true","role":"monitor"}`, "0 session"}, ""},
		{"setting and error", export, []datagram{{0, operation(1, 5, u16(0x21, 0, 0))}, {1, operation(3, 4, u16(0x21))}}, []string{`0 set {"role":"client"}`, `1 session {"errors":"1","polls":"0","results":"0","role":"monitor"}`}, ""},
		{"label with a name", exporter, []datagram{{0, created(attribute(0x091e, wide("Bed 3 Nobody")))}, {0, created(attribute(0x091e, wide("Bob")))}, {0, created(attribute(0x091e, wide("B\u00f6ll 3")))}, {0, created(attribute(0x091e, wide("ICU Bed 3")))}}, []string{`0 mds_create {"role":"monitor"}`, `0 mds_create {"location":"ICU Bed 3","role":"monitor"}`}, "intellivue_label_withheld"},
		{"lengths inside are wrong", exporter, []datagram{{0, created(attribute(0x0928, u16(9000)), append(u16(0x091e), 0xff, 0xff))}, {0, created(attribute(0x092d, u16(9, 9, 1, 8, 5000)))}, {0, poll(2, 6, u16(1, 1, 9000, 1))}}, []string{`0 mds_create {"role":"monitor"}`, "0 state", "0 session"}, "intellivue_attributes_cut"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.ports, 1e9, tc.list...)
			got := lines(r)
			if len(got) != len(tc.want) {
				t.Fatalf("%d facts, want %d:\n%s", len(got), len(tc.want), strings.Join(got, "\n"))
			}
			for i, w := range tc.want {
				if !strings.HasPrefix(got[i], w) {
					t.Errorf("fact %d:\n%s\nwant\n%s", i, got[i], w)
				}
			}
			if tc.count != "" && r.Counters[tc.count] == 0 {
				t.Errorf("%s is not counted: %v", tc.count, r.Counters)
			}
			if f := r.Flows[0]; f.Protocol != "intellivue" || f.By != proto.ByContent || r.Counters["intellivue_malformed"] > 0 {
				t.Errorf("labelled %s by %s, %v", f.Protocol, f.By, r.Counters)
			}
		})
	}
}

// The MAC of the monitor's own interface is believed where its address is the sender's.
func TestSubject(t *testing.T) {
	r := play(broadcast, 1, datagram{0, indication(address)})
	if len(r.Facts) != 1 || r.Facts[0].Subject.MAC.String() != "00:09:fb:2c:08:02" {
		t.Error(r.Text())
	}
	other := slices.Clone(address)
	other[12]++ // of the IP address
	if r := play(broadcast, 1, datagram{0, indication(other)}); len(r.Facts) != 1 || !r.Facts[0].Subject.MAC.IsZero() {
		t.Error(r.Text())
	}
}

// A state that goes on is told now and then.
func TestRepeated(t *testing.T) {
	d := datagram{1, poll(2, 6, object(value(0, 1)))}
	if r := play(exporter, 60e9, d, d, d, d, d, d, d, d, d, d, d, d); len(r.Of("intellivue", "state")) != 2 {
		t.Error(r.Text())
	}
	var many []datagram
	for range 100 {
		many = append(many, datagram{0, finish})
	}
	if r := play(export, 1, many...); len(r.Facts) != 64 || r.Counters["intellivue_messages_skipped"] != 36 {
		t.Errorf("%d facts, %v", len(r.Facts), r.Counters)
	}
}

func TestNotIntelliVue(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty association": {0x0d, 10, 5, 8, 0x13, 1, 0, 0x16, 1, 2, 0x80, 0}, "length": append(slices.Clone(finish), 0), "event": indication()[:20], "RTP": append([]byte{0x80, 0x60, 0, 1}, make([]byte, 20)...),
		"zeros": make([]byte, 64), "DNS": append([]byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0}, u16(1, 1)...), "operation": slices.Concat([]byte{0xe1, 0, 0, 2}, u16(9), sized(u16(1, 7), sized(nil))),
		"command": operation(1, 9, u16(1)), "error": operation(3, 99, u16(1)), "other event": slices.Concat([]byte{0, 0, 1, 0}, u16(1), sized(u16(0, 0), sized(event(0x0d18, listed())))),
	} {
		if r := play(export, 1, datagram{0, b}); strings.Contains(r.Text(), "intellivue") || r.Flows[0].Protocol == "intellivue" && r.Flows[0].By == proto.ByContent {
			t.Errorf("%s is taken for IntelliVue: %s", name, r.Text())
		}
	}
}

// A datagram that the snaplen cut is still known.
func TestCut(t *testing.T) {
	whole := created(monitor("W3-B08")...)
	h := dissecttest.Datagram(0, exporter, whole[:100])
	h.PayloadLen = len(whole)
	r := dissecttest.Play(dissect.Config{}, []packet.Headers{h})
	if len(r.Facts) != 1 || r.Facts[0].Attributes.Get("model") != "MX800" || r.Counters["intellivue_cut"] != 1 {
		t.Errorf("%s %v", r.Text(), r.Counters)
	}
}

// The captures' README and the ward's truth sheet.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/clinical/intellivue.pcap")))
	if got := lines(r); len(got) != 2 || got[0] != `0 connect_indication {"ip":"10.1.2.3","mac":"00:09:fb:11:22:33","port":"24105","role":"monitor"}` || got[1] != `0 associate_rq {"role":"client"}` {
		t.Error(r.Text())
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/day.pcapng")))
	created := r.Of("intellivue", "mds_create")
	if len(created) == 0 {
		t.Fatal("no monitor")
	}
	for name, want := range map[string]string{"manufacturer": "Philips", "model": "MX800 866064", "software_version": "M.00.08", "hardware_version": "A.01.00", "serial": "DE61700482", "part_number": "866064", "location": "W3-B08", "eui64": "0009FBFFFE2C0802"} {
		if got := created[0].Attributes.Get(name); got != want || created[0].Speaker().String() != "10.41.8.62" {
			t.Errorf("%s of %s: %q, want %q", name, created[0].Speaker(), got, want)
		}
	}
	for _, f := range r.Flows {
		if (f.DstPort == 24105 || f.DstPort == 24005) != (f.Protocol == "intellivue" && f.By == proto.ByContent) {
			t.Errorf("%s:%d to %d is %s by %s", f.SrcIP, f.SrcPort, f.DstPort, f.Protocol, f.By)
		}
	}
	if r.Counters["intellivue_malformed"]+r.Counters["intellivue_attributes_cut"] > 0 {
		t.Error(r.Counters)
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"CANARY ALFA", "PHI-CANARY-0001", "Nocanary", "K\u00c4NARI", "19310110"}
	var demographics [][]byte
	for i, s := range secrets {
		demographics = append(demographics, attribute(0x0950+i, text(s)), attribute(0x095a+i, wide(s)), attribute(0xf1e1+i, text(s)))
	}
	list := [][]byte{
		poll(2, 0x2a, object(demographics...)), poll(2, 0x36, object(demographics...)), poll(2, 9, object(demographics...)), poll(2, 6, object(append(demographics, value(0, 1))...)),
		poll(2, 0x21, object(append(demographics, attribute(0x091e, wide("CANARY ALFA")))...)), created(append(demographics, attribute(0x091e, wide("Nocanary 1")))...), indication(append(demographics, attribute(0x091e, wide("K\u00c4NARI 7")))...),
		operation(1, 5, u16(0x21, 0, 0), listed(demographics...)), operation(1, 3, listed(demographics...)), operation(3, 4, listed(demographics...)),
	}
	dissecttest.HoldsBackDatagrams(t, secrets, exporter, list...)
	dissecttest.Planted(t, "intellivue", secrets[:4], dissecttest.Datagrams(exporter, list...)) // without the date, which others may have
}

func FuzzDatagrams(f *testing.F) {
	f.Add(created(monitor("W3-B08")...), poll(5, 6, object(value(0, 1))))
	f.Add(connect, abort)
	f.Add(indication(address), poll(2, 0x21, object(monitor("x")...)))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if r := play(export, 1, datagram{0, a}, datagram{1, b}); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
