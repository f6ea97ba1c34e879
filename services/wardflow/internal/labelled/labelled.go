// Package labelled reads folders of capture files whose devices are known, and
// makes samples for services/fingerprint/behaviour of them.
//
// Each folder is a type of device, each capture file in it a sample. Packets go
// through capture's own Processor, and the sketches are filled as the endpoint
// fold fills them: what is measured with these samples is what the product does.
package labelled

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
	"github.com/wardflow/wardflow/services/fingerprint/behaviour"
)

// Set is the samples of a folder.
type Set struct {
	Samples []*behaviour.Sample
	SHA256  string // over names and contents of the captures, sorted by name
	Damaged []error
	Guessed []string // captures whose device was found by its traffic alone
	Silent  []string // captures without any device
}

// ErrNoSamples says that a folder holds no labelled captures.
var ErrNoSamples = errors.New("no labelled captures: want a folder per type of device, with capture files in it")

// Read reads all labelled captures below dir. A file that is damaged gives what is
// readable, and is told.
func Read(ctx context.Context, dir string) (*Set, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read labelled captures: %w", err)
	}
	s, sum := &Set{}, sha256.New()
	for _, e := range entries {
		folder := filepath.Join(dir, e.Name())
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			continue
		}
		files, macs, err := list(folder)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("read labelled captures: %w", err)
			}
			path := filepath.Join(folder, name)
			if err := hashFile(sum, e.Name()+"/"+name, path); err != nil {
				return nil, err
			}
			s.add(path, Label(e.Name()), macs)
		}
	}
	if len(s.Samples) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, errors.Join(append([]error{ErrNoSamples}, s.Damaged...)...))
	}
	s.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return s, nil
}

func hashFile(into io.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read labelled captures: %w", err)
	}
	defer func() { _ = f.Close() }()
	one := sha256.New()
	if _, err := io.Copy(one, f); err != nil {
		return fmt.Errorf("read labelled captures: %s: %w", path, err)
	}
	fmt.Fprintf(into, "%s %x\n", name, one.Sum(nil))
	return nil
}

// Label is the type that a folder's name stands for: the name without the number
// of a unit, which is a single digit at its end (WeMoSwitch2); HS100 is a model.
func Label(folder string) string {
	n := len(folder)
	digit := func(i int) bool { return i >= 0 && folder[i] >= '0' && folder[i] <= '9' }
	if n > 1 && digit(n-1) && !digit(n-2) {
		return strings.TrimRight(folder[:n-1], "-_ .")
	}
	return folder
}

var (
	macText     = regexp.MustCompile(`(?i)\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}`)
	captureName = regexp.MustCompile(`(?i)\.(pcap|pcapng|cap|dmp|snoop)\d*(\.(gz|zst|zstd))?$`)
	macName     = regexp.MustCompile(`(?i)mac.*\.txt$`)
)

// maxMACFile bounds a file that names MACs.
const maxMACFile = 64 << 10

// list gives the capture files of a folder, sorted, and the MACs that a file such
// as _iotdevice-mac.txt in it names.
func list(folder string) (files []string, macs []proto.MAC, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil, fmt.Errorf("read labelled captures: %w", err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case e.IsDir():
		case captureName.MatchString(name):
			files = append(files, name)
		case macName.MatchString(name):
			f, err := os.Open(filepath.Join(folder, name))
			if err != nil {
				return nil, nil, fmt.Errorf("read labelled captures: %w", err)
			}
			text, err := io.ReadAll(io.LimitReader(f, maxMACFile))
			_ = f.Close()
			if err != nil {
				return nil, nil, fmt.Errorf("read labelled captures: %s: %w", f.Name(), err)
			}
			for _, m := range macText.FindAll(text, -1) {
				raw, err := hex.DecodeString(string(bytes.ReplaceAll(bytes.ReplaceAll(m, []byte(":"), nil), []byte("-"), nil)))
				if err == nil {
					macs = append(macs, proto.MAC(raw))
				}
			}
		}
	}
	return files, macs, nil
}

