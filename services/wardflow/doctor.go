package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/wardflow/internal/doctor"
)

type doctorCmd struct {
	Interface []string      `short:"i" placeholder:"IF" help:"Look at this capture interface too; may be repeated. Default: those of the configuration."`
	JSON      bool          `name:"json" help:"One JSON object with every check."`
	Timeout   time.Duration `default:"15s" help:"How long Kafka and ClickHouse may take to answer."`
}

// Help is shown by --help.
func (doctorCmd) Help() string {
	return `Looks at this machine, the capture interfaces, the disks, Kafka, ClickHouse and the configuration, and says what is
wrong and what to do. It changes nothing, needs no privileges, and works before anything has been started.

Each check is ok, a warning (works, but worse than it could), a problem (does not work), or skipped with the reason.

Exit status: 0 no problems (warnings are allowed); 1 problems; 2 wrong usage.

Examples:
  wardflow doctor
  wardflow doctor --interface eth1                        before the first capture
  wardflow doctor --config /etc/wardflow/wardflow.yaml    on a node of a cluster
  wardflow doctor --json | jq '.checks[] | select(.status == "problem")'`
}

// Run looks at everything and prints what it found.
func (c *doctorCmd) Run(ctx context.Context, g *globals, io *streams) error {
	results := c.examine(ctx, g, io)
	if c.JSON {
		return c.printJSON(io, results)
	}
	printChecks(io.screen(), results)
	if doctor.Worst(results) == doctor.Problem {
		return errReported
	}
	return nil
}

// examine runs every check, those of the machine first.
func (c *doctorCmd) examine(ctx context.Context, g *globals, io *streams) []doctor.Result {
	loaded, err := g.load(io)
	results := judgeConfiguration(g, io, err)
	if loaded == nil {
		return results
	}
	cfg := &loaded.Config
	interfaces := c.Interface
	if len(interfaces) == 0 {
		interfaces = cfg.Capture.Interfaces
	}
	local := embeddedBroker(cfg) || embeddedClickHouse(cfg)
	results = append(results, doctor.JudgeMachine(doctor.ReadMachine(), len(interfaces) > 0, local)...)
	if len(interfaces) == 0 {
		results = append(results, doctor.Skip("interface", "none named", "without one, capture reads files only", "name it: wardflow doctor --interface IF; here are: "+strings.Join(doctor.Interfaces(), ", ")))
	}
	for _, name := range interfaces {
		results = append(results, doctor.JudgeInterface(doctor.ReadInterface(name), cfg.Capture.Filter)...)
	}
	for _, f := range folders(cfg, len(interfaces) > 0) {
		results = append(results, doctor.JudgeFolder(f)...)
	}
	run, runErr := embedded.LoadRunFile(cfg.DataDir)
	if runErr != nil {
		run = new(embedded.RunFile)
	}
	e, err := newEngines(cfg, run)
	if err != nil {
		return append(results, doctor.Result{Area: "configuration", Check: "secrets", Status: doctor.Problem, Found: err.Error(), Do: "name files that this user may read"})
	}
	return append(results, c.engines(ctx, cfg, e, run, runErr)...)
}

// engines looks at Kafka and ClickHouse at the same time, since each may take
// its whole time not to answer.
func (c *doctorCmd) engines(ctx context.Context, cfg *config.Config, e *engines, run *embedded.RunFile, runErr error) []doctor.Result {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var kafka, house []doctor.Result
	var g errgroup.Group
	g.Go(func() error { kafka = examineKafka(ctx, cfg, e, run, runErr); return nil })
	g.Go(func() error { house = examineClickHouse(ctx, cfg, e, run, runErr); return nil })
	_ = g.Wait() // what fails is a result
	var ports []doctor.Result
	for _, p := range listening(ctx, cfg, run, worked(kafka), worked(house)) {
		ports = append(ports, doctor.JudgePort(p)...)
	}
	return append(append(ports, kafka...), house...)
}

// worked tells whether an engine answered.
func worked(results []doctor.Result) bool {
	return len(results) > 0 && results[0].Status != doctor.Problem && results[0].Status != doctor.Skipped
}

