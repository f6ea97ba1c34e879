package proto_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/quick"

	"github.com/wardflow/wardflow/proto"
)

// What AppendJSON writes is what json.Marshal writes, for any content.
func TestAppendJSON(t *testing.T) {
	same := func(what any, got []byte) bool {
		want, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
			return false
		}
		return true
	}
	cfg := &quick.Config{MaxCount: 500}
	if err := quick.Check(func(d proto.Device) bool { return same(&d, d.AppendJSON(nil)) }, cfg); err != nil {
		t.Error(err)
	}
	if err := quick.Check(func(r proto.Risk) bool { return same(&r, r.AppendJSON(nil)) }, cfg); err != nil {
		t.Error(err)
	}
	same(&proto.Device{}, (&proto.Device{}).AppendJSON(nil))
	same(&proto.Risk{}, (&proto.Risk{}).AppendJSON(nil))
	for _, s := range []string{"plain", `a"b\c`, "<&>", "tab\t", "ward Süd", "\xff", "\u2028", "\x7f"} {
		r := proto.Risk{Cause: s}
		same(&r, r.AppendJSON(nil))
	}
	for _, f := range []float64{0, 1, 0.1, 87.4, 1e-7, 1e21, -3, 1e20, 5e-324, rand.Float64()} {
		r := proto.Risk{Score: f}
		same(&r, r.AppendJSON(nil))
	}
}

// text is what a value may hold: mostly plain, now and then what JSON must escape.
func text(r *rand.Rand) string {
	list := []string{"", "tls", "content", "SF", `a"b\c`, "<&>", "tab\t", "ward Süd", "\xff", "\u2028", "\x7f", "C-arm 7"}
	return list[r.IntN(len(list))]
}

func addr(r *rand.Rand) netip.Addr {
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32()) * byte(r.IntN(2)) // runs of zeros: "::"
	}
	switch r.IntN(5) {
	case 0:
		return netip.Addr{}
	case 1:
		return netip.AddrFrom16(b)
	case 2:
		return netip.AddrFrom16(b).WithZone(`e"0`)
	case 3:
		return netip.AddrFrom16(netip.AddrFrom4([4]byte(b[:4])).As16()) // ::ffff:192.0.2.1
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}

func id(r *rand.Rand) (v proto.ID) {
	if r.IntN(4) > 0 {
		for i := range v {
			v[i] = byte(r.Uint32())
		}
	}
	return v
}

func moment(r *rand.Rand) proto.Time {
	switch r.IntN(4) {
	case 0:
		return proto.Time(r.Int64N(7_258_118_400_000_000_000)) // to 2200
	case 1:
		return proto.Time(r.Int64()) // to 2262
	case 2:
		return -proto.Time(r.Int64())
	}
	return proto.Time(r.Int64N(200*366*86400)) * 1e9 // to the second
}

func mac(r *rand.Rand) proto.MAC {
	b := id(r)
	return proto.MAC(b[:6])
}

