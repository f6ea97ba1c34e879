package filter

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/wardflow/wardflow/pkg/packet"
)

// ether is a frame from 02:00:00:00:00:01 to dst.
func ether(dst string, kind uint16, payload []byte) []byte {
	d, err := hex.DecodeString(dst)
	if err != nil {
		panic(err)
	}
	d = append(d, 2, 0, 0, 0, 0, 1)
	return append(binary.BigEndian.AppendUint16(d, kind), payload...)
}

func ip4(proto byte, fragment uint16, options int, payload []byte) []byte {
	b := []byte{0x45 + byte(options), 0, 0, byte(20 + 4*options + len(payload)), 0, 7}
	b = binary.BigEndian.AppendUint16(b, fragment)
	b = append(b, 64, proto, 0, 0, 10, 1, 2, 3, 192, 168, 0, 9)
	return append(append(b, make([]byte, 4*options)...), payload...)
}

func ip6(next byte, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0, 0, byte(len(payload)), next, 64}
	b = append(b, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
	b = append(b, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)
	return append(b, payload...)
}

func ports2(src, dst uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	return append(binary.BigEndian.AppendUint16(b, dst), make([]byte, 20)...)
}

const unicast = "020000000002"

// frames are untagged.
var frames = map[string][]byte{
	"tcp":        ether(unicast, 0x0800, ip4(6, 0x4000, 0, ports2(40000, 104))),
	"tcp opts":   ether(unicast, 0x0800, ip4(6, 0, 3, ports2(104, 2575))),
	"udp":        ether(unicast, 0x0800, ip4(17, 0, 0, ports2(53, 5353))),
	"fragment":   ether(unicast, 0x0800, ip4(17, 0x2005, 0, ports2(53, 104))),
	"icmp":       ether(unicast, 0x0800, ip4(1, 0, 0, make([]byte, 8))),
	"sctp":       ether(unicast, 0x0800, ip4(132, 0, 0, ports2(104, 9))),
	"gre":        ether("01005e000001", 0x0800, ip4(47, 0, 0, make([]byte, 30))),
	"broadcast":  ether("ffffffffffff", 0x0800, ip4(17, 0, 0, ports2(68, 67))),
	"tcp6":       ether(unicast, 0x86dd, ip6(6, ports2(2575, 40000))),
	"udp6":       ether("333300000002", 0x86dd, ip6(17, ports2(5353, 5353))),
	"fragment6":  ether(unicast, 0x86dd, ip6(44, append([]byte{17, 0, 0, 0, 0, 0, 0, 1}, ports2(53, 53)...))),
	"icmp6":      ether(unicast, 0x86dd, ip6(58, make([]byte, 24))),
	"arp":        ether("ffffffffffff", 0x0806, append([]byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 192, 168, 0, 9}, make([]byte, 18)...)),
	"lldp":       ether("0180c200000e", 0x88cc, make([]byte, 46)),
	"llc":        ether("0180c2000000", 38, make([]byte, 46)),
	"multicast4": ether("01005e7f0001", 0x0800, func() []byte { b := ip4(17, 0, 0, ports2(1, 2)); b[16] = 239; return b }()),
	"long":       ether(unicast, 0x0800, ip4(6, 0, 0, append(ports2(80, 81), make([]byte, 160)...))),
	"empty":      ether(unicast, 0x0800, nil),
}