// add makes a sample of a capture file.
func (s *Set) add(path, label string, macs []proto.MAC) {
	r, err := capfile.Open(path)
	if err != nil {
		s.Damaged = append(s.Damaged, err)
		return
	}
	defer func() { _ = r.Close() }()
	w := &watcher{devices: map[proto.MAC]*device{}}
	p := capture.New(capture.Config{Site: site, Sensor: "labelled", Emit: w.item, Reuse: true})
	var pkt capfile.Packet
	for {
		if err := r.Next(&pkt); err != nil {
			if !errors.Is(err, io.EOF) {
				s.Damaged = append(s.Damaged, err)
			}
			break
		}
		p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
	}
	p.End()
	mac, named := w.choose(macs)
	x := &behaviour.Sample{Label: label, Name: path, MAC: mac, Sketch: behaviour.NewSketch()}
	if d := w.devices[mac]; d == nil {
		s.Silent = append(s.Silent, path)
	} else {
		x.Sketch = d.sketch
		if !named {
			s.Guessed = append(s.Guessed, path)
		}
	}
	s.Samples = append(s.Samples, x)
}

// site is the name under which endpoints get their ids; nothing learned has it.
const site = "labelled"

// device is an interface seen in a capture.
type device struct {
	sketch  behaviour.Sketch
	sent    uint64 // packets and messages
	gateway bool   // it brings what others sent, or serves the network
}

// watcher fills the sketches of all interfaces.
type watcher struct{ devices map[proto.MAC]*device }

func (w *watcher) of(mac proto.MAC) *device {
	d := w.devices[mac]
	if d == nil {
		d = &device{sketch: behaviour.NewSketch()}
		w.devices[mac] = d
	}
	return d
}

func (w *watcher) item(it proto.Item) {
	switch {
	case it.Mirror:
	case it.Flow != nil:
		f := it.Flow
		w.side(f, f.SrcMAC, f.SrcIP, f.SrcPackets, false)
		w.side(f, f.DstMAC, f.DstIP, f.DstPackets, true)
	case it.Observation != nil:
		o := it.Observation
		if o.MAC.IsZero() || o.MAC.IsGroup() || o.Endpoint != proto.MACEndpoint(site, o.MAC) {
			return
		}
		d := w.of(o.MAC)
		if d.sketch.Observe(o) {
			d.sent++
		}
		d.gateway = d.gateway || (o.Protocol == "ndp" && o.Kind == "router_advertisement")
	}
}

func (w *watcher) side(f *proto.Flow, mac proto.MAC, ip netip.Addr, packets uint64, asServer bool) {
	if mac.IsZero() || mac.IsGroup() {
		return
	}
	d, id := w.of(mac), f.SrcEndpoint
	if asServer {
		id = f.DstEndpoint
	}
	d.sent += packets
	d.gateway = d.gateway || (packets > 0 && public(ip)) // it brings what others sent
	if id != proto.MACEndpoint(site, mac) {
		return
	}
	if asServer && packets > 0 && (f.Protocol == "dns" || f.Protocol == "dhcp") {
		d.gateway = true
	}
	d.sketch.Flow(f, asServer)
}

var home = capture.DefaultHome()

// public reports whether an address is one of the Internet: devices behind a router
// have others.
func public(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !slices.ContainsFunc(home, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}

// choose says which interface is the device: of those named the one that sent
// most, else of all that are no gateway; of a capture with gateways alone, of those.
func (w *watcher) choose(macs []proto.MAC) (mac proto.MAC, named bool) {
	all := slices.SortedFunc(maps.Keys(w.devices), func(a, b proto.MAC) int {
		x, y := w.devices[a], w.devices[b]
		if x.gateway != y.gateway {
			if x.gateway {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(y.sent, x.sent), bytes.Compare(a[:], b[:]))
	})
	most := proto.MAC{}
	for _, m := range all {
		if slices.Contains(macs, m) && (most.IsZero() || w.devices[m].sent > w.devices[most].sent) {
			most = m
		}
	}
	if !most.IsZero() {
		return most, true
	}
	if len(all) == 0 {
		return proto.MAC{}, false
	}
	return all[0], false
}