func judgeConfiguration(g *globals, io *streams, err error) []doctor.Result {
	const area = "configuration"
	from := g.source(g.ConfigFile, io).File
	if from == "" {
		from = "defaults, environment and flags"
	}
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		var out []doctor.Result
		for _, p := range problems {
			out = append(out, doctor.Result{Area: area, Check: "settings", Status: doctor.Problem, Found: p.String(), Do: "mend it; `wardflow config print` shows every setting"})
		}
		return out
	case err != nil:
		return []doctor.Result{{Area: area, Check: "settings", Status: doctor.Problem, Found: err.Error(), Do: "name a file that this user may read by --config"}}
	}
	return []doctor.Result{{Area: area, Check: "settings", Status: doctor.OK, Found: from}}
}

// The disk that the embedded engines want beside the topics.
const embeddedRows = 4 << 30

// folders are those that this configuration writes to.
func folders(cfg *config.Config, live bool) []*doctor.Folder {
	want := uint64(1 << 30) // state of the folds
	if embeddedBroker(cfg) {
		want += uint64(cfg.Embedded.MaxTopicBytes)
	}
	if embeddedClickHouse(cfg) {
		want += embeddedRows
	}
	return append([]*doctor.Folder{doctor.ReadFolder("data_dir", cfg.DataDir, want, true)}, spoolFolders(cfg, live)...)
}