// expressions mean the same to libpcap.
var expressions = []string{
	"ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "pim", "vrrp", "ah", "esp",
	"host 10.1.2.3", "src host 10.1.2.3", "dst host 10.1.2.3", "dst 192.168.0.9", "src or dst host 192.168.0.9", "src and dst host 10.1.2.3",
	"host 2001:db8::1", "src 2001:db8::1", "dst host ff02::2", "ip host 10.1.2.3", "arp host 10.1.2.3", "arp dst 10.1.2.3", "ip6 host 2001:db8::1",
	"net 10", "net 10.1", "src net 10.0.0.0/8", "dst net 192.168.0.0/29", "net 192.168.0.0 mask 255.255.255.0", "net 2001:db8::/32", "net 2001:db8::/47",
	"net 0.0.0.0/0", "net 10.1.2.3/32", "net 10.0.0.0/7",
	"port 104", "src port 104", "dst port 104", "tcp port 104", "udp port 53", "sctp port 104", "src and dst port 5353", "src or dst port 53",
	"portrange 100-200", "tcp src portrange 2000-3000", "dst portrange 53-53", "udp portrange 60-100",
	"port 104 or 2575", "tcp dst port 104 or 2575", "host 10.1.2.3 and port 104", "host 10.1.2.3 or 2001:db8::1",
	"ip proto 47", "ip proto 17", "ip6 proto 17", "ip6 proto 58", "proto 17", `ip proto \tcp`, "ether proto 0x88cc", `ether proto \arp`, "ether proto 2048",
	"ether host 02:00:00:00:00:01", "ether src 02:00:00:00:00:01", "ether dst host 02:00:00:00:00:02", "ether src host 02:00:00:00:00:02",
	"broadcast", "ether broadcast", "multicast", "ether multicast", "ip multicast", "ip6 multicast",
	"less 70", "greater 70", "greater 1",
	"not tcp", "! tcp", "not (tcp or udp)", "not not arp", "tcp or udp and port 104", "arp or icmp and host 10.1.2.3", "(arp or icmp) && host 10.1.2.3",
	"tcp and not port 104", "udp || tcp", "not port 104 or 53", "not host 10.1.2.3 and not arp",
	"tcp port 104 and (src net 10.0.0.0/8 or src net 192.168.0.0/16) and not dst host 10.9.9.9",
}

func runs(t *testing.T, code []bpf.Instruction) func(frame []byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	return func(frame []byte) bool {
		n, err := vm.Run(frame)
		if err != nil {
			t.Fatal(err)
		}
		return n != 0
	}
}

func ours(t *testing.T, expr string, link packet.LinkType) func([]byte) bool {
	t.Helper()
	code, err := compile(expr, Config{Link: link})
	if err != nil {
		t.Fatal(err)
	}
	return runs(t, code)
}

// libpcap gives tcpdump's program for an expression.
func libpcap(t *testing.T, expr, file string) func([]byte) bool {
	t.Helper()
	out, err := exec.Command("tcpdump", "-ddd", "-r", file, expr).CombinedOutput()
	if strings.Contains(string(out), "rejects all packets") {
		return func([]byte) bool { return false }
	}
	if err != nil {
		t.Fatalf("tcpdump %q: %v\n%s", expr, err, out)
	}
	if i := strings.LastIndexFunc(string(out), func(r rune) bool { return (r < '0' || r > '9') && r != ' ' && r != '\n' }); i >= 0 {
		_, rest, _ := strings.Cut(string(out)[i:], "\n") // what it says of the file before
		out = []byte(rest)
	}
	var raw []bpf.RawInstruction
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var n [4]uint64
		if i == 0 {
			continue
		}
		for j, s := range strings.Fields(line) {
			n[j], _ = strconv.ParseUint(s, 10, 32)
		}
		raw = append(raw, bpf.RawInstruction{Op: uint16(n[0]), Jt: uint8(n[1]), Jf: uint8(n[2]), K: uint32(n[3])})
	}
	code, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatalf("%q: libpcap's program has unknown instructions", expr)
	}
	return runs(t, code)
}

