package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// hospital makes flows like those of a large site: devices devices, Zipf peers,
// 40 % east-west, 10 % IPv6, counters and gaps with long tails.
type hospital struct {
	rng   *rand.Rand
	zipf  *rand.Zipf
	n     uint64
	clock proto.Time
	seq   uint64
}

func newHospital(devices uint64) *hospital {
	rng := rand.New(rand.NewPCG(1, 2))
	return &hospital{rng: rng, zipf: rand.NewZipf(rng, 1.2, 8, devices-1), n: devices, clock: proto.TimeOf(time.Now().UTC())}
}

func (h *hospital) mac(i uint64) (m proto.MAC) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], i*0x9E3779B97F4A7C15)
	copy(m[:], []byte{0, byte(i % 40), byte(i % 7), b[3], b[4], b[5]})
	return m
}

func (h *hospital) ip(i uint64, v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0xfd, 0, 14: byte(i >> 8), 15: byte(i), 8: byte(i >> 16), 9: 0x5e})
	}
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

var services = []struct {
	port  uint16
	proto string
}{{443, "tls"}, {53, "dns"}, {104, "dicom"}, {2575, "hl7"}, {80, "http"}, {445, "smb"}, {123, "ntp"}, {161, "snmp"}, {3389, "rdp"}, {24105, "intellivue"}}

// flow fills f with the next flow of the site; ids are made cheaply.
func (h *hospital) flow(f *proto.Flow) {
	h.clock += proto.Time(20_000 + h.rng.Int64N(10_000)) // about 40,000 a second
	src, svc, v6 := h.rng.Uint64N(h.n), services[min(h.zipf.Uint64()%16, uint64(len(services)-1))], h.rng.IntN(10) == 0
	*f = proto.Flow{
		Final: true, Site: "north", Sensor: "tap" + strconv.Itoa(int(src%4)), Start: h.clock - proto.Time(h.rng.ExpFloat64()*2e9), End: h.clock,
		Transport: proto.TCP, SrcIP: h.ip(src, v6), SrcPort: uint16(32768 + h.rng.IntN(28000)), SrcMAC: h.mac(src), DstPort: svc.port,
		VLAN: proto.VLAN(100 + src%60), State: "SF", Protocol: svc.proto, ProtocolBy: proto.ByContent, SrcInside: true,
	}
	if svc.port == 53 || svc.port == 123 || svc.port == 161 {
		f.Transport = proto.UDP
	}
	f.SrcPackets = 1 + uint64(h.rng.ExpFloat64()*8)
	f.DstPackets = 1 + uint64(h.rng.ExpFloat64()*10)
	f.SrcBytes, f.DstBytes = f.SrcPackets*60+uint64(h.rng.ExpFloat64()*500), f.DstPackets*60+uint64(h.rng.ExpFloat64()*5000)
	f.SrcPayloadBytes, f.DstPayloadBytes = f.SrcBytes-f.SrcPackets*40, f.DstBytes-f.DstPackets*40
	binary.LittleEndian.PutUint64(f.SrcEndpoint[:], src*0x9E3779B97F4A7C15)
	binary.LittleEndian.PutUint64(f.SrcEndpoint[8:], src*0xC2B2AE3D27D4EB4F)
	if peer := h.zipf.Uint64(); h.rng.IntN(10) < 4 {
		f.DstIP, f.DstMAC, f.DstInside = h.ip(peer, v6), h.mac(peer), true
		binary.LittleEndian.PutUint64(f.DstEndpoint[:], peer*0x9E3779B97F4A7C15)
		binary.LittleEndian.PutUint64(f.DstEndpoint[8:], peer*0xC2B2AE3D27D4EB4F)
	} else {
		f.DstIP, f.DstMAC = netip.AddrFrom4([4]byte{byte(1 + peer%200), byte(peer >> 8), 7, 9}), h.mac(1)
	}
	binary.LittleEndian.PutUint64(f.FlowID[:], h.rng.Uint64())
	binary.LittleEndian.PutUint64(f.FlowID[8:], h.rng.Uint64())
	copy(f.CommunityID[:], f.FlowID[:])
	binary.LittleEndian.PutUint32(f.CommunityID[16:], h.rng.Uint32())
}

// fill adds n flows in batches of 2,000 from one partition.
func (h *hospital) fill(b *store.FlowBlock, flows []proto.Flow, partition int32) {
	const batch = 2000
	now := proto.TimeOf(time.Now().UTC())
	for i := range flows {
		h.seq++
		b.Add(&flows[i], &store.Coordinates{
			Generation: 1, Partition: partition, Offset: int64(h.seq / batch), Index: int32(h.seq % batch), Time: now,
			Producer: flows[i].Sensor, Seq: h.seq,
		})
	}
}

func number(v any) float64 {
	f, _ := v.(float64)
	return f
}

func cpu(who int) time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverCPU is what our child processes have used, 0 where /proc is not.
func serverCPU() time.Duration {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	var ticks int
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

// BenchmarkFlowBlock is the client's work before anything is sent.
func BenchmarkFlowBlock(b *testing.B) {
	h := newHospital(50_000)
	flows := make([]proto.Flow, 50_000)
	for i := range flows {
		h.flow(&flows[i])
	}
	block := store.NewFlowBlock()
	b.ResetTimer()
	for range b.N {
		block.Reset()
		h.fill(block, flows, 0)
	}
	b.ReportMetric(float64(b.N)*float64(len(flows))/b.Elapsed().Seconds(), "flows/s")
}

// BenchmarkInsertFlows inserts blocks of several sizes into a real server:
// rates, CPU of both sides per flow (merges included), bytes on disk.
func BenchmarkInsertFlows(b *testing.B) {
	for _, size := range []int{5_000, 20_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := migrated(b)
			h := newHospital(50_000)
			flows := make([]proto.Flow, size)
			block := store.NewFlowBlock()
			client, server, n := time.Duration(0), serverCPU(), 0
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				for i := range flows {
					h.flow(&flows[i])
				}
				b.StartTimer()
				before := cpu(syscall.RUSAGE_SELF)
				block.Reset()
				h.fill(block, flows, int32(i%8))
				if err := s.Insert(context.Background(), &block.Block, fmt.Sprintf("t%d", i)); err != nil {
					b.Fatal(err)
				}
				client += cpu(syscall.RUSAGE_SELF) - before
				n += size
			}
			b.StopTimer()
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "flows/s")
			b.ReportMetric(client.Seconds()*1e6/float64(n), "client_us/flow")
			b.ReportMetric((serverCPU()-server).Seconds()*1e6/float64(n), "server_us/flow")
			disk := rows(b, s, "SELECT sum(bytes_on_disk) / sum(rows), sum(rows), count() FROM system.parts WHERE database = currentDatabase() AND table = 'flows' AND active")
			b.ReportMetric(number(disk[0][0]), "disk_bytes/flow")
			if got := disk[0][1]; got != uint64(n) {
				b.Fatalf("%v rows, want %d", got, n)
			}
			if os.Getenv("WARDFLOW_BENCH_COLUMNS") != "" {
				for _, r := range rows(b, s, "SELECT column, round(sum(column_data_compressed_bytes) / sum(rows), 2) AS per FROM system.parts_columns WHERE database = currentDatabase() AND table = 'flows' AND active GROUP BY 1 ORDER BY 2 DESC") {
					b.Logf("%v %v", r[0], r[1])
				}
			}
		})
	}
}
