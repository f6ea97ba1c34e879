package doctor

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// expect is one result that must be among others.
type expect struct {
	check  string
	status Status
	found  string // part of it
	do     string // part of it
}

func verify(t *testing.T, got []Result, want ...expect) {
	t.Helper()
	for _, w := range want {
		there := false
		for _, r := range got {
			there = there || (r.Check == w.check && r.Status == w.status && strings.Contains(r.Found, w.found) && strings.Contains(r.Do, w.do))
		}
		if !there {
			t.Errorf("no %+v among %+v", w, got)
		}
	}
	for _, r := range got {
		if r.Area == "" || r.Check == "" || r.Found == "" {
			t.Errorf("says too little: %+v", r)
		}
		if r.Status == Problem && r.Do == "" {
			t.Errorf("a problem, and nothing to do: %+v", r)
		}
	}
}

func goodMachine() *Machine {
	return &Machine{
		Kernel: "6.1.0-18-amd64", CPUs: 8, NetRaw: true, Executable: "/usr/bin/wardflow", FileCaps: true,
		Files: 65536, FilesHard: 65536, MemoryBytes: 16 << 30, Clock: Clock{Known: true, Synced: true, Error: 3 * time.Millisecond},
	}
}

func TestMachine(t *testing.T) {
	good := JudgeMachine(goodMachine(), true, true)
	if Worst(good) != OK || Count(good, OK) != 5 {
		t.Errorf("a good machine: %+v", good)
	}
	for name, tt := range map[string]struct {
		change            func(*Machine)
		capture, embedded bool
		want              expect
	}{
		"old kernel":         {func(m *Machine) { m.Kernel = "2.6.32-754" }, true, false, expect{"kernel", Problem, "2.6.32", "3.10"}},
		"elderly kernel":     {func(m *Machine) { m.Kernel = "3.10.0-1160.el7" }, true, false, expect{"kernel", Warning, "old", ""}},
		"no Linux":           {func(m *Machine) { m.Kernel = "darwin" }, false, false, expect{"kernel", Skipped, "darwin", ""}},
		"no right":           {func(m *Machine) { m.NetRaw = false }, true, false, expect{"packet ring", Problem, "CAP_NET_RAW is missing", "setcap cap_net_raw+ep /usr/bin/wardflow"}},
		"no right, no need":  {func(m *Machine) { m.NetRaw = false }, false, false, expect{"packet ring", Warning, "CAP_NET_RAW", ""}},
		"file caps in vain":  {func(m *Machine) { m.NetRaw, m.FileCaps = false, false }, true, false, expect{"packet ring", Problem, "", "systemd"}},
		"seccomp":            {func(m *Machine) { m.Ring = errors.New("operation not permitted") }, true, false, expect{"packet ring", Problem, "not permitted", "seccomp"}},
		"root":               {func(m *Machine) { m.Root = true }, true, false, expect{"packet ring", OK, "as root", ""}},
		"few files":          {func(m *Machine) { m.Files = 1024 }, false, false, expect{"open files", Warning, "1024", "ulimit -n 65536"}},
		"files not known":    {func(m *Machine) { m.Files = 0 }, false, false, expect{"open files", Skipped, "", ""}},
		"little memory":      {func(m *Machine) { m.MemoryBytes = 3 << 30 }, false, true, expect{"memory", Warning, "3.0 GiB, want 4.0 GiB", "fold.cache_bytes"}},
		"enough for less":    {func(m *Machine) { m.MemoryBytes = 3 << 30 }, false, false, expect{"memory", OK, "3.0 GiB", ""}},
		"clock by nobody":    {func(m *Machine) { m.Clock.Synced = false }, false, false, expect{"clock", Warning, "nobody", "chrony"}},
		"clock perhaps off":  {func(m *Machine) { m.Clock.Error = 5 * time.Second }, false, false, expect{"clock", Warning, "5.0 s off", ""}},
		"clock not known":    {func(m *Machine) { m.Clock = Clock{} }, false, false, expect{"clock", Skipped, "", ""}},
		"memory not known":   {func(m *Machine) { m.MemoryBytes = 0 }, false, false, expect{"memory", Skipped, "", ""}},
		"unreadable release": {func(m *Machine) { m.Kernel = "6.x" }, false, false, expect{"kernel", Skipped, "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			m := goodMachine()
			tt.change(m)
			verify(t, JudgeMachine(m, tt.capture, tt.embedded), tt.want)
		})
	}
}

