package telemetry

import (
	"net/netip"
	"regexp"
	"sync"

	"github.com/prometheus/otlptranslator"
)

// Key is a label that metrics may have. There are no others, and none of these
// takes more than Bound values: what comes later is counted as Other.
type Key struct {
	Name  string
	Bound int
	Help  string
}

// Other is the value of a label in which everything beyond its bound meets, and
// what must not be in a label: addresses and ids.
const Other = "other"

// keys is the list of labels, in the order of this file.
var keys []*Key

func key(name string, bound int, help string) *Key {
	k := &Key{Name: name, Bound: bound, Help: help}
	keys = append(keys, k)
	return k
}

// The labels.
var (
	ByFold      = key("fold", 16, "name of a fold: endpoint, identity, device, anomaly, ...")
	ByGroup     = key("group", 32, "consumer group")
	ByTopic     = key("topic", 64, "topic of Kafka")
	ByTable     = key("table", 32, "table of ClickHouse")
	BySite      = key("site", 64, "site, as configured; the 65th and later are `other`")
	ByInterface = key("interface", 32, "capture interface")
	ByReason    = key("reason", 256, "why, from a list in the code")
	ByState     = key("state", 8, "state, from a list in the code")
	ByOperation = key("operation", 32, "what was attempted, from a list in the code")
	ByEngine    = key("engine", 8, "embedded engine: broker or clickhouse")
	ByUnit      = key("unit", 64, "part of this process that is started and stopped as one")
	ByVersion   = key("version", 4, "version of the program")
	ByGo        = key("go_version", 4, "version of Go it was built with")

	BySystem        = key("messaging.system", 2, "kafka")
	ByDestination   = key("messaging.destination.name", 64, "topic")
	ByPartition     = key("messaging.destination.partition.id", 16, "partition; left out where topics have more than 16")
	ByOperationName = key("messaging.operation.name", 16, "send, poll, process, commit, ...")
	ByOperationType = key("messaging.operation.type", 8, "send, receive, process, settle")
	ByConsumerGroup = key("messaging.consumer.group.name", 32, "consumer group")
	ByErrorType     = key("error.type", 64, "why it failed: an error code of Kafka, timeout, or other; left out when it did not")
	ByMemoryType    = key("go.memory.type", 4, "stack or other")
	ByCPUMode       = key("cpu.mode", 4, "user or system")
)

// Keys is the list of labels.
func Keys() []*Key { return append([]*Key(nil), keys...) }

// guard admits the values of labels, up to each one's bound.
type guard struct {
	mu       sync.Mutex
	admitted map[*Key]map[string]struct{}
}

func newGuard() *guard { return &guard{admitted: map[*Key]map[string]struct{}{}} }

// admit gives the value that may be used in place of v.
func (g *guard) admit(k *Key, v string) string {
	if v == "" || v == Other {
		return v
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	set := g.admitted[k]
	if _, known := set[v]; known {
		return v
	}
	if len(set) >= k.Bound || tells(v) {
		return Other
	}
	if set == nil {
		set = map[string]struct{}{}
		g.admitted[k] = set
	}
	set[v] = struct{}{}
	return v
}

// maxValue bounds the length of a label's value, in bytes.
const maxValue = 128

// identity matches what is, or contains, a hardware address, an IPv4 address, or
// a run of hexadecimal digits as long as a hardware address (ids, and the names
// that some systems give to network cards).
var identity = regexp.MustCompile(`(?i)([0-9a-f]{1,2}[:-]){5}[0-9a-f]{1,2}|([0-9a-f]{4}\.){2}[0-9a-f]{4}|[0-9a-f]{12}|\b\d{1,3}(\.\d{1,3}){3}\b`)

// tells says that a value could tell of a single device, address or run.
func tells(v string) bool {
	if len(v) > maxValue || identity.MatchString(v) {
		return true
	}
	if _, err := netip.ParseAddr(v); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(v)
	return err == nil
}

// labelNamer is how the Prometheus exporter makes names of labels.
var labelNamer = otlptranslator.LabelNamer{}

// Prometheus is the label's name on /metrics.
func (k *Key) Prometheus() string {
	name, err := labelNamer.Build(k.Name)
	if err != nil { // no name of the list: a test builds them all
		return k.Name
	}
	return name
}
