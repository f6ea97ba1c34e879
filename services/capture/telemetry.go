package capture

import (
	"sync/atomic"

	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// Writer is what an Output writes to: bus.Producer, or a live sensor's Sender.
type Writer = writer

// Totals are what a capture has come to, of files or of interfaces.
type Totals struct {
	Packets, Bytes, Flows, Observations uint64
	Drops, Dissect                      map[string]uint64       // by reason
	Interfaces                          []proto.SensorInterface // of a live sensor
}

// Totals are those of now.
func (s *LiveStats) Totals() Totals {
	return Totals{
		Packets: s.Packets, Bytes: s.Bytes, Flows: s.Flows, Observations: s.Observations,
		Drops: s.Drops, Dissect: s.Dissect, Interfaces: s.Interfaces,
	}
}

// Tell makes a capture's totals metrics until stop is called. The kernel's drops are
// told by interface and not once more among the others.
func Tell(t *telemetry.Telemetry, totals func() Totals) (stop func()) {
	return t.Observe(func(o *telemetry.Observer) {
		s := totals()
		o.Set(telemetry.CapturePackets, float64(s.Packets))
		o.Set(telemetry.CaptureBytes, float64(s.Bytes))
		o.Set(telemetry.CaptureFlows, float64(s.Flows))
		o.Set(telemetry.CaptureObservations, float64(s.Observations))
		for reason, n := range s.Drops {
			if reason != DropRingFull {
				o.Set(telemetry.CaptureDrops, float64(n), reason)
			}
		}
		for reason, n := range s.Dissect {
			o.Set(telemetry.CaptureDissect, float64(n), reason)
		}
		for _, i := range s.Interfaces {
			up := 0.0
			if i.Up {
				up = 1
			}
			o.Set(telemetry.CaptureInterfacePackets, float64(i.Packets), i.Name)
			o.Set(telemetry.CaptureKernelDrops, float64(i.KernelDrops), i.Name)
			o.Set(telemetry.CaptureInterfaceUp, up, i.Name)
		}
	})
}

// TellSender makes a Sender's counts metrics until stop is called; limit is the bound
// of its spool, bytes.
func TellSender(t *telemetry.Telemetry, stats func() SenderStats, limit int64) (stop func()) {
	return t.Observe(func(o *telemetry.Observer) {
		s := stats()
		for _, reason := range SenderDrops() {
			o.Set(telemetry.SpoolDrops, float64(s.Dropped[reason]), string(reason))
		}
		o.Set(telemetry.SpoolAppended, float64(s.Spooled))
		o.Set(telemetry.SpoolDrained, float64(s.Drained))
		o.Set(telemetry.SpoolErrors, float64(s.Spool.SyncErrors), "sync")
		o.Set(telemetry.SpoolErrors, float64(s.Spool.AckErrors), "acknowledge")
		o.Set(telemetry.SpoolErrors, float64(s.Spool.RemoveErrors), "remove")
		o.Set(telemetry.SpoolPending, float64(s.Spool.Pending))
		o.Set(telemetry.SpoolSize, float64(s.Spool.Bytes))
		o.Set(telemetry.SpoolLimit, float64(limit))
		o.Set(telemetry.SpoolAge, s.Spool.OldestAge.Seconds())
	})
}

// TellFiles makes the progress of a capture of files metrics: give the function it
// returns the Progress. Flows and drops are known at the end.
func TellFiles(t *telemetry.Telemetry) (progress func(Progress), stop func()) {
	var last atomic.Pointer[Totals]
	last.Store(&Totals{})
	stop = Tell(t, func() Totals { return *last.Load() })
	return func(p Progress) {
		last.Store(&Totals{
			Packets: p.Packets, Bytes: p.Bytes, Flows: p.Summary.Flows, Observations: p.Summary.Observations,
			Drops: p.Summary.Drops, Dissect: p.Summary.Dissect,
		})
	}, stop
}