func empty(t *testing.T, link uint32) string {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("needs tcpdump to compare with")
	}
	file := filepath.Join(t.TempDir(), "empty.pcap")
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0)
	if err := os.WriteFile(file, binary.LittleEndian.AppendUint32(b, link), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A tag goes behind the addresses.
func tagged(frame []byte, kind uint16, ids ...uint16) []byte {
	out := slices.Clone(frame[:12])
	for _, id := range ids {
		out = binary.BigEndian.AppendUint16(out, kind)
		out = binary.BigEndian.AppendUint16(out, 0x6000|id)
	}
	return append(out, frame[12:]...)
}

func TestMeansWhatLibpcapMeans(t *testing.T) {
	file := empty(t, 1)
	for _, expr := range expressions {
		mine, theirs := ours(t, expr, packet.LinkEthernet), libpcap(t, expr, file)
		behind, theirBehind := ours(t, "vlan and ("+expr+")", packet.LinkEthernet), libpcap(t, "vlan and ("+expr+")", file)
		for name, f := range frames {
			if got, want := mine(f), theirs(f); got != want {
				t.Errorf("%q of %s: %v, libpcap says %v", expr, name, got, want)
			}
			v := tagged(f, 0x8100, 5)
			if got, want := behind(v), theirBehind(v); got != want {
				t.Errorf("%q behind a tag of %s: %v, libpcap says %v", expr, name, got, want)
			}
			if theirs(f) && behind(f) {
				t.Errorf("%q with vlan takes %s, which has none", expr, name)
			}
		}
	}
}

func TestMeansWhatLibpcapMeansOfRawIP(t *testing.T) {
	file := empty(t, 101)
	for _, expr := range expressions {
		code, err := compile(expr, Config{Link: packet.LinkRaw})
		if err != nil {
			if strings.Contains(expr, "ether") || strings.Contains(expr, "cast") {
				continue
			}
			t.Fatal(err)
		}
		if strings.Contains(expr, "ether") {
			continue
		}
		mine, theirs := runs(t, code), libpcap(t, expr, file)
		for name, f := range frames {
			if kind := f[12]; (kind != 0x08 && kind != 0x86) || f[13] == 6 || len(f) < 15 {
				continue
			}
			if got, want := mine(f[14:]), theirs(f[14:]); got != want {
				t.Errorf("%q of %s: %v, libpcap says %v", expr, name, got, want)
			}
		}
	}
}

// Whatever the tags, a test of what is behind them is true of the same frames.
func TestSeesThroughTags(t *testing.T) {
	for _, expr := range expressions {
		if strings.Contains(expr, "less") || strings.Contains(expr, "greater") {
			continue
		}
		match := ours(t, expr, packet.LinkEthernet)
		for name, f := range frames {
			want := match(f)
			for _, v := range [][]byte{tagged(f, 0x8100, 5), tagged(f, 0x88a8, 5, 9), tagged(f, 0x9100, 7)} {
				if match(v) != want {
					t.Errorf("%q of %s is %v, and not with %d more bytes of tags", expr, name, want, len(v)-len(f))
				}
			}
		}
	}
}

func TestVLAN(t *testing.T) {
	plain, one, two := frames["tcp"], tagged(frames["tcp"], 0x8100, 5), tagged(frames["tcp"], 0x88a8, 5, 9)
	for expr, want := range map[string][3]bool{
		"vlan":                           {false, true, true},
		"vlan 5":                         {false, true, true},
		"vlan 9":                         {false, false, true},
		"vlan 5 and vlan 9":              {false, false, true},
		"vlan 0":                         {false, false, false},
		"not vlan 5":                     {true, false, false},
		"vlan 6 or host 10.1.2.3":        {true, true, true},
		"vlan 9 or vlan 6":               {false, false, true},
		"vlan 5 and tcp dst port 104":    {false, true, true},
		"not vlan and tcp dst port 104":  {true, false, false},
		"vlan 0x5 and not host 10.1.2.3": {false, false, false},
	} {
		match := ours(t, expr, packet.LinkEthernet)
		if got := [3]bool{match(plain), match(one), match(two)}; got != want {
			t.Errorf("%q: %v, want %v (no tag, one, two)", expr, got, want)
		}
	}
}

// Long expressions need jumps that 8 bits do not hold.
func TestManyHosts(t *testing.T) {
	list := []string{}
	for i := range 300 {
		list = append(list, fmt.Sprintf("172.16.%d.%d", i/256, i%256))
	}
	f := slices.Clone(frames["tcp"])
	copy(f[26:], []byte{172, 16, 0, 255})
	for expr, want := range map[string]bool{
		"ip src host " + strings.Join(list, " or "):                     true,
		"ip src host " + strings.Join(list[:255], " or "):               false,
		"not (ip src host " + strings.Join(list, " or ") + ") and ip":   false,
		"tcp and (ip src " + strings.Join(list, " or ") + ") or vlan 5": true,
	} {
		if got := ours(t, expr, packet.LinkEthernet)(f); got != want {
			t.Errorf("%.40s: %v", expr, got)
		}
	}
	if _, err := Compile("host "+strings.Join(append(list, list...), " or "), Config{Link: packet.LinkEthernet, Stripped: true}); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("600 hosts: %.100v", err)
	}
}

