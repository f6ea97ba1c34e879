package fingerprint

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime/pprof"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pierrec/lz4/v4"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// stage is one fold on one partition with its state on disk.
type stage struct {
	t       *testing.T
	p       *stream.Partition
	db      *stream.DB
	offset  int64
	written int             // bytes of changelog
	tables  map[byte][2]int // of them: bytes and entries, by table
	emitted []string        // what restart tests compare

	compress bool // with WARDFLOW_COMPRESSED
	squeezed int  // bytes of changelog as batches of it go to the broker
}

func newStage(t *testing.T, f stream.Fold, blocks *stream.Cache) *stage {
	t.Helper()
	db, err := stream.OpenDB(t.TempDir(), f, blocks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p, err := stream.OpenPartition(f, 0, stream.Options{Store: db, CacheBytes: mebibytes("WARDFLOW_ROWS", stream.DefaultCacheBytes)})
	if err != nil {
		t.Fatal(err)
	}
	return &stage{t: t, p: p, db: db, tables: map[byte][2]int{}, compress: os.Getenv("WARDFLOW_COMPRESSED") != ""}
}

// squeeze counts what a transaction's changes are as batches that LZ4 has compressed, as
// the bus has it done, with seven bytes around each record.
func (s *stage) squeeze(changes []stream.Change) {
	var all []byte
	for i, c := range changes {
		all = append(append(append(all, 0, 0, 0, byte(i), byte(len(c.Key)), byte(len(c.Value)), 0), c.Key...), c.Value...)
		if len(all) > 1<<20 || i == len(changes)-1 {
			var short bytes.Buffer
			w := lz4.NewWriter(&short)
			if _, err := w.Write(all); err != nil {
				s.t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				s.t.Fatal(err)
			}
			s.squeezed += short.Len()
			all = all[:0]
		}
	}
}

// mebibytes is what an environment variable says, in bytes.
func mebibytes(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n << 20
	}
	return otherwise
}

func (s *stage) offer(topic string, at proto.Time, env, val []byte) {
	s.p.Offer(stream.Record{Topic: topic, Time: at, Offset: s.offset, Envelope: env, Value: val})
	s.offset++
}

// mostEvents bounds a transaction, as in the running system.
const mostEvents = 50_000

// commit applies what was offered, in transactions, and stores it; it gives what was
// emitted.
func (s *stage) commit() (out []stream.Emitted) {
	for more := true; more; {
		more = s.p.Run(mostEvents, 1, time.Time{}) > 0
		c, err := s.p.Prepare(0)
		if err != nil {
			s.t.Fatal(err)
		}
		if c == nil {
			return out
		}
		if s.compress {
			s.squeeze(c.Changes)
		}
		b := s.db.NewBatch()
		for _, ch := range c.Changes {
			n := s.tables[ch.Key[0]]
			s.tables[ch.Key[0]] = [2]int{n[0] + len(ch.Key) + len(ch.Value), n[1] + 1}
			s.written += len(ch.Key) + len(ch.Value)
			if err := b.Put(0, ch.Key, ch.Value); err != nil {
				s.t.Fatal(err)
			}
		}
		if err := b.Store(); err != nil {
			s.t.Fatal(err)
		}
		for i := range c.Outputs {
			if e := &c.Outputs[i]; s.emitted != nil {
				s.emitted = append(s.emitted, fmt.Sprintf("%s %x %d %x", e.Topic, e.Key, e.Time, e.Value))
			}
		}
		out = append(out, c.Outputs...)
		s.p.Committed(c, stream.DefaultMaxEntries)
	}
	return out
}

// logged is what the changelog has by table: bytes and entries an observation.
func (s *stage) logged(sent int) (tables string) {
	for k := range byte(128) {
		if n := s.tables[k]; n[0] > sent/10 {
			tables += fmt.Sprintf(" %q %.0f in %.2f", k, float64(n[0])/float64(sent), float64(n[1])/float64(sent))
		}
	}
	return tables
}

// held is the state's size: entries and bytes by table.
func (s *stage) held() (entries, bytes int, tables string) {
	by := map[byte][2]int{}
	if err := s.db.Each(0, nil, func(key, val []byte) bool {
		n := by[key[0]]
		by[key[0]] = [2]int{n[0] + len(key) + len(val), n[1] + 1}
		entries, bytes = entries+1, bytes+len(key)+len(val)
		return true
	}); err != nil {
		s.t.Fatal(err)
	}
	for k := range byte(128) {
		if n := by[k]; n[1] > 0 {
			tables += fmt.Sprintf(" %q: %d of %d bytes;", k, n[1], n[0]/n[1])
		}
	}
	return entries, bytes, tables
}

