package rules

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"testing"
)

// A reserved library may be imported from some folders only.
type reserved struct {
	library string   // import path, or the start of it up to a slash
	except  string   // a part of the library that the rule is not about
	code    []string // folders whose code may import it
	tests   []string // folders whose tests may, besides
	why     string
}

const (
	whyBus = "pkg/bus alone talks to Kafka, so that transactions, lanes and dead letters are done once and the " +
		"embedded broker and a cluster cannot behave differently"
	whyStore = "pkg/store alone talks to ClickHouse, so that schema, migrations, quotas and the exactly-once " +
		"insert are in one place"
	whyPacket = "pkg/packet and pkg/dissect alone know packet libraries: everything behind them works on our own " +
		"structs, on whose lack of allocation and of patients' data we rely"
	whyPkg = "pkg is what services share; a package that knows a service cannot be shared, and replay, tests " +
		"and other services would drag that service in"
	whyServices = "services meet on topics only: one that imports another cannot be deployed, restarted or " +
		"replayed without it; services/wardflow, the main, is what puts them together"
)

var libraries = []reserved{
	{
		library: "github.com/twmb/franz-go", except: "github.com/twmb/franz-go/pkg/kfake",
		code: []string{"pkg/bus"}, tests: []string{"pkg/embedded"}, why: whyBus,
	},
	{library: "github.com/twmb/franz-go/pkg/kfake", code: []string{"pkg/embedded"}, why: whyBus},
	{library: "github.com/ClickHouse/clickhouse-go", code: []string{"pkg/store"}, why: whyStore},
	{library: "github.com/ClickHouse/ch-go", code: []string{"pkg/store"}, why: whyStore},
	{library: "github.com/gopacket/gopacket", code: []string{"pkg/packet", "pkg/dissect"}, why: whyPacket},
	{library: "github.com/google/gopacket", code: []string{"pkg/packet", "pkg/dissect"}, why: whyPacket},
}

func imports(tree fs.FS) ([]string, error) {
	var wrong []string
	err := eachGo(tree, func(name string, text []byte) error {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return fmt.Errorf("read the imports of %s: %w", name, err)
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("read the imports of %s: %w", name, err)
			}
			if why := forbidden(name, imported); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s imports %s: %s", name, imported, why))
			}
		}
		return nil
	})
	return wrong, err
}

// forbidden is the reason why a file may not import a path, or "".
func forbidden(file, imported string) string {
	dir := path.Dir(file)
	if own, ok := strings.CutPrefix(imported, module+"/"); ok && under(own, "services") {
		switch {
		case under(dir, "pkg"):
			return whyPkg
		case under(dir, "services") && !under(dir, "services/wardflow") && service(dir) != service(own):
			return whyServices
		}
	}
	for _, r := range libraries {
		if !under(imported, r.library) || r.except != "" && under(imported, r.except) {
			continue
		}
		allowed := r.code
		if strings.HasSuffix(file, "_test.go") {
			allowed = append(allowed[:len(allowed):len(allowed)], r.tests...)
		}
		if !underAny(dir, allowed) {
			return r.why
		}
	}
	return ""
}

// service is the second folder of services/NAME/...
func service(dir string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(dir, "services/"), "/")
	return name
}

// under says whether a path is the folder or lies in it.
func under(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func underAny(name string, folders []string) bool {
	for _, f := range folders {
		if under(name, f) {
			return true
		}
	}
	return false
}

func TestImports(t *testing.T) { holds(t, imports) }

func TestImportsFindsBreaches(t *testing.T) {
	source := func(paths ...string) string {
		text := "package p\n"
		for _, p := range paths {
			text += "import _ " + strconv.Quote(p) + "\n"
		}
		return text
	}
	kgo, kadm, kfake := "github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kadm", "github.com/twmb/franz-go/pkg/kfake"
	clickhouse, gopacket := "github.com/ClickHouse/clickhouse-go/v2", "github.com/gopacket/gopacket/layers"
	finds(t, imports, map[string]string{
		// As it should be.
		"pkg/bus/client.go":                     source(kgo, kadm, module+"/proto"),
		"pkg/bus/lane/lane.go":                  source(kgo),
		"pkg/embedded/broker.go":                source(kfake),
		"pkg/embedded/kafkatest/broker_test.go": source(kgo, kadm),
		"pkg/store/insert.go":                   source(clickhouse),
		"pkg/dissect/dns/dns.go":                source(gopacket),
		"services/wardflow/main.go":             source(module+"/services/risk", module+"/services/sink"),
		"services/risk/score/score.go":          source(module + "/services/risk/factor"),
		"pkg/flow/testdata/bad.go":              source(kgo),
		"services/wardflowish/x.md":             "import " + kgo,
		// Each of these breaks one rule.
		"pkg/stream/fold.go":         source(kgo),
		"pkg/stream/fold_test.go":    source(kadm),
		"pkg/busy/client.go":         source(kgo),
		"pkg/embedded/start.go":      source(kgo),
		"pkg/bus/bus_test.go":        source(kfake),
		"services/sink/sink.go":      source(clickhouse),
		"pkg/flow/flow_test.go":      source(gopacket),
		"pkg/config/config.go":       source(module + "/services/risk"),
		"services/risk/risk.go":      source(module + "/services/anomaly/rule"),
		"services/anomaly/a_test.go": source(module + "/services/wardflow"),
	},
		"pkg/stream/fold.go imports "+kgo+": pkg/bus alone",
		"pkg/stream/fold_test.go imports "+kadm,
		"pkg/busy/client.go",
		"pkg/embedded/start.go",
		"pkg/bus/bus_test.go",
		"services/sink/sink.go imports "+clickhouse+": pkg/store alone",
		"pkg/flow/flow_test.go imports "+gopacket+": pkg/packet and pkg/dissect alone",
		"pkg/config/config.go imports "+module+"/services/risk: pkg is what services share",
		"services/risk/risk.go imports "+module+"/services/anomaly/rule: services meet on topics only",
		"services/anomaly/a_test.go",
	)
}