func goodInterface() *Interface {
	return &Interface{
		Name: "eth1", Up: true, Carrier: true, Kind: "ethernet", Driver: "igb", MTU: 1500,
		Features: map[string]bool{"rx-gro": false, "rx-lro": false, "rx-checksum": true}, RingSize: 4096, RingOf: 4096, Packets: 1_000_000,
	}
}

func TestInterface(t *testing.T) {
	if good := JudgeInterface(goodInterface(), ""); Worst(good) != OK {
		t.Errorf("a good interface: %+v", good)
	}
	for name, tt := range map[string]struct {
		change func(*Interface)
		filter string
		want   expect
	}{
		"not there":        {func(n *Interface) { n.Err, n.Others = errors.New("no eth1"), []string{"eno1", "eno2"} }, "", expect{"exists", Problem, "no eth1", "eno1, eno2"}},
		"down":             {func(n *Interface) { n.Up = false }, "", expect{"up", Problem, "down", "ip link set eth1 up"}},
		"no link":          {func(n *Interface) { n.Carrier = false }, "", expect{"up", Problem, "no link", "cable"}},
		"small frames":     {func(n *Interface) { n.MTU = 1400 }, "", expect{"mtu", Warning, "1400", "mtu 1500"}},
		"merging":          {func(n *Interface) { n.Features["rx-gro"], n.Features["rx-gro-hw"] = true, true }, "", expect{"offloads", Warning, "rx-gro, rx-gro-hw on", "sudo ethtool -K eth1 gro off rx-gro-hw off"}},
		"large receive":    {func(n *Interface) { n.Features["rx-lro"] = true }, "", expect{"offloads", Warning, "rx-lro", "lro off"}},
		"not told":         {func(n *Interface) { n.Features, n.FeaturesErr = nil, errors.New("not supported") }, "", expect{"offloads", Skipped, "not supported", "ethtool -k"}},
		"tags off, filter": {func(n *Interface) { n.Features["rx-vlan-hw-parse"] = true }, "vlan 7", expect{"vlan", Warning, "filter does not see them", "rxvlan off"}},
		"address":          {func(n *Interface) { n.Addresses = []string{"10.0.0.7"} }, "", expect{"address", Warning, "10.0.0.7", "ip addr flush dev eth1"}},
		"in a bridge":      {func(n *Interface) { n.Master = "br0" }, "", expect{"address", Warning, "br0", "capture on br0"}},
		"wireless":         {func(n *Interface) { n.Kind = "wireless" }, "", expect{"promiscuous", Warning, "wireless", "wired"}},
		"tunnel":           {func(n *Interface) { n.Kind = "tunnel" }, "", expect{"promiscuous", Warning, "no Ethernet", ""}},
		"loopback":         {func(n *Interface) { n.Kind = "loopback" }, "", expect{"promiscuous", Warning, "own traffic", ""}},
		"drops":            {func(n *Interface) { n.Dropped, n.RingSize = 5000, 256 }, "", expect{"card drops", Warning, "5000 frames", "ethtool -G eth1 rx 4096"}},
		"drops, full ring": {func(n *Interface) { n.Dropped = 5000 }, "", expect{"card drops", Warning, "5000 frames", "ethtool -S eth1"}},
		"a few drops":      {func(n *Interface) { n.Dropped = 3 }, "", expect{"card drops", OK, "3 of", ""}},
		"no ring":          {func(n *Interface) { n.RingSize, n.RingOf = 0, 0 }, "", expect{"card drops", OK, "0 of", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			n := goodInterface()
			tt.change(n)
			verify(t, JudgeInterface(n, tt.filter), tt.want)
		})
	}
	n := goodInterface()
	n.Features["rx-vlan-hw-parse"] = true
	if got := JudgeInterface(n, ""); Worst(got) != OK {
		t.Errorf("tags that capture gets back, and no filter: %+v", got)
	}
}