// TestAppendJSONOfTraffic: the same of flows and observations.
func TestAppendJSONOfTraffic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	same := func(what any, got []byte) {
		t.Helper()
		want, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
	same(&proto.Flow{}, (&proto.Flow{}).AppendJSON(nil))
	same(&proto.Observation{}, (&proto.Observation{}).AppendJSON(nil))
	for range 3000 {
		f := proto.Flow{
			FlowID: id(r), Part: r.Uint32(), Final: r.IntN(2) == 0, Site: text(r), Sensor: text(r), Start: moment(r), End: moment(r),
			Transport: proto.Transport(r.Uint32()), SrcIP: addr(r), SrcPort: uint16(r.Uint32()), SrcMAC: mac(r), SrcPackets: r.Uint64(), SrcBytes: r.Uint64(),
			SrcPayloadBytes: r.Uint64(), DstIP: addr(r), DstPort: uint16(r.Uint32()), DstMAC: mac(r), DstPackets: r.Uint64(), DstBytes: r.Uint64(),
			DstPayloadBytes: r.Uint64(), VLAN: proto.VLAN(r.IntN(4096)), VLANInner: proto.VLAN(r.IntN(2)), State: text(r), Protocol: text(r), ProtocolBy: text(r),
			SrcDevice: id(r), DstDevice: id(r), DuplicateOfSensor: text(r), SrcEndpoint: id(r), DstEndpoint: id(r), SrcInside: r.IntN(2) == 0, DstInside: r.IntN(2) == 0,
		}
		for range r.IntN(3) {
			f.Tunnel, f.ProtocolInner = append(f.Tunnel, text(r)), append(f.ProtocolInner, text(r))
		}
		if r.IntN(3) > 0 {
			a, b := id(r), id(r)
			copy(f.CommunityID[copy(f.CommunityID[:], a[:]):], b[:])
		}
		same(&f, f.AppendJSON(nil))
		o := proto.Observation{
			Time: moment(r), ObservationID: id(r), Site: text(r), Sensor: text(r), FlowID: id(r), Device: id(r), Protocol: text(r), Kind: text(r), Endpoint: id(r),
			IP: addr(r), MAC: mac(r), VLAN: proto.VLAN(r.IntN(3)), Gateway: id(r), Peer: id(r), DuplicateOfSensor: text(r),
		}
		for i := range r.IntN(4) {
			if v := text(r); r.IntN(2) == 0 {
				o.Attributes = append(o.Attributes, proto.Attribute{Name: string(rune('a'+i)) + v, Value: text(r)})
			} else {
				o.Attributes = append(o.Attributes, proto.Attribute{Name: v, List: []string{v, text(r)}[:r.IntN(3)]})
			}
		}
		same(&o, o.AppendJSON(nil))
		attributes, err := json.Marshal(o.Attributes)
		if err != nil {
			t.Fatal(err)
		}
		var at [8]byte
		binary.LittleEndian.PutUint64(at[:], uint64(o.Time))
		o.Identify()
		if want := proto.HashID("observation", []byte(o.Site), at[:], o.FlowID[:], o.Endpoint[:], []byte(o.Protocol), []byte(o.Kind), attributes); o.ObservationID != want {
			t.Fatalf("observation %v, want %v", o.ObservationID, want)
		}
	}
}

// TestHashID is the definition, part by part.
func TestHashID(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 3000)
	h := sha256.New()
	for _, part := range [][]byte{[]byte("kind"), []byte("a"), {}, long} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	if got := proto.HashID("kind", []byte("a"), nil, long); got != proto.ID(h.Sum(nil)[:16]) {
		t.Error(got)
	}
}

// TestTimesAreAppended: every day of four centuries around now.
func TestTimesAreAppended(t *testing.T) {
	for day := int64(-106_000); day < 106_000; day++ {
		at := proto.Time(day*86400e9 + day%7*1e9 + day%1000)
		r := proto.Risk{Time: at}
		if got := string(r.AppendJSON(nil)); !strings.Contains(got, `"time":"`+at.String()+`"`) {
			t.Fatalf("%s is written as %s", at, got)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	f := proto.Flow{
		FlowID: proto.ID{1}, Final: true, Site: "ward-a", Sensor: "replay", Start: 1763337600123456789, End: 1763337600123456789, Transport: proto.TCP,
		SrcIP: netip.MustParseAddr("10.41.8.31"), DstIP: netip.MustParseAddr("2001:db8::20"), SrcMAC: proto.MAC{2}, DstMAC: proto.MAC{3}, SrcPackets: 12, DstBytes: 99999,
		State: "SF", Protocol: "tls", ProtocolBy: proto.ByContent, CommunityID: proto.CommunityID{1}, SrcEndpoint: proto.ID{3}, DstEndpoint: proto.ID{4},
	}
	o := proto.Observation{Time: 5, Protocol: "dhcp", Kind: "request", Endpoint: proto.ID{4}, Attributes: proto.Attributes{{Name: "hostname", Value: "us1"}, {Name: "vendor_class", Value: "MSFT 5.0"}}}
	var buf []byte
	b.Run("flow", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = f.AppendJSON(buf[:0])
		}
	})
	b.Run("observation", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = o.AppendJSON(buf[:0])
		}
	})
	b.Run("identify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o.Identify()
		}
	})
}
