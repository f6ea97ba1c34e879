package fingerprint

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// judges runs the device fold on partitions of a store, as the running system does.
type judges struct {
	t       testing.TB
	db      *stream.DB
	fold    *Device
	parts   []*stream.Partition
	offset  []map[string]int64
	devices []map[proto.ID]*proto.Device // as last told, by partition; nil while nobody looks
	told    []int
	dead    []string
	mu      sync.Mutex
}

func newJudges(t testing.TB, n int, cfg Config) *judges {
	j := &judges{t: t}
	db, err := stream.OpenDB(t.TempDir(), NewDevice(cfg), nil)
	if err != nil {
		t.Fatal(err)
	}
	j.db = db
	t.Cleanup(func() { _ = db.Close() })
	for range n {
		j.offset = append(j.offset, map[string]int64{})
		j.devices = append(j.devices, map[proto.ID]*proto.Device{})
		j.told = append(j.told, 0)
	}
	j.restart(cfg)
	return j
}

// restart begins again with what is stored, as another program perhaps.
func (j *judges) restart(cfg Config) {
	j.fold, j.parts = NewDevice(cfg), nil
	for i := range j.offset {
		p, err := stream.OpenPartition(j.fold, int32(i), stream.Options{Store: j.db, CacheBytes: 32 << 20})
		if err != nil {
			j.t.Fatal(err)
		}
		j.parts = append(j.parts, p)
	}
}

func (j *judges) offer(part int, topic, kind string, value []byte) {
	j.offset[part][topic]++
	env := proto.Envelope{Schema: proto.SchemaDerived, Kind: kind, Producer: "test/" + topic, Seq: uint64(j.offset[part][topic]), Cause: proto.Cause{Partition: -1}, Time: noon}
	head, err := env.Append(nil)
	if err != nil {
		j.t.Fatal(err)
	}
	j.parts[part].Offer(stream.Record{Topic: topic, Partition: int32(part), Offset: j.offset[part][topic] - 1, Envelope: head, Value: value})
}

func (j *judges) summary(part int, s *proto.Summary) {
	value, err := proto.Marshal(s)
	if err != nil {
		j.t.Fatal(err)
	}
	j.offer(part, proto.TopicSummaries, proto.KindSummary, value)
}

// pack says it to every partition, and works until nothing is left.
func (j *judges) pack(name, text string) {
	value, err := json.Marshal(&proto.Control{Kind: proto.ControlSignatures, Signatures: &proto.SignaturePack{Name: name, By: "nurse station", Text: text, Removed: text == ""}})
	if err != nil {
		j.t.Fatal(err)
	}
	for i := range j.parts {
		j.offer(i, proto.TopicControl, proto.KindControl, value)
	}
}

// work runs a partition in commits of at most n events and gives how many it did; it
// stops after most commits, where that is not 0.
func (j *judges) work(part, n, most int) (did int) {
	for i := 0; most == 0 || i < most; i++ {
		k := j.parts[part].Run(n, len(j.parts), time.Time{})
		c, err := j.parts[part].Prepare(0)
		if err != nil {
			j.t.Fatal(err)
		}
		did += k
		if c == nil {
			if k == 0 {
				return did
			}
			continue
		}
		b := j.db.NewBatch()
		for _, ch := range c.Changes {
			if err := b.Put(int32(part), ch.Key, ch.Value); err != nil {
				j.t.Fatal(err)
			}
		}
		if err := b.Store(); err != nil {
			j.t.Fatal(err)
		}
		j.take(part, c.Outputs)
		j.parts[part].Committed(c, 1<<14)
		if k == 0 {
			return did
		}
	}
	return did
}

func (j *judges) take(part int, list []stream.Emitted) {
	for _, e := range list {
		switch e.Kind {
		case proto.KindDead:
			j.mu.Lock()
			j.dead = append(j.dead, string(e.Value))
			j.mu.Unlock()
		case proto.KindDevice:
			j.told[part]++
			if j.devices[part] == nil {
				continue
			}
			d := new(proto.Device)
			if err := json.Unmarshal(e.Value, d); err != nil {
				j.t.Fatal(err)
			}
			j.devices[part][d.DeviceID] = d
		}
	}
}

const scalePack = `pack: scales
version: 1.0.0
licence: CC0-1.0
rules:
  - id: acme-scale
    match: {attribute: model, prefix: 'ACME W'}
    says: {type: {scale: 0.9}}
    source: the maker's manual
    examples: [{evidence: ACME W200, expect: {type: scale}}]
`

func summaryFor(n int, model string) *proto.Summary {
	who, ip := number(n + 1)
	s := &proto.Summary{Endpoint: who, Group: who, Site: "st-alban", FirstSeen: noon, LastSeen: noon.Add(time.Hour), Version: 1}
	s.IPs = append(s.IPs, ip)
	for _, v := range [][3]string{
		{"dhcp_vendor_class", "MSFT 5.0", "dhcp"},
		{"hostname", "host-" + strconv.Itoa(n), "dhcp"},
		{"ip", ip.String(), "arp"},
		{"manufacturer", "ACME", "hl7"},
		{"model", model, "hl7"},
		{"serial", strconv.Itoa(100000 + n), "hl7"},
		{"software_version", "4." + strconv.Itoa(n%20), "hl7"},
		{"tcp_stack", "128 MNWNNS", "tcp"},
	} {
		s.Evidence = append(s.Evidence, proto.Evidence{Attribute: v[0], Value: v[1], Protocol: v[2], First: noon, Last: noon.Add(time.Hour), Count: 9, Weight: 0.9})
	}
	return s
}