// restore copies the state into another database, as a new instance does from a
// compacted changelog, and opens the partition on it.
func (s *stage) restore(f stream.Fold) time.Duration {
	fresh, err := stream.OpenDB(s.t.TempDir(), f, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = fresh.Close() }()
	begun := time.Now()
	b, n := fresh.NewBatch(), 0
	if err := s.db.Each(0, nil, func(key, val []byte) bool {
		if err = b.Put(0, key, val); err != nil {
			return false
		}
		if n++; n%20000 == 0 {
			err = b.Store()
			b = fresh.NewBatch()
		}
		return err == nil
	}); err != nil {
		s.t.Fatal(err)
	}
	if err := b.Store(); err != nil {
		s.t.Fatal(err)
	}
	if _, err := stream.OpenPartition(f, 0, stream.Options{Store: fresh}); err != nil {
		s.t.Fatal(err)
	}
	return time.Since(begun)
}

// pipeline is both folds, one behind the other.
type pipeline struct {
	endpoint, device *stage
	batch            proto.Batch
	clock            proto.Time
	seq              uint64
	told             int // devices
}

// send gives observations to the folds as one batch and one transaction, at 20,000 in
// a second of event time.
func (w *pipeline) send(list []*proto.Observation) {
	w.batch.Items = w.batch.Items[:0]
	for _, o := range list {
		w.clock = w.clock.Add(time.Second / 20000)
		o.Time = w.clock
		w.batch.Items = append(w.batch.Items, proto.Item{Observation: o})
	}
	w.batch.Items = append(w.batch.Items, proto.Item{Heartbeat: &proto.Heartbeat{Clock: w.clock}})
	w.batch.FirstSeq = w.seq + 1
	w.seq += uint64(len(w.batch.Items))
	val, err := proto.Marshal(&w.batch)
	if err != nil {
		w.endpoint.t.Fatal(err)
	}
	w.endpoint.offer(proto.TopicTraffic, w.clock, nil, val)
	for _, e := range w.endpoint.commit() {
		if e.Topic != proto.TopicSummaries {
			continue
		}
		env, err := e.Envelope.Append(nil)
		if err != nil {
			w.endpoint.t.Fatal(err)
		}
		w.device.offer(e.Topic, w.clock, env, e.Value)
	}
	for _, e := range w.device.commit() {
		if e.Kind == proto.KindDevice {
			w.told++
		}
	}
}

// known are the observations by which a device of a hospital shows what it is.
func known(n int) []*proto.Observation {
	who, ip := number(n)
	o := func(protocol, kind string, attributes ...string) *proto.Observation {
		v := &proto.Observation{Site: "st-alban", Protocol: protocol, Kind: kind, Endpoint: who, IP: ip, MAC: proto.MAC{0, 0x30, 0xe6, byte(n >> 16), byte(n >> 8), byte(n)}}
		for i := 0; i < len(attributes); i += 2 {
			v.Attributes.Set(attributes[i], attributes[i+1])
		}
		return v
	}
	host := "W" + strconv.Itoa(n%997) + "-" + strconv.Itoa(n)
	list := []*proto.Observation{
		o("dhcp", "request", "hostname", host, "vendor_class", "MSFT 5.0", "parameter_list", "1,3,6,15,31,33,43,44,46,47,121,249,252"),
		o("arp", "request"),
		o("tls", "client_hello", "ja3", "771,4865-4866"+strconv.Itoa(n%50), "ja4", "t13d1516h2_8daaf6152771_"+strconv.Itoa(n%50), "sni", "server.example"),
	}
	switch n % 4 {
	case 0:
		list = append(list, o("hl7", "equipment", "equipment_id", "F8C678FFFE"+strconv.Itoa(n), "equipment_type", "MDC_DEV_PUMP_INFUS_LVP_MDS", "manufacturer", "BD (CareFusion)", "model", "8015 PCU", "serial", strconv.Itoa(n), "software_version", "9.33.1", "delivering", strconv.FormatBool(n%8 == 0), "location", "W3^B01"))
	case 1:
		list = append(list, o("dicom", "c_store", "role", "scu", "calling_ae", "CT"+strconv.Itoa(n), "manufacturer", "SIEMENS", "model", "SOMATOM go.Up", "serial", strconv.Itoa(n), "software_version", "VA40A", "modality", "CT", "study", "d5704cad2434fcde140c09fddb86d641"))
	case 2:
		list = append(list, o("intellivue", "state", "role", "monitor", "measuring", "true"))
	}
	return list
}

