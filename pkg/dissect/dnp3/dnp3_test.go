package dnp3_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/dnp3"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var unhex = dissecttest.Hex

// crc is the checksum, bit by bit.
func crc(b []byte) []byte {
	sum := uint16(0)
	for _, x := range b {
		sum ^= uint16(x)
		for range 8 {
			odd := sum&1 != 0
			if sum >>= 1; odd {
				sum ^= 0xa6bc
			}
		}
	}
	return binary.LittleEndian.AppendUint16(nil, ^sum)
}

// frame is a frame with user data, from station or master.
func frame(control byte, destination, source uint16, user []byte) []byte {
	b := []byte{5, 0x64, byte(len(user) + 5), control}
	b = binary.LittleEndian.AppendUint16(b, destination)
	b = binary.LittleEndian.AppendUint16(b, source)
	b = append(b, crc(b)...)
	for len(user) > 0 {
		n := min(16, len(user))
		b = append(append(b, user[:n]...), crc(user[:n])...)
		user = user[n:]
	}
	return b
}

func ask(function byte, objects string) []byte {
	return frame(0xc4, 4, 3, append([]byte{0xc0, 0xc1, function}, unhex(objects)...))
}

func answer(indications string, objects ...[]byte) []byte {
	b := append([]byte{0xc0, 0xc1, 129}, unhex(indications)...)
	for _, o := range objects {
		b = append(b, o...)
	}
	return frame(0x44, 3, 4, b)
}

// attribute is an object of group 0.
func attribute(variation byte, text string) []byte {
	return append([]byte{0, variation, 0, 0, 0, 1, byte(len(text))}, text...)
}

func TestEverything(t *testing.T) {
	secret := "PHI-CANARY" // short: a checksum stands after every 16 bytes
	c := dissecttest.Talk(
		[2][]byte{frame(0xc0, 4, 3, nil), frame(0x0b, 3, 4, nil)},
		[2][]byte{ask(1, "3c 02 06"), answer("8000")},
		[2][]byte{ask(1, "00 fe 00 00 00"), answer("0000", attribute(252, "Maker"), attribute(250, "RTU 7"), attribute(242, "1.2"), attribute(246, "X9"), attribute(196, secret))},
		[2][]byte{ask(5, "0c 01 28 0100 0000 41 01 64000000 64000000 00"), answer("0000")},
		[2][]byte{ask(5, "0c 01 28 0100 0000 41 01 64000000 64000000 00"), answer("0004")},
		[2][]byte{ask(13, ""), answer("0000")},
		[2][]byte{ask(2, "50 01 00 07 07 00"), nil}, [2][]byte{ask(2, "50 01 00 07 07 00"), nil},
		[2][]byte{frame(0xc4, 4, 3, append([]byte{0xc0, 0xc1, 25}, secret...)), answer("0000", []byte(secret))},
	)
	dissecttest.SaysWhateverTheCut(t, c, "dnp3", `station 1 {"indications":["device_restart"],"role":"server","station":"4"}
station 1 {"role":"server","station":"4"}
identity 1 {"device_uid":"X9","manufacturer":"Maker","product":"RTU 7","role":"server","software_version":"1.2","station":"4"}
control 0 {"function":"direct_operate","role":"client","station":"4"}
control 0 {"function":"direct_operate","role":"client","station":"4"}
station 1 {"indications":["parameter_error"],"role":"server","station":"4"}
control 0 {"function":"cold_restart","role":"client","station":"4"}
write 0 {"function":"write","role":"client","station":"4"}
control 0 {"function":"open_file","role":"client","station":"4"}
transactions 0 {"functions":["cold_restart:1","direct_operate:2","open_file:1","read:2","write:2"],"role":"client"}`)
	dissecttest.KeepsToItself(t, []string{secret}, c)
	dissecttest.PlantedTalks(t, "dnp3", 9999, []string{secret}, c)
}

func TestDatagram(t *testing.T) {
	play := func(b []byte) *dissecttest.Result {
		return dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{1, 20000}, b)})
	}
	if r := play(append(ask(1, "3c 02 06"), ask(14, "")...)); dissecttest.Said(r) != `control 0 {"function":"warm_restart","role":"client","station":"4"}
transactions 0 {"functions":["read:1","warm_restart:1"],"role":"client"}` || r.Flows[0].Protocol != "dnp3" {
		t.Error(dissecttest.Said(r))
	}
	b := ask(14, "")
	b[8] ^= 1
	if r := play(b); r.Flows[0].By == "content" || len(r.Facts) > 0 {
		t.Error("a wrong checksum is taken for DNP3")
	}
}

func TestRefused(t *testing.T) {
	b := ask(14, "")
	b[9] ^= 1
	for name, b := range map[string][]byte{"a wrong checksum": b, "another start": unhex("05 65 05 c0 0400 0300 0000"), "text": []byte("hello, hello, hello")} {
		if v := dnp3.Protocol.Recognise(b, false); v != dissector.No {
			t.Errorf("%s: %d", name, v)
		}
	}
}

// TestZeek compares with the functions in the logs of Zeek's tests.
func TestZeek(t *testing.T) {
	root := repotest.Shared(t, "captures/zeek")
	captures, err := filepath.Glob(root + "/Traces/dnp3/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, path := range captures {
		name := strings.TrimSuffix(filepath.Base(path), ".pcap")
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, path))
		if r.Flows[0].Protocol != "dnp3" || r.Flows[0].By != "content" {
			t.Errorf("%s: %s", name, r.Flows[0].Protocol)
		}
		b, err := os.ReadFile(root + "/Baseline/scripts.base.protocols.dnp3." + name + "/dnp3.log")
		if err != nil {
			continue
		}
		said := dissecttest.Said(r)
		for _, line := range strings.Split(string(b), "\n") {
			f := strings.Split(line, "\t")
			if len(f) < 9 || line[0] == '#' || f[6] == "-" {
				continue
			}
			want := strings.ToLower(f[6])
			if total++; !strings.Contains(said, want+":") {
				t.Errorf("%s: no %s in\n%s", name, want, said)
			}
		}
	}
	if t.Logf("%d values", total); total < 5 {
		t.Errorf("only %d values: the logs are no longer read", total)
	}
}

func FuzzStream(f *testing.F) {
	f.Add(ask(5, "0c 01 28 0100 0000"), answer("8000", attribute(252, "Maker")), 30)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "dnp3", dissecttest.Talk([2][]byte{a, b}, [2][]byte{frame(0xc4, 4, 3, a[:min(len(a), 250)]), frame(0x44, 3, 4, b[:min(len(b), 250)])}), cut, cut/2)
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{1, 20000}, frame(0xc4, 4, 3, a[:min(len(a), 250)]))})
		if len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
