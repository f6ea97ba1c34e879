package reference

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// topicFacts are what a topic's specification does not say.
type topicFacts struct {
	writers  string
	key      string
	form     string
	messages []string // structs of proto
}

// about is every topic that is not a changelog.
var about = map[string]topicFacts{
	proto.TopicTraffic:      {"capture", "none; the partition is the endpoint's lane", "msgpack, a batch a record", []string{"Batch", "Item", "Flow", "Observation", "Heartbeat"}},
	proto.TopicRollups:      {"fingerprint", "none", "msgpack, a batch a record", []string{"RollupBatch", "Rollup", "Pair", "Activity"}},
	proto.TopicSummaries:    {"fingerprint", "endpoint id", "msgpack", []string{"Summary", "Evidence", "Progress"}},
	proto.TopicClaims:       {"fingerprint", "endpoint id", "msgpack", []string{"Claim", "ClaimKey", "Verdict"}},
	proto.TopicGroupings:    {"fingerprint", "endpoint id", "msgpack", []string{"Grouping"}},
	proto.TopicNested:       {"fingerprint", "endpoint id", "msgpack", []string{"Nested"}},
	proto.TopicBindings:     {"fingerprint", "endpoint id", "msgpack", []string{"Binding", "Progress"}},
	proto.TopicDevices:      {"fingerprint", "device id", "JSON", []string{"Device", "Fact", "Behaviour", "Evidence", "HumanValue", "Conflict", "HumanNote", "HumanRating", "PersonsRating", "EditCount"}},
	proto.TopicDetections:   {"anomaly", "detection id", "JSON", []string{"Detection", "Progress"}},
	proto.TopicAlerts:       {"anomaly", "alert id", "JSON, OCSF 1.8 Detection Finding", nil},
	proto.TopicRisk:         {"score", "device id", "JSON", []string{"Risk", "Factor"}},
	proto.TopicUsage:        {"fingerprint", "device id and start", "JSON", []string{"Usage"}},
	proto.TopicFindings:     {"none yet", "device id and vulnerability", "JSON", nil},
	proto.TopicAdvisories:   {"none yet", "advisory id", "JSON", nil},
	proto.TopicEdits:        {"device (set, confirm, undo, note, rate, worksheet), fingerprint", "device id", "JSON", []string{"Edit"}},
	proto.TopicControl:      {"prepare, up, sensors, signatures", "what it is about", "JSON, once in every partition", []string{"Control", "Policy", "SensorConfig", "SignaturePack"}},
	proto.TopicSensors:      {"capture, sensors", "site/sensor", "JSON", []string{"SensorStatus", "SensorInterface"}},
	proto.TopicSensorEvents: {"sensors", "site/sensor", "JSON", []string{"SensorEvent"}},
	proto.TopicDeadletter:   {"every service", "none", "JSON", []string{"Deadletter"}},
}

// Topics is the page of the topics and their messages. readers are the topics of
// each consumer group.
func Topics(tree fs.FS, folds []string, readers map[string][]string) (string, error) {
	src, err := readSource(tree, "proto")
	if err != nil {
		return "", err
	}
	b := page("Topics and messages", "Kafka is what happened, in order. All topics have the same number of partitions (`kafka.partitions`); the partition is the lane of the endpoint or device that a record is about.\nAppend topics are kept by time and size, compacted ones keep the latest record of each key. JSON topics are for you as well: [how to read them](../how-to/siem-topics.md).\nEvery record but traffic carries the header `wf` with its [envelope](#envelope).")
	fmt.Fprint(b, "## Topics\n\n")
	head(b, "topic", "kept", "key", "value", "written by", "read by", "what")
	conf := bus.Default()
	var problems []error
	seen := map[string]bool{}
	var messages []string
	for _, t := range bus.Topics(folds...) {
		facts, ok := about[t.Name]
		what := src.consts[t.Name]
		if fold, is := strings.CutPrefix(t.Name, proto.ChangelogTopic("")); is {
			facts, ok, what = topicFacts{serviceOf(fold), "table and key", "state of a service, its own form", nil}, true, "state of the fold "+fold
		}
		if !ok || what == "" {
			problems = append(problems, fmt.Errorf("topic %s: say what it is in a comment beside its constant in proto, and by whom in internal/reference/topics.go", t.Name))
			continue
		}
		seen[t.Name] = true
		kept := "time"
		switch {
		case t.Compact:
			kept = "compacted"
		case t.Forever:
			kept = "for ever"
		}
		_, after, cut := strings.Cut(what, ": ")
		if cut {
			what = after
		}
		row(b, code(t.Name), kept, facts.key, facts.form, facts.writers, readersOf(t.Name, readers), cell(what))
		messages = append(messages, facts.messages...)
	}
	for name := range about {
		if !seen[name] {
			problems = append(problems, fmt.Errorf("topic %s is explained, and does not exist", name))
		}
	}
	settings(b, conf)
	problems = append(problems, structs(b, src, append([]string{"Envelope", "Cause", "Position"}, messages...))...)
	return b.String(), errors.Join(problems...)
}

func settings(b *strings.Builder, conf bus.Config) {
	fmt.Fprint(b, "\n## Settings of topics\n\nAs `wardflow prepare` makes them; `wardflow doctor` tells where a cluster differs.\n\n")
	head(b, "kind", "settings")
	told := map[string]bool{}
	for _, t := range bus.Topics() {
		kind, list := "kept by time", t.Settings(conf)
		switch {
		case t.Compact:
			kind = "compacted"
		case t.Forever:
			kind = "kept for ever"
		}
		if told[kind] {
			continue
		}
		told[kind] = true
		var texts []string
		for _, k := range slices.Sorted(maps.Keys(list)) {
			texts = append(texts, code(k+"="+list[k]))
		}
		row(b, kind, strings.Join(texts, ", "))
	}
}

func readersOf(topic string, readers map[string][]string) string {
	var list []string
	for _, group := range slices.Sorted(maps.Keys(readers)) {
		if slices.Contains(readers[group], topic) {
			if s := serviceOf(strings.TrimPrefix(group, "wardflow.")); !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return strings.Join(list, ", ")
}

// serviceOf is the service of a fold or group.
func serviceOf(name string) string {
	switch name {
	case "endpoint", "identity", "device":
		return "fingerprint"
	case "risk":
		return "score"
	}
	return name
}

func structs(b *strings.Builder, src *source, names []string) []error {
	fmt.Fprint(b, "\n## Messages\n\nNames are those in JSON; msgpack sends the fields as an array in this order. Types are Go's; `?` may be absent. Times are nanoseconds since 1970 in msgpack, RFC 3339 in JSON; ids 16 bytes, and 32 hex digits.\n")
	var problems []error
	told := map[string]bool{}
	for _, name := range names {
		if told[name] {
			continue
		}
		told[name] = true
		m := src.structs[name]
		if m == nil {
			problems = append(problems, fmt.Errorf("message %s is not in proto", name))
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n%s\n\n", name, cell(m.doc))
		head(b, "field", "type", "meaning")
		for _, f := range m.fields {
			row(b, code(f.name), code(f.typ), cell(f.comment))
		}
	}
	return problems
}