func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// profiling begins a profile of the processor, where WARDFLOW_PROFILE names its file,
// and gives what ends it.
func profiling(t *testing.T) (end func()) {
	file := os.Getenv("WARDFLOW_PROFILE")
	if file == "" {
		return func() {}
	}
	f, err := os.Create(file)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
}

// batch is how many observations a transaction has.
const batch = 3000

// measure sends observations of devices at random and tells what they cost.
func (w *pipeline) measure(when string, n, devices int, random *rand.Rand) {
	t := w.endpoint.t
	w.endpoint.written, w.device.written, w.told = 0, 0, 0
	w.endpoint.squeezed, w.device.squeezed = 0, 0
	clear(w.endpoint.tables)
	clear(w.device.tables)
	ended := profiling(t)
	begun, cost, made, sent := time.Now(), processor(), time.Duration(0), 0
	var list []*proto.Observation
	for sent < n {
		at := processor()
		list = list[:0]
		for len(list) < batch {
			all := known(random.IntN(devices))
			list = append(list, all[random.IntN(len(all))])
		}
		made += processor() - at
		w.send(list)
		sent += len(list)
	}
	cost = processor() - cost
	ended()
	t.Logf("%s %d observations of devices at random in %s: %.0f a second of processor (%.0f without making them), both folds and their state; %d devices told again",
		when, sent, time.Since(begun).Round(time.Second), float64(sent)/cost.Seconds(), float64(sent)/(cost-made).Seconds(), w.told)
	t.Logf("changelog: %.0f bytes an observation of the endpoint fold, %.0f of the device fold:%s;%s",
		float64(w.endpoint.written)/float64(sent), float64(w.device.written)/float64(sent), w.endpoint.logged(sent), w.device.logged(sent))
	if w.endpoint.compress {
		t.Logf("of it compressed, with what is around records: %.0f and %.0f", float64(w.endpoint.squeezed)/float64(sent), float64(w.device.squeezed)/float64(sent))
	}
}

// TestScale measures what a hospital's observations cost while many devices are
// known, on disk: WARDFLOW_SCALE is how many (go tool task bench:devices), WARDFLOW_ROWS
// and WARDFLOW_BLOCKS the memory for them in MiB, WARDFLOW_OBSERVATIONS how many more to
// send after the first 400,000, WARDFLOW_PROFILE a file for a profile of these; with
// WARDFLOW_COMPRESSED the changelog is counted as it goes to the broker as well, which
// costs time.
func TestScale(t *testing.T) {
	devices, _ := strconv.Atoi(os.Getenv("WARDFLOW_SCALE"))
	if devices == 0 {
		t.Skip("a measurement: WARDFLOW_SCALE says for how many devices")
	}
	blocks := stream.NewCache(int64(mebibytes("WARDFLOW_BLOCKS", 256<<20)), 2)
	w := &pipeline{endpoint: newStage(t, NewEndpoint(Config{}), blocks), device: newStage(t, NewDevice(Config{}), blocks), clock: noon}
	w.batch = proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: proto.LiveDomain}
	begun, cost, sent := time.Now(), processor(), 0
	var list []*proto.Observation
	for n := range devices {
		if list = append(list, known(n)...); len(list) >= batch || n == devices-1 {
			w.send(list)
			sent += len(list)
			list = list[:0]
		}
	}
	cost = processor() - cost
	t.Logf("%d devices made known by %d observations in %s: %.0f observations a second of processor", devices, sent, time.Since(begun).Round(time.Second), float64(sent)/cost.Seconds())

	// An hour on, nobody is new any more, and what was to be told is told.
	w.clock = w.clock.Add(time.Hour)
	w.send(nil)
	random := rand.New(rand.NewPCG(1, 2))
	w.measure("then", 400000, devices, random)
	if more, _ := strconv.Atoi(os.Getenv("WARDFLOW_OBSERVATIONS")); more > 0 {
		w.measure("and on", more, devices, random)
	}
	for _, s := range []struct {
		name string
		*stage
		fold stream.Fold
	}{{"endpoint", w.endpoint, NewEndpoint(Config{})}, {"device", w.device, NewDevice(Config{})}} {
		entries, bytes, tables := s.held()
		t.Logf("state of the %s fold: %d entries, %.0f bytes a device;%s restored in %s", s.name, entries, float64(bytes)/float64(devices), tables, s.restore(s.fold).Round(time.Millisecond))
	}
	if _, ip := number(0); ip != netip.AddrFrom4([4]byte{10, 0, 0, 0}) {
		t.Fatal("the generator has changed")
	}
}
