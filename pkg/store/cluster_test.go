package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// Two servers form a sharded cluster without replicas: what the Distributed
// tables, the GLOBAL joins of the views and the choice of shard do is real.
func TestTwoShards(t *testing.T) {
	embeddedtest.ClickHouse(t) // skips where there is none
	var shards []embedded.ClickHouseConfig
	cluster := &embedded.ClickHouseCluster{Name: "ward"}
	for i := range 2 {
		dir := t.TempDir()
		run, err := embedded.EnsureRunFile(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := run.ClickHouseConfig(filepath.Join(dir, "clickhouse"))
		if i > 0 {
			c.User, c.Password = shards[0].User, shards[0].Password
		}
		shards = append(shards, c)
		cluster.Shards = append(cluster.Shards, embedded.ClickHouseShard{Host: "127.0.0.1", TCPPort: c.TCPPort, User: c.User, Password: c.Password})
	}
	cfg := store.Default()
	cfg.User, cfg.Password, cfg.Cluster, cfg.Unreplicated, cfg.Addresses = shards[0].User, shards[0].Password, "ward", true, nil
	cfg.Analyst.User = ""
	for i := range shards {
		own := *cluster
		own.Shard = fmt.Sprint(i + 1)
		shards[i].Cluster = &own
		p, err := embedded.StartClickHouse(t.Context(), shards[i], embedded.Child{Command: embeddedtest.Command()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
		cfg.Addresses = append(cfg.Addresses, fmt.Sprintf("127.0.0.1:%d", shards[i].TCPPort))
	}
	s := open(t, cfg)
	if m := migrate(t, s); len(m.Differences) != 0 {
		t.Fatalf("differences: %q", m.Differences)
	}
	if m := migrate(t, s); len(m.Statements) != 0 || len(m.Differences) != 0 {
		t.Fatalf("second: %q, %q", m.Statements, m.Differences)
	}
	// The flow lies on the first shard, its server's binding on the second.
	record := func(table string, partition int32, b *proto.Binding) {
		t.Helper()
		blk, err := store.NewRecordBlock(table)
		if err != nil {
			t.Fatal(err)
		}
		value, err := proto.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := blk.Add(&store.Record{Value: value, Envelope: proto.Envelope{Time: noon}, At: *at(partition, 1, 0)}); err != nil {
			t.Fatal(err)
		}
		insert(t, s, &blk.Block, "b")
	}
	record(store.Bindings, 0, &proto.Binding{Endpoint: e1, Device: pump, Type: "infusion_pump"})
	record(store.Bindings, 1, &proto.Binding{Endpoint: e2, Device: pacs, Type: "pacs"})
	for partition := range int32(4) {
		b := store.NewFlowBlock()
		b.Add(&proto.Flow{Site: "north", SrcEndpoint: e1, DstEndpoint: e2, Start: noon, End: noon}, at(partition, 1, 0))
		insert(t, s, &b.Block, fmt.Sprint("f", partition))
		if n := count(t, s, all(partition, 0, 10)); n != 1 {
			t.Errorf("partition %d: %d rows on its shard", partition, n)
		}
	}
	if got := fmt.Sprint(rows(t, s, "SELECT src_type, dst_type, count() FROM v_flows GROUP BY 1, 2")); got != "[[infusion_pump pacs 4]]" {
		t.Errorf("flows over both shards: %s", got)
	}
	if got := fmt.Sprint(rows(t, s, "SELECT count() FROM flows_local")); got != "[[2]]" {
		t.Errorf("flows of the first shard: %s", got)
	}
	for _, v := range []string{"v_observations", "v_pairs", "v_activity", "v_bindings", "v_devices", "v_detections", "v_risk", "v_risk_history", "v_usage", "v_findings", "v_sensors", "v_sensor_events"} {
		rows(t, s, "SELECT * FROM "+v)
	}
	r, err := s.Flows(context.Background(), store.FlowFilter{Device: pump, Peer: pacs.String()})
	if got := column(t, r, err, "src_device"); len(got) != 4 || got[0] != pump.String() {
		t.Errorf("flows of the pump with the PACS: %v", got)
	}
}