func TestFolder(t *testing.T) {
	good := Folder{Setting: "data_dir", Path: "/srv", Exists: true, Writable: true, Kind: "ext4", Free: 80 << 30, Total: 100 << 30, Inodes: 90, InodesAll: 100, Want: 10 << 30, Persistent: true}
	if got := JudgeFolder(&good); Worst(got) != OK {
		t.Errorf("a good folder: %+v", got)
	}
	for name, tt := range map[string]struct {
		change func(*Folder)
		want   expect
	}{
		"not to be made": {func(d *Folder) { d.Err = errors.New("permission denied") }, expect{"data_dir", Problem, "permission denied", "data_dir"}},
		"not ours":       {func(d *Folder) { d.Writable = false }, expect{"data_dir", Problem, "cannot be written", ""}},
		"full":           {func(d *Folder) { d.Free = 1 << 30 }, expect{"data_dir", Problem, "1.0 GiB free", "free some"}},
		"tight":          {func(d *Folder) { d.Free = 5 << 30 }, expect{"data_dir", Warning, "may need 10.0 GiB", ""}},
		"no inodes":      {func(d *Folder) { d.Inodes = 1 }, expect{"data_dir inodes", Problem, "1 free of 100", "inodes"}},
		"in memory":      {func(d *Folder) { d.Kind = "tmpfs" }, expect{"data_dir file system", Warning, "gone", "disk"}},
		"network":        {func(d *Folder) { d.Kind = "nfs" }, expect{"data_dir file system", Warning, "nfs", "local disk"}},
		"not made yet":   {func(d *Folder) { d.Exists = false }, expect{"data_dir", OK, "will be made", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			d := good
			tt.change(&d)
			verify(t, JudgeFolder(&d), tt.want)
		})
	}
	missing := ReadFolder("data_dir", filepath.Join(t.TempDir(), "a", "b"), 0, true)
	if missing.Err != nil || missing.Exists || !missing.Writable || missing.Total == 0 {
		t.Errorf("a folder that is not there yet: %+v", missing)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ReadFolder("data_dir", file, 0, true); got.Err == nil {
		t.Errorf("a file is no folder: %+v", got)
	}
}

func TestPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := ReadPort(t.Context(), "broker", "embedded.broker_port", l.Addr().String())
	verify(t, JudgePort(p), expect{"broker", Problem, "taken", "embedded.broker_port"})
	p.Ours = true
	verify(t, JudgePort(p), expect{"broker", OK, "runs", ""})
	_ = l.Close()
	verify(t, JudgePort(ReadPort(t.Context(), "broker", "embedded.broker_port", l.Addr().String())), expect{"broker", OK, "free", ""})
	verify(t, JudgePort(ReadPort(t.Context(), "metrics", "telemetry.listen", "192.0.2.1:1")), expect{"metrics", Problem, "cannot be listened on", "telemetry.listen"})
}

