package telemetry

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/semconv/v1.43.0/goconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/processconv"

	"github.com/wardflow/wardflow/pkg/repotest"
)

var update = flag.Bool("update", false, "write docs/reference/metrics.md anew")

func TestReference(t *testing.T) {
	file := filepath.Join(repotest.Root(t), "docs", "reference", "metrics.md")
	if *update {
		if err := os.WriteFile(file, []byte(Reference()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != Reference() {
		t.Errorf("%s is not what the list of metrics says: run go generate ./pkg/telemetry", file)
	}
}

var (
	own      = regexp.MustCompile(`^wardflow(\.[a-z][a-z_]*){2,3}$`)
	standard = regexp.MustCompile(`^(messaging|go|process)(\.[a-z_]+)+$`)
	unit     = regexp.MustCompile(`^(s|By|1|%|\{[a-z]+\})$`)
)

func TestMetricsAreWellFormed(t *testing.T) {
	names, shown := map[string]bool{}, map[string]string{}
	for _, m := range Metrics() {
		if !own.MatchString(m.Name) && !standard.MatchString(m.Name) {
			t.Errorf("%s: want wardflow.<hop>.<what>, or a name of the semantic conventions", m.Name)
		}
		if names[m.Name] {
			t.Errorf("%s is in the list twice", m.Name)
		}
		names[m.Name] = true
		if other := shown[m.Prometheus()]; other != "" {
			t.Errorf("%s and %s are both %s on /metrics", m.Name, other, m.Prometheus())
		}
		shown[m.Prometheus()] = m.Name
		if !unit.MatchString(m.Unit) {
			t.Errorf("%s: unit %q", m.Name, m.Unit)
		}
		if m.Help == "" || !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: the help is no sentence: %q", m.Name, m.Help)
		}
		if (m.Kind == KindHistogram) != (len(m.Bounds) > 0) || !slices.IsSorted(m.Bounds) {
			t.Errorf("%s: %s with bounds %v", m.Name, m.Kind, m.Bounds)
		}
		series := 1
		for _, k := range m.Labels {
			if !slices.Contains(keys, k) {
				t.Errorf("%s: label %s is not in the list", m.Name, k.Name)
			}
			if k != ByPartition && k != ByOperationName && k != ByOperationType && k != ByErrorType && k != BySystem && k != ByDestination && k != ByConsumerGroup {
				series *= k.Bound
			}
		}
		if series > 32*256 {
			t.Errorf("%s may have %d series", m.Name, series)
		}
	}
}

// The labels of which nothing may ever be told are not in the list.
func TestKeysTellOfNobody(t *testing.T) {
	for _, k := range Keys() {
		if k.Bound < 1 || k.Bound > 256 {
			t.Errorf("label %s: bound %d", k.Name, k.Bound)
		}
		for _, word := range []string{"mac", "ip", "device", "endpoint", "flow", "run", "host", "user", "patient", "sensor", "client"} {
			if slices.Contains(strings.FieldsFunc(k.Name, func(r rune) bool { return r == '.' || r == '_' }), word) {
				t.Errorf("label %s tells of a single %s", k.Name, word)
			}
		}
	}
}

// What we name after the semantic conventions is as they say.
func TestSemanticConventions(t *testing.T) {
	type named interface {
		Name() string
		Unit() string
		Description() string
	}
	known := map[string]named{}
	for _, n := range []named{
		messagingconv.ClientSentMessages{},
		messagingconv.ClientConsumedMessages{},
		messagingconv.ClientOperationDuration{},
		messagingconv.ProcessDuration{},
		goconv.MemoryUsed{},
		goconv.MemoryLimit{},
		goconv.MemoryAllocated{},
		goconv.MemoryAllocations{},
		goconv.MemoryGCGoal{},
		goconv.GoroutineCount{},
		goconv.ProcessorLimit{},
		goconv.ConfigGogc{},
		processconv.CPUTime{},
		processconv.MemoryUsage{},
	} {
		known[n.Name()] = n
	}
	for _, m := range Metrics() {
		if strings.HasPrefix(m.Name, "wardflow.") {
			continue
		}
		n, ok := known[m.Name]
		if !ok {
			t.Errorf("%s is not in the semantic conventions", m.Name)
			continue
		}
		delete(known, m.Name)
		if n.Unit() != m.Unit || n.Description() != m.Help {
			t.Errorf("%s: unit %q, help %q; the conventions say %q, %q", m.Name, m.Unit, m.Help, n.Unit(), n.Description())
		}
	}
	for name := range known {
		t.Errorf("%s is in the conventions and not in the list", name)
	}
}
