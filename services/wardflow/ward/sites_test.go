package ward_test

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
	"github.com/wardflow/wardflow/services/fingerprint"
)

// atSites gives the devices of the last site, without version, where all have had the
// day, one after the other.
func atSites(t *testing.T, sites ...string) map[proto.ID]string {
	t.Helper()
	devices := map[proto.ID]string{}
	l, err := stream.NewLocal(func(e stream.Emitted) {
		if e.Kind != proto.KindDevice {
			return
		}
		var d proto.Device
		if err := json.Unmarshal(e.Value, &d); err != nil {
			t.Fatal(err)
		}
		if d.Version = 0; d.Site == sites[len(sites)-1] {
			devices[d.DeviceID] = string(d.AppendJSON(nil))
		}
	}, fingerprint.Folds(fingerprint.Config{})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range sites {
		batch := proto.Batch{Site: site, Sensor: "replay", Producer: site, Domain: site}
		p := capture.New(capture.Config{Site: site, Sensor: "replay", Emit: func(it proto.Item) {
			if err := l.Item(&batch, it); err != nil {
				t.Fatal(err)
			}
		}})
		r, err := capfile.Open(repotest.Shared(t, "captures/ward-a/day.pcapng"))
		if err != nil {
			t.Fatal(err)
		}
		for m := capfile.NewMerge(r); ; {
			var pkt capfile.Packet
			if _, err := m.Next(&pkt); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
		}
		p.End()
		_ = r.Close()
	}
	return devices
}

// TestSitesStayApart: the same devices at two sites at once are others, and what one site
// shows depends on no other.
func TestSitesStayApart(t *testing.T) {
	want, got := atSites(t, "st-bede"), atSites(t, "st-alban", "st-bede")
	if len(got) != len(want) {
		t.Errorf("%d devices, want %d", len(got), len(want))
	}
	for id, text := range want {
		if got[id] != text {
			t.Errorf("device %s:\n got %s\nwant %s", id, got[id], text)
		}
	}
}