// TestPackReevaluates: a pack that control adds makes other devices of those it is
// about, and of no others; taken away they are what they were; a restart keeps it;
// a pack that cannot be used changes nothing; one that a program brings counts as well.
func TestPackReevaluates(t *testing.T) {
	j := newJudges(t, 2, Config{})
	for i := range 20 {
		j.summary(i%2, summaryFor(i, []string{"ACME W200", "ACME W300", "Other 1", "Other 2"}[i%4]))
	}
	scales := func() (n int) {
		for i := range j.devices {
			for _, d := range j.devices[i] {
				if d.Type != nil && d.Type.Value == "scale" {
					n++
				}
			}
		}
		return n
	}
	state := func(step string, told, want int) {
		t.Helper()
		before := j.told[0] + j.told[1]
		for i := range j.parts {
			j.work(i, 3, 0) // sweeps go on over several commits
		}
		if got := j.told[0] + j.told[1] - before; got != told {
			t.Errorf("%s: %d devices told, want %d", step, got, told)
		}
		if n := scales(); n != want {
			t.Errorf("%s: %d scales, want %d", step, n, want)
		}
	}
	state("summaries", 20, 0)
	j.pack("scales", scalePack)
	state("added", 10, 10)
	j.pack("scales", scalePack)
	state("added again", 0, 10)
	j.restart(Config{})
	state("restarted", 0, 10)
	next := summaryFor(1, "ACME W900")
	next.Version = 2
	j.summary(1, next)
	state("after a restart", 1, 10)
	j.pack("scales", strings.Replace(scalePack, "scale: 0.9", "printer: 0.9", 1))
	state("changed", 10, 0)
	j.pack("broken", strings.Replace(scalePack, "prefix: 'ACME W'", "regex: '('", 1))
	state("broken", 0, 0)
	if len(j.dead) != 2 || !strings.Contains(j.dead[0], "RE2") {
		t.Errorf("dead letters %q", j.dead)
	}
	j.pack("scales", "")
	state("taken away", 10, 0)
	p, err := ParsePack("scales", []byte(scalePack))
	if err != nil {
		t.Fatal(err)
	}
	j.pack("scales", scalePack) // half of it is done when the program ends
	j.work(0, 3, 1)
	j.work(1, 3, 1)
	j.restart(Config{})
	state("ended half way", 10-scales(), 10)
	j.pack("scales", "")
	state("taken away again", 10, 0)
	j.restart(Config{Packs: []*Pack{p}})
	for i := range 2 { // the first word after the start
		s := summaryFor(i, "ACME W200")
		s.Version = 3
		j.summary(i, s)
	}
	// The last sweep's end changed nothing and so was not stored: it goes on, and finds
	// that the signatures are others. Then the two that speak are told once more.
	state("of the program", 12, 10)
}

// TestReevaluateMany fills a store with devices, adds a pack that makes another of one
// in ten, and tells how long that takes while summaries go on. WARDFLOW_DEVICES is
// their number.
func TestReevaluateMany(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("WARDFLOW_DEVICES"))
	if err != nil {
		n = 2000
	}
	const parts = 8
	j := newJudges(t, parts, Config{})
	for i := range j.devices {
		j.devices[i] = nil
	}
	each := func(f func(part int)) {
		var wg sync.WaitGroup
		next := make(chan int, parts)
		for i := range parts {
			next <- i
		}
		close(next)
		for range 2 { // cores
			wg.Go(func() {
				for part := range next {
					f(part)
				}
			})
		}
		wg.Wait()
	}
	begun := time.Now()
	each(func(part int) {
		for i := part; i < n; i += parts {
			model := fmt.Sprintf("Model %d", i%300)
			if i%10 == 3 {
				model = fmt.Sprintf("ACME W%d", i%70)
			}
			j.summary(part, summaryFor(i, model))
			if i/parts%2000 == 1999 {
				j.work(part, 1<<20, 0)
			}
		}
		j.work(part, 1<<20, 0)
	})
	t.Logf("%d devices made in %.1f s", n, time.Since(begun).Seconds())
	clear(j.told)
	j.restart(Config{}) // nothing is in memory
	j.pack("scales", scalePack)
	profiled := profiling(t)
	begun, busy := time.Now(), processor()
	each(func(part int) {
		for i := part; i < n; i += parts * 50 { // traffic: one in fifty says something new meanwhile
			s := summaryFor(i, "Model 7")
			s.Version = 2
			j.summary(part, s)
		}
		j.work(part, 2000, 0)
	})
	took := time.Since(begun)
	busy = processor() - busy
	profiled()
	told := 0
	for _, k := range j.told {
		told += k
	}
	t.Logf("%d devices looked at again by 2 workers: %.1f s by the clock, %.1f s of processor, %.1f us each; %d told",
		n, took.Seconds(), busy.Seconds(), busy.Seconds()/float64(n)*1e6, told)
	if told < n/10 || told > n/10+n/50+parts {
		t.Errorf("%d of %d devices were told", told, n)
	}
}
