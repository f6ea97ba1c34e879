package packet_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// captures calls f with every capture of the shared folder.
func captures(t *testing.T, f func(name string, r *capfile.Reader)) {
	t.Helper()
	root := repotest.Shared(t, "captures")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		r, err := capfile.Open(path)
		if err != nil {
			return nil
		}
		defer r.Close()
		name, err := filepath.Rel(root, path)
		f(filepath.ToSlash(name), r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamagedCaptures decodes the first frames of every shared capture as they are,
// cut, with bits turned, with bytes put in and taken out, and as if they were of
// another link type. Nothing may panic or take long, and what is said of them holds.
func TestDamagedCaptures(t *testing.T) {
	links := []packet.LinkType{0, 1, 9, 12, 50, 51, 101, 104, 105, 107, 108, 113, 119, 127, 163, 166, 178, 192, 204, 239, 258, 276}
	rnd := rand.New(rand.NewPCG(7, 11))
	var d packet.Decoder
	var h packet.Headers
	frames, start := 0, time.Now()
	captures(t, func(name string, r *capfile.Reader) {
		var p capfile.Packet
		for n := 0; n < 40 && r.Next(&p) == nil; n++ {
			for range 6 {
				b := damage(rnd, p.Data)
				link := p.LinkType
				if rnd.IntN(8) == 0 {
					link = links[rnd.IntN(len(links))]
				}
				before := time.Now()
				reason := d.Decode(link, p.Time, b, len(b)+rnd.IntN(3)*rnd.IntN(2000), &h)
				if took := time.Since(before); took > 2*time.Second {
					t.Errorf("%s: frame %d took %v: link %d, %x", name, n, took, link, b)
				}
				frames++
				if reason >= packet.Reasons || h.NTunnels > packet.MaxTunnels ||
					(reason == packet.OK && h.IsIP() && (len(h.Payload) > h.PayloadLen || h.PayloadLen > h.IPBytes || h.Packets < 1 || !h.DstIP.IsValid())) {
					t.Fatalf("%s: frame %d: link %d, %x: %v, %+v", name, n, link, b, reason, h)
				}
			}
		}
	})
	d.Flush()
	t.Logf("%d frames in %v: %v", frames, time.Since(start), d.Counters)
	if frames < 50_000 {
		t.Errorf("%d frames", frames)
	}
}

// damage gives a copy of b with something done to it.
func damage(rnd *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	if len(b) == 0 {
		return b
	}
	near := func() int { return rnd.IntN(min(len(b), 16<<rnd.IntN(8))) } // headers more often than payload
	switch rnd.IntN(6) {
	case 0:
		return b[:near()]
	case 1:
		for range 1 + rnd.IntN(4) {
			b[near()] ^= 1 << rnd.IntN(8)
		}
	case 2:
		for range 1 + rnd.IntN(4) {
			b[near()] = []byte{0, 1, 4, 0x45, 0x60, 0x7f, 0x80, 0xff}[rnd.IntN(8)]
		}
	case 3:
		return slices.Insert(b, near(), b[:near()]...)
	case 4:
		i := near()
		return slices.Delete(b, i, min(len(b), i+1+rnd.IntN(8)))
	}
	return b
}

// otherwise are captures that Wireshark sees otherwise, with the number of pairs of
// addresses of which it has more or fewer frames.
var otherwise = map[string]struct {
	pairs int
	why   string
}{
	"zeek/Traces/tunnels/vxlan.pcap":                                   {2, "a frame without IP in the tunnel: Wireshark's last IP is the tunnel's own"},
	"tcpdump/vxlan.pcap":                                               {2, "a frame without IP in the tunnel: Wireshark's last IP is the tunnel's own"},
	"suricata-verify/arp/detect-arp-04-vxlan/vxlan-arp.pcap":           {2, "a frame without IP in the tunnel: Wireshark's last IP is the tunnel's own"},
	"suricata-verify/geneve-decoder/input.pcap":                        {2, "a frame without IP in the tunnel: Wireshark's last IP is the tunnel's own"},
	"tcpdump/erspan-type-i-3.pcap":                                     {1, "a frame without IP in the tunnel: Wireshark's last IP is the tunnel's own"},
	"tcpdump/erspan-type-ii-3.pcap":                                    {1, "a frame without IP in the tunnel: Wireshark's last IP is the tunnel's own"},
	"arkime/pcap/gre-erspan.pcap":                                      {1, "a frame without IP in the tunnel: Wireshark's last IP is the tunnel's own"},
	"nDPI/pcap/teredo.pcap":                                            {14, "bubbles and router messages of Teredo stay between its ends"},
	"zeek/Traces/tunnels/gtp/gtp8_teredo.pcap":                         {16, "the same"},
	"zeek/Traces/tunnels/teredo_bubble_with_payload.pcap":              {10, "the same, and Wireshark does not know Teredo between other ports"},
	"zeek/Traces/tunnels/gtp/gtp9_unknown_or_too_short_payload.pcap":   {2, "a packet that is longer than the GTP message around it"},
	"zeek/Traces/tunnels/gtp/gtp_control_prime.pcap":                   {4, "GTP prime carries records that quote packets"},
	"malcolm-artifacts/pcap/protocols/Tunnels.pcap":                    {34, "the captures of Zeek above, and others, in one"},
	"arkime/pcap/arkime_synthetic.pcap":                                {2, "sFlow, whose samples are left out of Wireshark's frames here"},
	"zeek/Traces/pbb-recursive-frames.pcapng":                          {1, "more tunnels than are looked into"},
	"pcapplusplus/Tests/ExamplesTest/pcap_examples/ipv6.dmp":           {2, "a LISP control message that quotes a packet"},
	"tcpdump/nhrp-trace.pcap":                                          {2, "an NHRP error that quotes a packet"},
	"tcpdump/PIM_register_register-stop.pcap":                          {2, "PIM is a protocol of its own here, also where it brings a packet"},
	"tcpdump/LINKTYPE_USER2_PKTAP.pcap":                                {1, "a link type of private use"},
	"tcpdump/kday1.pcap":                                               {1, "garbage: version 6 behind IPv4's EtherType"},
	"tcpdump/kday3.pcap":                                               {1, "garbage: the same"},
	"pcapplusplus/Tests/Pcap++Test/PcapExamples/ip4_bad_fragment.pcap": {1, "garbage behind MPLS"},
	"suricata-verify/decode-too-small/test.pcap":                       {2, "transport headers that are too short"},
}

// TestWireshark compares the innermost addresses in all shared captures with tunnels
// or rare links with those that Wireshark finds.
func TestWireshark(t *testing.T) {
	f, err := os.Open("testdata/wireshark.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	theirs := map[string]map[string]int{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		v := strings.Split(sc.Text(), "\t")
		if len(v) != 4 {
			continue
		}
		if theirs[v[0]] == nil {
			theirs[v[0]] = map[string]int{}
		}
		theirs[v[0]][v[1]+">"+v[2]], _ = strconv.Atoi(v[3])
	}
	frames, same := 0, 0
	for name, want := range theirs {
		got := innermost(t, name)
		var differ []string
		for pair, n := range want {
			frames += n
			same += min(n, got[pair])
			if got[pair] != n {
				differ = append(differ, fmt.Sprintf("%d of %s, Wireshark has %d", got[pair], pair, n))
			}
			delete(got, pair)
		}
		for pair, n := range got {
			differ = append(differ, fmt.Sprintf("%d of %s, Wireshark has none", n, pair))
		}
		if o := otherwise[name]; len(differ) != o.pairs {
			t.Errorf("%s: %d pairs differ, want %d: %s\n%s", name, len(differ), o.pairs, o.why, strings.Join(differ, "\n"))
		}
	}
	t.Logf("%d captures, %d frames with IP, %d the same", len(theirs), frames, same)
}

// innermost counts the frames of a capture by their innermost addresses.
func innermost(t *testing.T, name string) map[string]int {
	t.Helper()
	r, err := capfile.Open(repotest.Shared(t, "captures/"+name))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var d packet.Decoder
	var h packet.Headers
	var p capfile.Packet
	out := map[string]int{}
	for r.Next(&p) == nil {
		reason := d.Decode(p.LinkType, p.Time, p.Data, p.WireLen, &h)
		if (reason == packet.OK || reason == packet.FragmentWait) && h.IsIP() {
			out[h.SrcIP.String()+">"+h.DstIP.String()]++
		}
	}
	return out
}