// listening are the addresses that something of ours listens on here.
func listening(ctx context.Context, cfg *config.Config, run *embedded.RunFile, kafka, house bool) []*doctor.Port {
	var out []*doctor.Port
	add := func(what, setting string, port int, ours bool) {
		if port == 0 {
			return // a free one will be taken
		}
		p := doctor.ReadPort(ctx, what, setting, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		p.Ours = ours
		out = append(out, p)
	}
	pick := func(set, kept int) int {
		if set != 0 {
			return set
		}
		return kept
	}
	if embeddedBroker(cfg) {
		add("broker", "embedded.broker_port", pick(cfg.Embedded.BrokerPort, run.Broker.Port), kafka)
	}
	if embeddedClickHouse(cfg) {
		add("clickhouse", "embedded.clickhouse_tcp_port", pick(cfg.Embedded.ClickHouseTCPPort, run.ClickHouse.TCPPort), house)
		add("clickhouse http", "embedded.clickhouse_http_port", pick(cfg.Embedded.ClickHouseHTTPPort, run.ClickHouse.HTTPPort), house)
	}
	if _, port, err := net.SplitHostPort(cfg.Telemetry.Listen); err == nil && port != "0" {
		p := doctor.ReadPort(ctx, "metrics", "telemetry.listen", cfg.Telemetry.Listen)
		_, _, err := askReady(ctx, cfg.Telemetry.Listen)
		p.Ours = err == nil
		out = append(out, p)
	}
	return out
}

// notStarted is the result for an embedded engine that cannot answer.
func notStarted(area, dataDir string, err error) []doctor.Result {
	if errors.Is(err, fs.ErrNotExist) {
		return []doctor.Result{doctor.Skip(area, "reachable", "nothing has been started in "+dataDir, "wardflow up")}
	}
	return []doctor.Result{{Area: area, Check: "reachable", Status: doctor.Problem, Found: err.Error(), Do: "see the message"}}
}

func examineKafka(ctx context.Context, cfg *config.Config, e *engines, run *embedded.RunFile, runErr error) []doctor.Result {
	local := embeddedBroker(cfg)
	if local && runErr != nil {
		return notStarted("Kafka", cfg.DataDir, runErr)
	}
	if local && !answers(ctx, run.Broker.Address()) {
		return []doctor.Result{doctor.Skip("Kafka", "reachable", "the embedded broker of "+cfg.DataDir+" does not run", "wardflow up")}
	}
	k := &doctor.Kafka{Config: e.Kafka, Want: bus.Topics(foldNames()...), Groups: consumerGroups(), Embedded: local, NewestOf: proto.TopicTraffic}
	var names []string
	for _, t := range k.Want {
		names = append(names, t.Name)
	}
	k.Found, k.Err = bus.Inspect(ctx, e.Kafka, names, sortedKeys(k.Groups))
	k.Now = time.Now()
	if k.Err == nil && len(k.Found.Topics) == len(names) {
		lags, err := bus.Lags(ctx, e.Kafka, k.Groups)
		if err == nil {
			k.Lags = lags
		}
	}
	return doctor.JudgeKafka(k)
}

// answers tells whether somebody listens at address.
func answers(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func examineClickHouse(ctx context.Context, cfg *config.Config, e *engines, run *embedded.RunFile, runErr error) []doctor.Result {
	local := embeddedClickHouse(cfg)
	if local {
		if _, err := embedded.FindClickHouse(embedded.ClickHouseConfig{Server: cfg.Embedded.ClickHouseServer, Library: cfg.Embedded.ClickHouseLibrary}); err != nil {
			return []doctor.Result{{Area: "ClickHouse", Check: "program", Status: doctor.Problem, Found: err.Error(), Do: "go tool task deps, or name a server of your own by clickhouse.addresses"}}
		}
	}
	if local && runErr != nil {
		return notStarted("ClickHouse", cfg.DataDir, runErr)
	}
	if local && !answers(ctx, run.ClickHouse.Address()) {
		return []doctor.Result{doctor.Skip("ClickHouse", "reachable", "the embedded ClickHouse of "+cfg.DataDir+" does not run", "wardflow up")}
	}
	c := &doctor.ClickHouse{Address: strings.Join(e.Store.Addresses, " "), Database: e.Store.Database, Analyst: e.Store.Analyst.User, Embedded: local}
	s, err := store.Open(ctx, e.Store)
	if err != nil {
		c.Err = err
		return doctor.JudgeClickHouse(c)
	}
	defer func() { _ = s.Close() }()
	if c.Found, c.Err = s.Inspect(ctx); c.Err == nil {
		c.Now = time.Now()
		c.Plan, c.PlanErr = s.Plan(ctx)
	}
	return doctor.JudgeClickHouse(c)
}

func (c *doctorCmd) printJSON(io *streams, results []doctor.Result) error {
	out := struct {
		Version string          `json:"version"`
		Time    string          `json:"time"`
		Status  doctor.Status   `json:"status"`
		Checks  []doctor.Result `json:"checks"`
	}{version, time.Now().UTC().Format(time.RFC3339), doctor.Worst(results), results}
	enc := json.NewEncoder(io.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if out.Status == doctor.Problem {
		return errReported
	}
	return nil
}

// checkStyle is how a verdict looks on a terminal.
var checkStyle = map[doctor.Status]style{doctor.OK: green, doctor.Warning: yellow, doctor.Problem: redder, doctor.Skipped: faint}

// printChecks prints the checks by area, one a line, and below each what to do.
func printChecks(s *screen, results []doctor.Result) {
	w := bufio.NewWriter(s.w)
	defer func() { _ = w.Flush() }() // a terminal that is gone has nobody to tell
	nameWidth := 0
	for _, r := range results {
		nameWidth = max(nameWidth, width(r.Check))
	}
	const verdictWidth = len("warning")
	indent := 2 + verdictWidth + 2 + min(nameWidth, 24) + 2
	area := ""
	for _, r := range results {
		if r.Area != area {
			if area != "" {
				fmt.Fprintln(w)
			}
			area = r.Area
			fmt.Fprintln(w, s.paint(area, bold))
		}
		name := r.Check + strings.Repeat(" ", max(0, min(nameWidth, 24)-width(r.Check)))
		verdict := string(r.Status) + strings.Repeat(" ", verdictWidth-len(r.Status))
		found := wrap(printable(r.Found), s.width-indent)
		fmt.Fprintf(w, "  %s  %s  %s\n", s.paint(verdict, checkStyle[r.Status]), name, strings.Join(found, "\n"+strings.Repeat(" ", indent)))
		if r.Do != "" && r.Status != doctor.OK {
			do := wrap("do: "+printable(r.Do), s.width-indent-4)
			fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", indent), strings.Join(do, "\n"+strings.Repeat(" ", indent+4)))
		}
	}
	counts := fmt.Sprintf("%d ok, %s, %s, %d skipped", doctor.Count(results, doctor.OK), counted(doctor.Count(results, doctor.Warning), "warning"),
		counted(doctor.Count(results, doctor.Problem), "problem"), doctor.Count(results, doctor.Skipped))
	fmt.Fprintf(w, "\n%s: %s\n", counted(len(results), "check"), s.paint(counts, checkStyle[doctor.Worst(results)]))
}

// wrap breaks a text at spaces into lines of w characters; w below 20 leaves it whole.
func wrap(text string, w int) []string {
	if w < 20 {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && width(line)+1+width(word) > w {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// spoolFolders is where a live sensor keeps what Kafka does not take.
func spoolFolders(cfg *config.Config, live bool) []*doctor.Folder {
	if !live {
		return nil
	}
	dir := cfg.Spool.Dir
	if dir == "" {
		dir = filepath.Join(cfg.DataDir, "spool")
	}
	return []*doctor.Folder{doctor.ReadFolder("spool.dir", dir, uint64(cfg.Spool.MaxBytes), true)}
}
