package capture

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/spool"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/pkg/telemetry/telemetrytest"
	"github.com/wardflow/wardflow/proto"
)

// Every metric of a live sensor is there from the start, with every reason, and says
// what the sensor says.
func TestTell(t *testing.T) {
	tel := telemetrytest.Start(t)
	live := LiveStats{
		Packets: 10, Bytes: 20, Flows: 3, Observations: 4, Dissect: map[string]uint64{"dns_malformed": 2},
		Drops:      map[string]uint64{DropRingFull: 7, DropRingBlock: 1, "flow_table_full": 5},
		Interfaces: []proto.SensorInterface{{Name: "eth1", Up: true, Packets: 10, KernelDrops: 7}, {Name: "enx001b54000001"}},
	}
	stop := Tell(tel, live.Totals)
	sender := newSenderStats()
	sender.Spooled, sender.Drained, sender.Dropped[spool.DropBound] = 100, 60, 9
	sender.Spool = spool.Stats{Pending: 40, Bytes: 4096, OldestAge: 90 * time.Second, SyncErrors: 1}
	TellSender(tel, func() SenderStats { return sender }, 1<<20)
	v := telemetrytest.Read(t, tel)
	for _, c := range []struct {
		m      *telemetry.Metric
		want   float64
		labels []string
	}{
		{telemetry.CapturePackets, 10, nil},
		{telemetry.CaptureBytes, 20, nil},
		{telemetry.CaptureFlows, 3, nil},
		{telemetry.CaptureObservations, 4, nil},
		{telemetry.CaptureDrops, 5, []string{"flow_table_full"}},
		{telemetry.CaptureDrops, 1, []string{DropRingBlock}},
		{telemetry.CaptureDissect, 2, []string{"dns_malformed"}},
		{telemetry.CaptureKernelDrops, 7, []string{"eth1"}},
		{telemetry.CaptureInterfacePackets, 10, []string{"eth1"}},
		{telemetry.CaptureInterfaceUp, 1, []string{"eth1"}},
		{telemetry.CaptureInterfaceUp, 0, []string{telemetry.Other}}, // its name is a hardware address
		{telemetry.SpoolAppended, 100, nil},
		{telemetry.SpoolDrained, 60, nil},
		{telemetry.SpoolDrops, 9, []string{string(spool.DropBound)}},
		{telemetry.SpoolDrops, 0, []string{string(DropTooLarge)}},
		{telemetry.SpoolErrors, 1, []string{"sync"}},
		{telemetry.SpoolPending, 40, nil},
		{telemetry.SpoolSize, 4096, nil},
		{telemetry.SpoolLimit, 1 << 20, nil},
		{telemetry.SpoolAge, 90, nil},
	} {
		if got := v.Of(t, c.m, c.labels...); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.m.Name, c.labels, got, c.want)
		}
	}
	for _, m := range telemetry.Metrics() {
		if m.Only == "on a live sensor" && !v.Has(m) {
			t.Errorf("%s is documented for live sensors and not there", m.Name)
		}
	}
	if got := v[telemetry.CaptureDrops.Prometheus()+`{reason="`+DropRingFull+`"}`]; got != 0 {
		t.Error("the kernel's drops are told twice")
	}
	stop()
	if telemetrytest.Read(t, tel).Has(telemetry.CapturePackets) {
		t.Error("a capture that has ended is still told of")
	}
}
