package sink_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/sink"
)

const benchPartitions = 8

// site makes encoded batches of one partition after another.
type site struct {
	rng *rand.Rand
	seq [benchPartitions]uint64
}

func (h *site) id(n uint64) (id proto.ID) {
	binary.LittleEndian.PutUint64(id[:], n*0x9E3779B97F4A7C15)
	binary.LittleEndian.PutUint64(id[8:], n*0xC2B2AE3D27D4EB4F)
	return id
}

func (h *site) batch(p int32, flows int) []byte {
	b := proto.Batch{Site: "north", Sensor: "tap0", Producer: "tap0", Domain: proto.LiveDomain, FirstSeq: h.seq[p] + 1}
	now := proto.TimeOf(time.Now())
	for range flows {
		src, dst := h.rng.Uint64N(50_000), h.rng.Uint64N(500)
		f := &proto.Flow{
			FlowID: h.id(h.rng.Uint64()), Final: true, Start: now - proto.Time(h.rng.Int64N(1e9)), End: now, Transport: proto.TCP,
			SrcIP: netip.AddrFrom4([4]byte{10, 1, byte(src >> 8), byte(src)}), SrcPort: uint16(32768 + h.rng.IntN(28000)), SrcMAC: proto.MAC{0, 1, 2, 3, byte(src >> 8), byte(src)},
			DstIP: netip.AddrFrom4([4]byte{10, 2, byte(dst >> 8), byte(dst)}), DstPort: 443, DstMAC: proto.MAC{0, 1, 2, 4, byte(dst >> 8), byte(dst)},
			SrcPackets: 1 + h.rng.Uint64N(20), SrcBytes: h.rng.Uint64N(5000), DstPackets: 1 + h.rng.Uint64N(20), DstBytes: h.rng.Uint64N(50000),
			State: "SF", Protocol: "tls", ProtocolBy: proto.ByContent, SrcEndpoint: h.id(src), DstEndpoint: h.id(dst), SrcInside: true, DstInside: true,
		}
		binary.LittleEndian.PutUint64(f.CommunityID[:], h.rng.Uint64())
		binary.LittleEndian.PutUint64(f.CommunityID[8:], h.rng.Uint64())
		b.Items = append(b.Items, proto.Item{Flow: f})
	}
	h.seq[p] += uint64(flows)
	value, err := proto.Marshal(&b)
	if err != nil {
		panic(err)
	}
	return value
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverCPU is what our child processes have used, 0 where there is no /proc.
func serverCPU() time.Duration {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	ticks := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) > 12 && fields[1] == strconv.Itoa(os.Getpid()) {
			u, _ := strconv.Atoi(fields[11])
			s, _ := strconv.Atoi(fields[12])
			ticks += u + s
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkSink publishes flows at a rate over 8 partitions, for b.N times 10 s,
// and reports CPU of both sides (merges included), freshness and parts. Rate 0
// publishes everything at once. Run it with -benchtime 1x.
func BenchmarkSink(b *testing.B) {
	for _, c := range []struct {
		rate     int
		interval time.Duration
	}{{25_000, 500 * time.Millisecond}, {50_000, 250 * time.Millisecond}, {50_000, 500 * time.Millisecond}, {50_000, time.Second}, {0, 500 * time.Millisecond}} {
		b.Run(fmt.Sprintf("rate=%d/interval=%v", c.rate, c.interval), func(b *testing.B) { benchSink(b, c.rate, c.interval) })
	}
}

// timed keeps how long flows took from publication to a readable row.
type timed struct {
	*store.Store
	log  *memoryLog
	mu   sync.Mutex
	late []time.Duration
}

func (t *timed) Insert(ctx context.Context, b *store.Block, token string) error {
	if err := t.Store.Insert(ctx, b, token); err != nil {
		return err
	}
	now := proto.TimeOf(time.Now())
	partition, err := strconv.Atoi(strings.Split(token, "/")[2])
	if err != nil {
		return err
	}
	t.log.mu.Lock()
	records := t.log.parts[proto.TopicTraffic][int32(partition)]
	t.log.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range b.Len() {
		if id := b.ID(i); id.Index == 0 {
			t.late = append(t.late, now.Sub(records[id.Offset].Time))
		}
	}
	return nil
}

func benchSink(b *testing.B, rate int, interval time.Duration) {
	s := openStore(b)
	h := &site{rng: rand.New(rand.NewPCG(1, 1))}
	const perBatch, seconds = 250, 10
	total := max(rate, 100_000) * seconds * b.N
	values := make([][]byte, total/perBatch)
	for i := range values {
		values[i] = h.batch(int32(i%benchPartitions), perBatch)
	}
	log := newLog()
	tables := &timed{Store: s, log: log}
	cfg := sink.Default()
	cfg.Interval = interval
	sk := sink.New(cfg, tables, slog.New(slog.DiscardHandler))
	m := log.join(sk, benchPartitions)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	b.ResetTimer()
	client, server := ownCPU(), serverCPU()
	go func() { done <- sk.Run(ctx, m, log) }()
	publish(log, values, rate/perBatch)
	log.waitFor(b, 5*time.Minute)
	elapsed := b.Elapsed()
	client, server = ownCPU()-client, serverCPU()-server
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	if got := one(b, s, "SELECT uniqExact(flow_id) FROM flows"); got != fmt.Sprint(total) {
		b.Fatalf("%s distinct flows, want %d", got, total)
	}
	late := tables.late
	slices.Sort(late)
	b.ReportMetric(float64(total)/elapsed.Seconds(), "flows/s")
	b.ReportMetric(client.Seconds()*1e6/float64(total), "client_us/flow")
	b.ReportMetric(server.Seconds()*1e6/float64(total), "server_us/flow")
	b.ReportMetric(late[len(late)/2].Seconds()*1e3, "p50_ms")
	b.ReportMetric(late[len(late)*99/100].Seconds()*1e3, "p99_ms")
	inserts := sk.Counters()["inserts"]
	b.ReportMetric(float64(inserts)/elapsed.Seconds(), "inserts/s")
}

// publish appends values, each to the next partition, at so many a second.
func publish(log *memoryLog, values [][]byte, rate int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	begin, i := time.Now(), 0
	for i < len(values) {
		want := len(values)
		if rate > 0 {
			<-tick.C
			want = min(len(values), int(time.Since(begin).Seconds()*float64(rate)))
		}
		for ; i < want; i++ {
			log.append(bus.Record{Topic: proto.TopicTraffic, Partition: int32(i % benchPartitions), Value: values[i]})
		}
	}
}
