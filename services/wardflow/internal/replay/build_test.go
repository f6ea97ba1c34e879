package replay

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// day is the time of the first packet of tests.
var day = proto.TimeOf(time.Date(2026, 11, 17, 0, 0, 0, 0, time.UTC))

// datagram is a UDP packet of a test capture.
type datagram struct {
	at       time.Duration // after day
	src, dst string
	port     uint16
}

// frame is Ethernet, IPv4, UDP without checksums; the MAC follows from the address.
func (d datagram) frame() []byte {
	src, dst := netip.MustParseAddr(d.src).As4(), netip.MustParseAddr(d.dst).As4()
	b := append([]byte{2, 0, dst[0], dst[1], dst[2], dst[3]}, 2, 0, src[0], src[1], src[2], src[3], 8, 0)
	payload := []byte("ward")
	b = append(b, 0x45, 0, 0, byte(28+len(payload)), 0, 1, 0, 0, 64, 17, 0, 0)
	b = append(append(b, src[:]...), dst[:]...)
	b = binary.BigEndian.AppendUint16(b, 40000)
	b = binary.BigEndian.AppendUint16(b, d.port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// pcap writes a capture file with nanoseconds and gives its path.
func pcap(t *testing.T, list ...datagram) string {
	t.Helper()
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b23c4d)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint32(le.AppendUint32(b, 65535), 1)
	for _, d := range list {
		f, at := d.frame(), day.Add(d.at)
		b = le.AppendUint32(le.AppendUint32(b, uint32(at/1e9)), uint32(at%1e9))
		b = le.AppendUint32(le.AppendUint32(b, uint32(len(f))), uint32(len(f)))
		b = append(b, f...)
	}
	return write(t, "capture.pcap", b)
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// probe is a fold that makes replay's own work visible: each flow that is not yet
// known becomes a detection an hour after it, and each policy one by its title.
type probe struct {
	policies []proto.Policy
	flows    []proto.ID
	beats    []proto.Time
}

func (p *probe) Name() string { return "probe" }

func (p *probe) Inputs() []stream.Input {
	return []stream.Input{{Topic: proto.TopicTraffic}, {Topic: proto.TopicControl}}
}

func (p *probe) Progress() []stream.ProgressTo { return nil }

func (p *probe) Sweep(*stream.Tx, string, []byte) {}

func (p *probe) Apply(tx *stream.Tx, ev *stream.Event) {
	switch m := ev.Msg.(type) {
	case *proto.Control:
		p.policies = append(p.policies, *m.Policy)
	case *proto.Flow:
		if !ev.Mirror {
			p.flows = append(p.flows, m.FlowID)
			tx.Timer(m.End.Add(time.Hour), m.FlowID[:])
		}
	case *proto.Heartbeat:
		p.beats = append(p.beats, m.Clock)
	}
}

func (p *probe) Fire(tx *stream.Tx, t stream.Timer) {
	d := proto.Detection{Time: t.At, Rule: "probe", Severity: "info", Title: "an hour later", Count: 1, First: t.At, Last: t.At, Site: t.Site}
	copy(d.DetectionID[:], t.Key)
	val, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	tx.Emit(stream.Output{Topic: proto.TopicDetections, Kind: proto.KindDetection, Key: t.Key, Value: val, Time: t.At})
}

func readFile(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func lines(b []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}