func TestMistakes(t *testing.T) {
	for expr, want := range map[string]struct {
		at     int
		reason string
	}{
		"tcp port":                {8, "want a number"},
		"tcp prt 80":              {4, "want and, or, or the end"},
		"host pump-7":             {5, "names are not looked up"},
		"hots 10.0.0.1":           {0, "want a test"},
		"host 10.0.0.1 and":       {17, "want a test"},
		"(tcp or udp":             {0, "not closed"},
		"tcp)":                    {3, "no opening"},
		"()":                      {1, "want a test"},
		"net 10.0.0.1/8":          {4, "did you mean 10.0.0.0/8?"},
		"net 10.0.0.0/33":         {4, "0 to 32"},
		"port 70000":              {5, "0 to 65535"},
		"vlan 5000":               {5, "0 to 4095"},
		"portrange 80":            {10, "range"},
		"icmp port 80":            {10, "icmp has no ports"},
		"tcp[13] & 2 != 0":        {0, "single bytes"},
		"host 02:00:00:00:00:01":  {5, "ether host"},
		"ether host 10.0.0.1":     {11, "want a MAC"},
		"ip host 2001:db8::1":     {8, "does not go with ip"},
		"tcp host 10.0.0.1":       {9, "does not go with tcp"},
		"src tcp":                 {4, "want host, net"},
		"net 10.0.0.0 mask 0.0.1": {18, "want a mask"},
		"tcp & udp":               {4, "want and, or"},
		"ether":                   {5, "after ether"},
		strings.Repeat("(", 200):  {100, "within one another"},
	} {
		_, err := Compile(expr, Config{Link: packet.LinkEthernet})
		var e *Error
		if !errors.As(err, &e) || e.At != want.at || !strings.Contains(err.Error(), want.reason) {
			t.Errorf("%q: %v", expr, err)
		}
	}
	for _, link := range []packet.LinkType{packet.LinkRaw, packet.LinkSLL} {
		if _, err := Compile("ether host 02:00:00:00:00:01", Config{Link: link}); err == nil {
			t.Errorf("link %d: an Ethernet address is taken", link)
		}
	}
	if got, err := Compile("  ", Config{Link: packet.LinkEthernet}); got != nil || err != nil {
		t.Errorf("empty: %v, %v", got, err)
	}
}

// FuzzCompile: whatever is given, there is an error or a program that runs.
func FuzzCompile(f *testing.F) {
	for _, expr := range expressions {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		code, err := compile(expr, Config{Link: packet.LinkEthernet})
		if err != nil || code == nil {
			return
		}
		if _, err := bpf.Assemble(code); err != nil {
			t.Fatalf("%q: %v", expr, err)
		}
		match := runs(t, code)
		for _, frame := range frames {
			match(frame)
		}
	})
}