func goodKafka() *Kafka {
	conf := bus.Default()
	conf.Partitions, conf.Replicas = 4, 3
	k := &Kafka{
		Config: conf, Want: bus.Topics("endpoint"), Groups: map[string][]string{"wardflow.sink": {proto.TopicTraffic}, "wardflow.endpoint": {proto.TopicTraffic}},
		Lags: map[string]map[string]int64{}, Now: time.Unix(1_800_000_000, 0), NewestOf: proto.TopicTraffic,
		Found: &bus.Inspection{Topics: map[string]bus.TopicState{}, Groups: map[string]bus.GroupState{}},
	}
	for i := range 3 {
		k.Found.Brokers = append(k.Found.Brokers, bus.BrokerState{ID: int32(i), Address: "k:9092", Answers: true, Version: "v4.1", Transactions: true})
	}
	for _, w := range k.Want {
		set := w.Settings(conf)
		set["min.insync.replicas"] = "2"
		k.Found.Topics[w.Name] = bus.TopicState{Partitions: 4, Replicas: 3, InSync: 3, Settings: set, Newest: k.Now.Add(-time.Second)}
	}
	for g := range k.Groups {
		k.Found.Groups[g] = bus.GroupState{State: "Stable", Members: 2}
	}
	return k
}

func TestKafka(t *testing.T) {
	if got := JudgeKafka(goodKafka()); Worst(got) != OK {
		t.Errorf("a good cluster: %+v", got)
	}
	topic := func(change func(*bus.TopicState)) func(*Kafka) {
		return func(k *Kafka) {
			s := k.Found.Topics[proto.TopicTraffic]
			change(&s)
			k.Found.Topics[proto.TopicTraffic] = s
		}
	}
	const traffic = "topic " + proto.TopicTraffic
	for name, tt := range map[string]struct {
		change func(*Kafka)
		want   expect
	}{
		"away":              {func(k *Kafka) { k.Err = errors.New("connection refused") }, expect{"reachable", Problem, "refused", "start the brokers"}},
		"wrong password":    {func(k *Kafka) { k.Err = errors.New("SASL_AUTHENTICATION_FAILED") }, expect{"reachable", Problem, "SASL", "kafka.sasl"}},
		"wrong certificate": {func(k *Kafka) { k.Err = errors.New("x509: unknown authority") }, expect{"reachable", Problem, "x509", "kafka.tls"}},
		"wrong name":        {func(k *Kafka) { k.Err = errors.New("lookup k1: no such host") }, expect{"reachable", Problem, "", "advertised.listeners"}},
		"one away":          {func(k *Kafka) { k.Found.Brokers[1].Answers = false }, expect{"reachable", Warning, "1 of 3", ""}},
		"too old":           {func(k *Kafka) { k.Found.Brokers[1].Transactions = false }, expect{"version", Problem, "KIP-447", "2.5"}},
		"not checked":       {func(k *Kafka) { k.Config.TLS.InsecureSkipVerify = true }, expect{"certificate", Warning, "not checked", "ca_file"}},
		"empty":             {func(k *Kafka) { clear(k.Found.Topics) }, expect{"topics", Problem, "none", "wardflow prepare"}},
		"one missing":       {func(k *Kafka) { delete(k.Found.Topics, proto.TopicRisk) }, expect{"topics", Problem, "wardflow.risk: missing", "wardflow prepare"}},
		"partitions":        {topic(func(s *bus.TopicState) { s.Partitions = 8 }), expect{traffic, Problem, "8 partitions", "kafka.partitions"}},
		"no leader":         {topic(func(s *bus.TopicState) { s.Leaderless = 1 }), expect{traffic, Problem, "no leader", ""}},
		"behind":            {topic(func(s *bus.TopicState) { s.InSync = 2 }), expect{traffic, Warning, "2 of 3 replicas", ""}},
		"one copy":          {topic(func(s *bus.TopicState) { s.Replicas, s.InSync = 1, 1 }), expect{traffic, Warning, "gone with its broker", "3 replicas"}},
		"all must answer":   {topic(func(s *bus.TopicState) { s.Settings["min.insync.replicas"] = "3" }), expect{traffic, Warning, "takes nothing", "min.insync.replicas=2"}},
		"one is enough":     {topic(func(s *bus.TopicState) { s.Settings["min.insync.replicas"] = "1" }), expect{traffic, Warning, "can be lost", ""}},
		"small messages":    {topic(func(s *bus.TopicState) { s.Settings["max.message.bytes"] = "1000" }), expect{traffic, Warning, "max.message.bytes is 1000", "--add-config max.message.bytes=1048576"}},
		"compacted":         {topic(func(s *bus.TopicState) { s.Settings["cleanup.policy"] = "compact" }), expect{traffic, Warning, "cleanup.policy", ""}},
		"no rights on it":   {topic(func(s *bus.TopicState) { s.Err = errors.New("TOPIC_AUTHORIZATION_FAILED") }), expect{traffic, Problem, "AUTHORIZATION", "DESCRIBE"}},
		"nobody in it":      {func(k *Kafka) { k.Found.Groups["wardflow.sink"] = bus.GroupState{State: "Empty"} }, expect{"group wardflow.sink", Warning, "nobody", "wardflow sink"}},
		"fold without":      {func(k *Kafka) { delete(k.Found.Groups, "wardflow.endpoint") }, expect{"group wardflow.endpoint", Warning, "nobody", "wardflow fingerprint"}},
		"forming": {func(k *Kafka) {
			k.Found.Groups["wardflow.sink"] = bus.GroupState{State: "PreparingRebalance", Members: 1}
		}, expect{"group wardflow.sink", Warning, "1 instance", ""}},
		"far behind": {func(k *Kafka) { k.Lags["wardflow.sink"] = map[string]int64{proto.TopicTraffic: 50_000} }, expect{"group wardflow.sink", Warning, "50000 records", "more instances"}},
		"no rights on group": {func(k *Kafka) {
			k.Found.Groups["wardflow.sink"] = bus.GroupState{Err: errors.New("GROUP_AUTHORIZATION_FAILED")}
		}, expect{"group wardflow.sink", Warning, "AUTHORIZATION", ""}},
		"clock behind":       {topic(func(s *bus.TopicState) { s.Newest = s.Newest.Add(2 * time.Minute) }), expect{"clock against the broker", Problem, "ahead", "synchronise"}},
		"clock a bit behind": {topic(func(s *bus.TopicState) { s.Newest = s.Newest.Add(10 * time.Second) }), expect{"clock against the broker", Warning, "9.0 s ahead", ""}},
		"no record":          {topic(func(s *bus.TopicState) { s.Newest = time.Time{} }), expect{"clock against the broker", Skipped, "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			k := goodKafka()
			tt.change(k)
			verify(t, JudgeKafka(k), tt.want)
		})
	}
	k := goodKafka()
	topic(func(s *bus.TopicState) { s.Settings["retention.ms"], s.Settings["max.message.bytes"] = "-1", "9999999" })(k)
	if got := JudgeKafka(k); Worst(got) != OK {
		t.Errorf("more than is wanted is no fault: %+v", got)
	}
	k = goodKafka()
	k.Embedded, k.Found.Brokers = true, k.Found.Brokers[:1]
	topic(func(s *bus.TopicState) { s.Replicas, s.InSync = 1, 1 })(k)
	if got := JudgeKafka(k); Worst(got) != OK {
		t.Errorf("the embedded broker has one copy: %+v", got)
	}
}

