package labelled

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint/behaviour"
)

// frame is Ethernet, IPv4, UDP, without checksums.
func frame(from, to proto.MAC, src, dst string, srcPort, dstPort uint16, payload []byte) []byte {
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	b := append(append(append([]byte{}, to[:]...), from[:]...), 8, 0, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(28+len(payload)))
	b = append(b, 0, 1, 0, 0, 64, 17, 0, 0)
	b = append(append(b, s[:]...), d[:]...)
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, srcPort), dstPort)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

var (
	router = proto.MAC{0x02, 0, 0, 0, 0, 0x01}
	phone  = proto.MAC{0x02, 0, 0, 0, 0, 0x02}
)

// record writes a device that asks a server on port, with a router that brings
// outside answers and, more talkative than it, nobody.
func record(t *testing.T, path string, device proto.MAC, port uint16, n int) {
	t.Helper()
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint32(le.AppendUint32(b, 65535), 1)
	at := uint32(0)
	put := func(f []byte) {
		at += 200
		b = le.AppendUint32(le.AppendUint32(b, 1_700_000_000), at*100)
		b = append(le.AppendUint32(le.AppendUint32(b, uint32(len(f))), uint32(len(f))), f...)
	}
	put(frame(phone, router, "10.0.0.9", "198.51.100.1", 50000, 9, []byte("x")))
	for range n {
		put(frame(device, router, "10.0.0.7", "198.51.100.7", 40001, port, []byte("question")))
		put(frame(router, device, "198.51.100.7", "10.0.0.7", port, 40001, []byte("a longer answer")))
		put(frame(router, phone, "198.51.100.8", "10.0.0.9", 7000, 50001, []byte("more")))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if strings.HasSuffix(path, ".gz") {
		z := gzip.NewWriter(f)
		_, err = z.Write(b)
		err = errors.Join(err, z.Close())
	} else {
		_, err = f.Write(b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestLabel(t *testing.T) {
	for in, want := range map[string]string{
		"WeMoSwitch": "WeMoSwitch", "WeMoSwitch2": "WeMoSwitch", "EdimaxCam1": "EdimaxCam", "D-LinkCam": "D-LinkCam", "Pump_2": "Pump",
		"TP-LinkPlugHS100": "TP-LinkPlugHS100", "TP-LinkPlugHS110": "TP-LinkPlugHS110", "EdimaxPlug1101W": "EdimaxPlug1101W", "iKettle2": "iKettle", "7": "7",
	} {
		if got := Label(in); got != want {
			t.Errorf("%s is labelled %s, want %s", in, got, want)
		}
	}
}

// TestRead: with and without a file of MACs, packed or not, beside files that are
// no captures, and with one that is broken.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	cam, plug := proto.MAC{0x02, 0, 0, 0, 1, 1}, proto.MAC{0x02, 0, 0, 0, 2, 1}
	for i := range 3 {
		record(t, filepath.Join(dir, "Cam1", fmt.Sprintf("a%d.pcap", i)), cam, 5000, 4)
		record(t, filepath.Join(dir, "Cam2", fmt.Sprintf("b%d.pcap.gz", i)), cam, 5000, 4)
		record(t, filepath.Join(dir, "Plug", fmt.Sprintf("c%d.cap", i)), plug, 6000, 4)
	}
	for name, text := range map[string]string{
		"Plug/_iotdevice-mac.txt": phone.String(), "Cam1/notes.md": "02:00:00:00:00:01", "README.md": "about", "Plug/torn.pcap": "no capture", "Empty/x.txt": "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Read(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]proto.MAC{}
	for _, x := range s.Samples {
		if x.Sketch.Empty() {
			t.Errorf("%s: the sketch is empty", x.Name)
		}
		got[x.Label] = append(got[x.Label], x.MAC)
	}
	if !slices.Equal(got["Cam"], slices.Repeat([]proto.MAC{cam}, 6)) || !slices.Equal(got["Plug"], slices.Repeat([]proto.MAC{phone}, 3)) || len(got) != 2 {
		t.Errorf("samples %v; want the one that sends most and is no router, and the one that a file names", got)
	}
	if len(s.Damaged) != 1 || !strings.Contains(s.Damaged[0].Error(), "torn.pcap") || len(s.Guessed) != 6 || len(s.Silent) != 0 {
		t.Errorf("damaged %v, guessed %d, silent %v", s.Damaged, len(s.Guessed), s.Silent)
	}
	again, err := Read(context.Background(), dir)
	if err != nil || again.SHA256 != s.SHA256 {
		t.Errorf("read again: %v, another hash", err)
	}
	if _, err := Read(context.Background(), filepath.Join(dir, "Empty")); !errors.Is(err, ErrNoSamples) {
		t.Errorf("a folder without captures: %v", err)
	}
	if _, err := Read(context.Background(), filepath.Join(dir, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestShared: on half of IoT Sentinel, trained on one half of it and tested on the
// other. The long measurement is in benchmarks/results.
func TestShared(t *testing.T) {
	shared := os.Getenv("WARDFLOW_SHARED")
	if shared == "" {
		shared = "../../../../../shared"
	}
	dir := filepath.Join(shared, "captures", "iot-sentinel")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the captures are not here: set WARDFLOW_SHARED to the shared folder")
	}
	s, err := Read(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Damaged)+len(s.Guessed)+len(s.Silent) > 0 {
		t.Errorf("damaged %v, guessed %v, silent %v", s.Damaged, s.Guessed, s.Silent)
	}
	var train, test []*behaviour.Sample
	for i, x := range s.Samples {
		if i%2 == 0 {
			train = append(train, x)
		} else {
			test = append(test, x)
		}
	}
	m, err := behaviour.Train(train, behaviour.Options{Trees: 60, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := behaviour.Test(m, test)
	if r.Types != 27 || r.Macro < 0.90 {
		t.Errorf("%d types, macro accuracy %.4f with half of the captures; want 27, 0.90", r.Types, r.Macro)
	}
}
