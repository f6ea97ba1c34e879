package capfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/proto"
)

var (
	little = binary.LittleEndian
	big    = binary.BigEndian
)

// read reads all packets as "time wirelen linktype data" lines.
func read(t testing.TB, b []byte) ([]string, error) {
	t.Helper()
	r, err := capfile.NewReader("test", bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []string
	for {
		var p capfile.Packet
		if err := r.Next(&p); err != nil {
			if again := r.Next(&p); !errors.Is(again, err) {
				t.Errorf("error does not stay: %v, then %v", err, again)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return out, err
		}
		out = append(out, fmt.Sprintf("%d %d %d %s", p.Time, p.WireLen, p.LinkType, p.Data))
	}
}

func TestFormats(t *testing.T) {
	recs := []record{{seconds: 1, fraction: 500, data: []byte("one")}, {seconds: 2, fraction: 7, wire: 99, data: []byte("two")}}
	micro := []string{"1000500000 3 1 one", "2000007000 99 1 two"}
	nano := []string{"1000000500 3 1 one", "2000000007 99 1 two"}
	ng := func(o binary.ByteOrder) []byte {
		return slices.Concat(section(o), iface(o, 1), block(o, 5, []byte("statistics")), enhanced(o, 0, 1_000_500, 3, []byte("one")), enhanced(o, 0, 2_000_007, 99, []byte("two")))
	}
	old := pcapFile(little, 0xa1b2c3d4, record{seconds: 1, data: []byte("one"), wire: 9})
	old[6] = 2 // version 2.2 has the lengths the other way round
	copy(old[32:], slices.Concat(u32(little, 9), u32(little, 3)))
	tests := map[string]struct {
		file []byte
		want []string
	}{
		"pcap micro little":   {pcapFile(little, 0xa1b2c3d4, recs...), micro},
		"pcap micro big":      {pcapFile(big, 0xa1b2c3d4, recs...), micro},
		"pcap nano little":    {pcapFile(little, 0xa1b23c4d, recs...), nano},
		"pcap nano big":       {pcapFile(big, 0xa1b23c4d, recs...), nano},
		"pcap modified":       {pcapFile(big, 0xa1b2cd34, recs...), micro},
		"pcap old":            {old, []string{"1000000000 9 1 one"}},
		"pcap empty":          {pcapFile(little, 0xa1b2c3d4), nil},
		"pcapng little":       {ng(little), micro},
		"pcapng big":          {ng(big), micro},
		"pcapng two sections": {slices.Concat(ng(little), ng(big)), slices.Concat(micro, micro)},
		"gzip":                {gzipped(t, pcapFile(little, 0xa1b2c3d4, recs...)), micro},
		"gzip of two members": {slices.Concat(gzipped(t, ng(big)[:50]), gzipped(t, ng(big)[50:])), micro},
		"zstd":                {zstdded(t, ng(little)), micro},
		"pcapng obsolete and simple": {
			slices.Concat(section(big), iface(big, 101), block(big, 2, u16(big, 0), u16(big, 3), u32(big, 0), u32(big, 1_000_500), u32(big, 3), u32(big, 3), []byte("one")), block(big, 3, u32(big, 5), []byte("12345"))),
			[]string{"1000500000 3 101 one", "1000500000 5 101 12345"},
		},
		"pcapng interfaces": {
			slices.Concat(section(little), iface(little, 1, option(little, 9, []byte{9})), iface(little, 113, option(little, 2, []byte("eth0")), option(little, 9, []byte{0x80 | 10}), option(little, 14, []byte{100, 0, 0, 0, 0, 0, 0, 0})),
				enhanced(little, 0, 1234567890, 1, []byte("a")), enhanced(little, 1, 1024+512, 1, []byte("b"))),
			[]string{"1234567890 1 1 a", "101500000000 1 113 b"},
		},
		"pcapng time out of range": {
			slices.Concat(section(little), iface(little, 1, option(little, 9, []byte{0})), iface(little, 1, option(little, 9, []byte{0xff})), iface(little, 1, option(little, 9, []byte{127})),
				enhanced(little, 0, 1<<63, 1, []byte("a")), enhanced(little, 1, 1<<63, 1, []byte("b")), enhanced(little, 2, 1<<63, 1, []byte("c"))),
			[]string{"7258118400000000000 1 1 a", "0 1 1 b", "0 1 1 c"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, tt.file)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, error %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestDamaged(t *testing.T) {
	good := pcapFile(little, 0xa1b2c3d4, record{seconds: 1, data: []byte("one")}, record{seconds: 2, data: []byte("two")})
	hostile := slices.Concat(good, u32(little, 3), u32(little, 0), u32(little, 0xfffffff0), u32(little, 0xfffffff0))
	ng := slices.Concat(section(little), iface(little, 1), enhanced(little, 0, 1, 3, []byte("one")))
	tests := map[string]struct {
		file    []byte
		packets int
		is      error
		says    string
	}{
		"empty":                  {nil, 0, capfile.ErrNotCapture, "it has 0 bytes"},
		"text":                   {[]byte("hello, world"), 0, capfile.ErrNotCapture, "68 65 6c 6c"},
		"gzip of text":           {gzipped(t, []byte("hello, world")), 0, capfile.ErrNotCapture, "68 65 6c 6c"},
		"file header":            {good[:20], 0, capfile.ErrTruncated, "file header needs 24 bytes, 20 are left"},
		"record header":          {good[:len(good)-9], 1, capfile.ErrTruncated, "after packet 1, at byte 43: file ends early: record header needs 16 bytes, 10 are left"},
		"packet":                 {good[:len(good)-1], 1, capfile.ErrTruncated, "packet needs 3 bytes, 2 are left"},
		"packet gone":            {good[:len(good)-3], 1, capfile.ErrTruncated, "packet is missing"},
		"record of 4 GB":         {hostile, 2, capfile.ErrMalformed, "record of 4294967280 bytes"},
		"gzip cut":               {gzipped(t, good)[:40], 1, capfile.ErrTruncated, "file ends early"},
		"block header":           {append(slices.Clone(ng), 6, 0, 0), 1, capfile.ErrTruncated, "block header needs 8 bytes, 3 are left"},
		"block cut":              {ng[:len(ng)-5], 0, capfile.ErrTruncated, "block needs"},
		"block of no size":       {slices.Concat(ng, u32(little, 6), u32(little, 8)), 1, capfile.ErrMalformed, "block of 8 bytes"},
		"block of odd size":      {slices.Concat(ng, u32(little, 6), u32(little, 33)), 1, capfile.ErrMalformed, "block of 33 bytes"},
		"block of 4 GB":          {slices.Concat(ng, u32(little, 99), u32(little, 0xfffffffc)), 1, capfile.ErrMalformed, "4294967292"},
		"block that disagrees":   {slices.Concat(ng, u32(little, 6), u32(little, 32), make([]byte, 20), u32(little, 36)), 1, capfile.ErrMalformed, "says 36 at its end"},
		"interface that is none": {slices.Concat(ng, enhanced(little, 1, 1, 3, []byte("one"))), 1, capfile.ErrMalformed, "packet of interface 1, the section describes 1"},
		"packet beyond its block": {
			slices.Concat(ng, block(little, 6, u32(little, 0), u32(little, 0), u32(little, 0), u32(little, 9), u32(little, 9), make([]byte, 8))),
			1, capfile.ErrMalformed, "packet of 9 bytes in a block with room for 8",
		},
		"byte order": {block(little, 0x0a0d0d0a, u32(little, 0x11223344), make([]byte, 12)), 0, capfile.ErrMalformed, "byte order magic"},
		"version":    {block(little, 0x0a0d0d0a, u32(little, 0x1a2b3c4d), u16(little, 2), u16(little, 0), make([]byte, 8)), 0, capfile.ErrMalformed, "version 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, tt.file)
			if len(got) != tt.packets || !errors.Is(err, tt.is) || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("%d packets, error %v; want %d and %q", len(got), err, tt.packets, tt.says)
			}
		})
	}
}

func TestPacketLargerThanTheBuffer(t *testing.T) {
	data := bytes.Repeat([]byte("wardflow"), 100_000)
	file := pcapFile(little, 0xa1b2c3d4, record{data: data}, record{data: []byte("after")})
	got, err := read(t, file)
	if err != nil || len(got) != 2 || !strings.HasSuffix(got[0], string(data)) || !strings.HasSuffix(got[1], "after") {
		t.Errorf("%d packets, error %v", len(got), err)
	}
}

func TestHostileLengthCostsNothing(t *testing.T) {
	file := slices.Concat(pcapFile(little, 0xa1b2c3d4), make([]byte, 8), u32(little, 16<<20), u32(little, 16<<20), []byte("few"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := read(t, file); !errors.Is(err, capfile.ErrTruncated) {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 {
		t.Errorf("%d bytes allocated for a record that is not there", n)
	}
}

func TestMerge(t *testing.T) {
	at := func(name string, seconds ...uint32) *capfile.Reader {
		var recs []record
		for _, s := range seconds {
			recs = append(recs, record{seconds: s, data: []byte(name)})
		}
		r, err := capfile.NewReader(name, bytes.NewReader(pcapFile(little, 0xa1b2c3d4, recs...)))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	broken, err := capfile.NewReader("broken", bytes.NewReader(pcapFile(little, 0xa1b2c3d4, record{seconds: 2, data: []byte("d")}, record{data: []byte("d")})[:24+16+1+5]))
	if err != nil {
		t.Fatal(err)
	}
	m := capfile.NewMerge(at("a", 1, 3, 2, 9), at("b"), at("c", 1, 2, 3, 4), broken)
	var got []string
	for {
		var p capfile.Packet
		i, err := m.Next(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d:%s%d", i, p.Data, p.Time/1e9))
	}
	want := []string{"0:a1", "2:c1", "2:c2", "3:d2", "0:a3", "0:a2", "2:c3", "2:c4", "0:a9"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if errs := m.Errors(); len(errs) != 1 || !errors.Is(errs[0], capfile.ErrTruncated) || !strings.Contains(errs[0].Error(), "broken") {
		t.Errorf("errors %v", errs)
	}
}

func TestProducer(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b, c := write("a", "1"), write("b", "2"), write("c", "1")
	name := func(paths ...string) string {
		s, err := capfile.Producer(paths...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if name(a, b) != name(c, b) || len(name(a)) != 32 {
		t.Error("the name does not follow from the content")
	}
	if name(a, b) == name(b, a) || name(a) == name(b) || name(a) == name(a, c) {
		t.Error("different sets have one name")
	}
	if _, err := capfile.Producer(filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file has a name")
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	recs := make([]record, 5000)
	for i := range recs {
		recs[i] = record{seconds: uint32(i), data: make([]byte, 400)}
	}
	r, err := capfile.NewReader("test", bytes.NewReader(pcapFile(little, 0xa1b2c3d4, recs...)))
	if err != nil {
		t.Fatal(err)
	}
	m := capfile.NewMerge(r)
	var p capfile.Packet
	if _, err := m.Next(&p); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(4000, func() {
		if _, err := m.Next(&p); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if p.Time < proto.Time(4e12) {
		t.Errorf("time %v", p.Time)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(pcapFile(little, 0xa1b2c3d4, record{data: []byte("one")}))
	f.Add(pcapFile(big, 0xa1b2cd34, record{data: []byte("one")}))
	f.Add(slices.Concat(section(big), iface(big, 1, option(big, 9, []byte{9})), enhanced(big, 0, 1, 3, []byte("one")), block(big, 3, u32(big, 4), []byte("four"))))
	f.Add(gzipped(f, pcapFile(little, 0xa1b23c4d, record{data: []byte("one")})))
	f.Add(zstdded(f, pcapFile(little, 0xa1b23c4d, record{data: []byte("one")})))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := capfile.NewReader("fuzz", bytes.NewReader(b))
		if err != nil {
			return
		}
		defer r.Close()
		var p capfile.Packet
		for range 10_000 {
			if err := r.Next(&p); err != nil {
				return
			}
			if p.WireLen < len(p.Data) || p.Time < 0 {
				t.Fatalf("packet of %d bytes, %d on the wire, at %d", len(p.Data), p.WireLen, p.Time)
			}
		}
	})
}