func goodClickHouse() *ClickHouse {
	there := true
	now := time.Unix(1_800_000_000, 0)
	return &ClickHouse{
		Address: "ch:9000", Database: "wardflow", Analyst: "analyst", Now: now,
		Found: &store.Inspection{
			Version: "26.7.2.1", User: "wardflow", Now: now, Analyst: &there,
			Granted: map[string]bool{"SELECT": true, "INSERT": true, "CREATE TABLE": true, "ALTER TABLE": true},
			Disks:   []store.Disk{{Name: "default", Path: "/var/lib/clickhouse", Free: 50, Total: 100}},
		},
	}
}

func TestClickHouse(t *testing.T) {
	if got := JudgeClickHouse(goodClickHouse()); Worst(got) != OK {
		t.Errorf("a good server: %+v", got)
	}
	for name, tt := range map[string]struct {
		change func(*ClickHouse)
		want   expect
	}{
		"away":            {func(c *ClickHouse) { c.Err = errors.New("connection refused") }, expect{"reachable", Problem, "refused", "start the server"}},
		"port of HTTP":    {func(c *ClickHouse) { c.Err = errors.New("[handshake] unexpected packet [72]") }, expect{"reachable", Problem, "handshake", "native protocol"}},
		"certificate":     {func(c *ClickHouse) { c.Err = errors.New("x509: unknown authority") }, expect{"reachable", Problem, "x509", "clickhouse.tls"}},
		"old":             {func(c *ClickHouse) { c.Found.Version = "22.3.1.1" }, expect{"version", Warning, "older", "25"}},
		"not prepared":    {func(c *ClickHouse) { c.Plan.Statements = []string{"h: CREATE TABLE x\n(...)"} }, expect{"schema", Problem, "1 statements are missing in database wardflow, the first: h: CREATE TABLE x", "wardflow prepare"}},
		"differs":         {func(c *ClickHouse) { c.Plan.Differences = []string{"h: column flows.x is not ours"} }, expect{"schema", Warning, "not ours", ""}},
		"not to be told":  {func(c *ClickHouse) { c.PlanErr = errors.New("ACCESS_DENIED") }, expect{"schema", Problem, "ACCESS_DENIED", "system.tables"}},
		"may not insert":  {func(c *ClickHouse) { c.Found.Granted["INSERT"] = false }, expect{"rights", Problem, "may not INSERT", "GRANT INSERT ON wardflow.* TO wardflow"}},
		"rights untold":   {func(c *ClickHouse) { c.Found.Granted = nil }, expect{"rights", Skipped, "CHECK GRANT", ""}},
		"no analyst":      {func(c *ClickHouse) { no := false; c.Found.Analyst = &no }, expect{"analyst", Warning, "no account analyst", "analyst_password_file"}},
		"analyst untold":  {func(c *ClickHouse) { c.Found.Analyst = nil }, expect{"analyst", Skipped, "", ""}},
		"clock":           {func(c *ClickHouse) { c.Found.Now = c.Now.Add(-2 * time.Minute) }, expect{"clock", Problem, "off this machine", "synchronise"}},
		"clock a bit off": {func(c *ClickHouse) { c.Found.Now = c.Now.Add(5 * time.Second) }, expect{"clock", Warning, "5.0 s", ""}},
		"disk":            {func(c *ClickHouse) { c.Found.Disks[0].Free = 5 }, expect{"disk default", Warning, "", "retention.days"}},
		"read-only":       {func(c *ClickHouse) { c.Found.ReadOnly = []string{"flows"} }, expect{"replicas", Problem, "flows", "Keeper"}},
		"parts":           {func(c *ClickHouse) { c.Found.MostParts = 1000 }, expect{"parts", Warning, "1000 parts", "sink.interval"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := goodClickHouse()
			tt.change(c)
			verify(t, JudgeClickHouse(c), tt.want)
		})
	}
}

// What is read from this very machine makes sense, and reading it twice is the same.
func TestReadsThisMachine(t *testing.T) {
	m := ReadMachine()
	if m.CPUs < 1 || m.Kernel == "" {
		t.Errorf("%+v", m)
	}
	lo := ReadInterface("lo")
	if lo.Err != nil {
		t.Skipf("no loopback interface: %v", lo.Err)
	}
	if lo.Kind != "loopback" || lo.MTU < 1500 {
		t.Errorf("the loopback: %+v", lo)
	}
	if again := ReadInterface("lo"); len(again.Features) != len(lo.Features) {
		t.Errorf("%d features, then %d", len(lo.Features), len(again.Features))
	}
	if got := ReadInterface("nonesuch0"); got.Err == nil {
		t.Error("an interface that is not there")
	}
	if got := ReadInterface("a-name-that-is-far-too-long"); got.Err == nil {
		t.Error("a name that no interface can have")
	}
}
