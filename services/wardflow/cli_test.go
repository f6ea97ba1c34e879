package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// ran is what a run of the command line came to.
type ran struct {
	code     int
	out, err string
}

func runCLI(t *testing.T, environ []string, stdin string, args ...string) ran {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, &streams{in: strings.NewReader(stdin), out: &out, err: &err, environ: environ})
	return ran{code, out.String(), err.String()}
}

func tempFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// words is a text without its line breaks.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// taught are the groups of what people type; the rest is for who deploys.
var taught = map[string]bool{"run": true, "look": true, "files": true}

func TestHelpTeaches(t *testing.T) {
	var c cli
	parser, err := newParser(&c, &streams{}, kong.BindTo(t.Context(), (*context.Context)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	top := runCLI(t, nil, "", "--help")
	if top.code != 0 || top.err != "" {
		t.Errorf("--help: %+v", top)
	}
	for _, want := range []string{"wardflow devices", "Begin with:", "Look:", "wardflow COMMAND --help"} {
		if !strings.Contains(top.out, want) {
			t.Errorf("--help lacks %q", want)
		}
	}
	if bare := runCLI(t, nil, ""); bare.out != top.out || bare.code != 0 {
		t.Error("no arguments are not --help")
	}
	for _, n := range parser.Model.Leaves(true) {
		if n.Group == nil || strings.HasPrefix(n.Path(), "config ") {
			continue
		}
		path := strings.Fields(n.Path())
		got := runCLI(t, nil, "", append(path[:1:1], "--help")...)
		if got.code != 0 || !strings.Contains(words(got.out), words(n.Help)) {
			t.Errorf("%s --help: %+v", path[0], got)
		}
		if taught[n.Group.Key] && !strings.Contains(got.out, "Example") {
			t.Errorf("%s --help gives no example", path[0])
		}
		if !strings.Contains(top.out, "\n  "+path[0]+" ") {
			t.Errorf("--help does not list %s", path[0])
		}
	}
}

func TestExitStatuses(t *testing.T) {
	empty := t.TempDir()
	good, bad := tempFile(t, "good.yaml", "site: a\n"), tempFile(t, "bad.yaml", "site: ''\nlog: {level: loud}\nx: 1\n")
	out := filepath.Join(t.TempDir(), "out")
	text := tempFile(t, "notes.txt", "no capture")
	tests := map[string]struct {
		args []string
		env  []string
		want ran // the texts are parts that must be there
	}{
		"unknown command":           {args: []string{"devcies"}, want: ran{2, "", `did you mean "devices"`}},
		"unknown flag":              {args: []string{"devices", "--teir", "high"}, want: ran{2, "", "See: wardflow devices --help"}},
		"no such choice":            {args: []string{"devices", "--tier", "huge"}, want: ran{2, "", "huge"}},
		"no such time":              {args: []string{"flows", "--since", "yesterday"}, want: ran{2, "", "want how long ago (90m, 24h, 7d) or when"}},
		"nothing runs":              {args: []string{"devices", "--data-dir", empty}, want: ran{1, "", "start it with `wardflow up`"}},
		"bad setting":               {args: []string{"devices", "--set", "fold.interval=soon"}, want: ran{1, "", "the configuration cannot be used:\n--set fold.interval: fold.interval: want a duration"}},
		"bad variable":              {args: []string{"devices"}, env: []string{"WARDFLOW_KAFKA_BROKER=x"}, want: ran{1, "", "did you mean WARDFLOW_KAFKA_BROKERS?"}},
		"empty query":               {args: []string{"sql", " "}, want: ran{2, "", "the query is empty"}},
		"version":                   {args: []string{"version"}, want: ran{0, "wardflow dev", ""}},
		"config check":              {args: []string{"config", "check", good}, want: ran{0, good + ": good\n", ""}},
		"config check, all at once": {args: []string{"config", "check", bad}, want: ran{1, "", bad + ":3: x: is no setting\n" + bad + ":1: site: is empty; give it a name\n" + bad + ":2: log.level: is \"loud\""}},
		"config print":              {args: []string{"config", "print", "--config", good, "--log-level", "debug"}, env: []string{"WARDFLOW_KAFKA_SASL_PASSWORD=x"}, want: ran{0, "password: (redacted) # WARDFLOW_KAFKA_SASL_PASSWORD", ""}},
		"examples":                  {args: []string{"examples"}, want: ran{0, "top_talkers", ""}},
		"example":                   {args: []string{"examples", "top_talkers"}, want: ran{0, "FROM v_", ""}},
		"no such example":           {args: []string{"examples", "none"}, want: ran{2, "", "`wardflow examples` lists them"}},
		"replay, nothing given":     {args: []string{"replay"}, want: ran{2, "", "--site is missing: name the site of the capture\n--out is missing: name a folder for the output\nno capture file is named"}},
		"replay, site of --set":     {args: []string{"replay", text, "--set", "site=a", "--out", out}, want: ran{1, "", "no input file could be read"}},
		"replay, site of the file":  {args: []string{"replay", text, "--config", good, "--out", out}, want: ran{1, "", "no input file could be read"}},
		"replay, bad setting":       {args: []string{"replay", text, "--set", "capture.home=ten", "--out", out}, want: ran{1, "", "capture.home"}},
		"replay, data folder":       {args: []string{"replay", text, "--data-dir", empty, "--out", out, "--site", "a"}, want: ran{2, "", "replay does nothing with --data-dir: leave it out\nSee: wardflow replay --help"}},
		"script, a setting":         {args: []string{"script", text, "--set", "site=a"}, want: ran{2, "", "script does nothing with --set"}},
		"version, a file":           {args: []string{"--config", good, "version"}, want: ran{2, "", "version does nothing with --config"}},
		"version, file by variable": {args: []string{"version"}, env: []string{"WARDFLOW_CONFIG=" + good}, want: ran{0, "wardflow dev", ""}},
		"up, demo and more":         {args: []string{"up", "--demo", "--read", text, "--data-dir", empty}, want: ran{2, "", "feed one after the other"}},
		"capture needs Kafka alone": {args: []string{"capture", "--read", text, "--data-dir", empty, "--set", "clickhouse.addresses=127.0.0.1:1"}, want: ran{1, "", "start it with `wardflow up`, or name kafka.brokers\n"}},
		"sink needs both":           {args: []string{"sink", "--data-dir", empty}, want: ran{1, "", "or name kafka.brokers and clickhouse.addresses\n"}},
		"queries need no Kafka":     {args: []string{"devices", "--data-dir", empty, "--set", "clickhouse.addresses=127.0.0.1:1"}, want: ran{1, "", "nothing answers at 127.0.0.1:1"}},
		"replay, bad values": {
			args: []string{"replay", text, "--site", "a", "--out", out, "--home", "ten", "--sensor", "=x", "--until", "soon", "--baseline-until", "never", "--key", "/not/there", "--context", bad, "--advisories", "/not/there"},
			want: ran{2, "", "--home ten is no CIDR"},
		},
		"replay, no capture":     {args: []string{"replay", text, "--site", "a", "--out", out}, want: ran{1, "", "no input file could be read: read capture " + text}},
		"dissect, nothing given": {args: []string{"dissect", text}, want: ran{2, "", "--out is missing: name a folder for the output"}},
		"dissect, no capture":    {args: []string{"dissect", text, "--out", out}, want: ran{1, "", "no input file could be read: read capture " + text}},
		"dissect, bad values": {
			args: []string{"dissect", text, "--out", out, "--home", "ten", "--site", "=", "--sensor", "a b", "--key", "/not/there"},
			want: ran{2, "", "--home ten is no CIDR such as 10.0.0.0/8\n--key: read key"},
		},
		"replay, check and more":   {args: []string{"replay", text, "--check", out}, want: ran{2, "", "give it alone"}},
		"replay, check of nothing": {args: []string{"replay", "--check", filepath.Join(empty, "none")}, want: ran{1, "", "check folder"}},
		"replay, check of empty":   {args: []string{"replay", "--check", empty}, want: ran{1, "", "flows.jsonl: is missing"}},
		"script, no such fold":     {args: []string{"script", "--fold", "x", text}, want: ran{2, "", "want one of endpoint, identity, device, anomaly"}},
		"script, no such file":     {args: []string{"script", filepath.Join(empty, "none.txt")}, want: ran{1, "", "find scripts"}},
		"script, empty folder":     {args: []string{"script", empty}, want: ran{1, "", "no *.txt"}},
		"script, not understood":   {args: []string{"script", text}, want: ran{1, "", "1 scripts, 1 problems"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := runCLI(t, tt.env, "", tt.args...)
			if got.code != tt.want.code || !strings.Contains(got.out, tt.want.out) || !strings.Contains(got.err, tt.want.err) {
				t.Errorf("got %+v\nwant %+v", got, tt.want)
			}
			if got.code != 0 && got.err == "" {
				t.Error("fails without a word")
			}
		})
	}
}

// A flag that a command refuses is not in its help.
func TestHelpHidesWhatIsRefused(t *testing.T) {
	for name, flags := range without {
		help := runCLI(t, nil, "", name, "--help").out
		for _, f := range flags {
			if strings.Contains(help, "--"+f) {
				t.Errorf("%s --help shows --%s", name, f)
			}
		}
	}
	if help := runCLI(t, nil, "", "devices", "--help").out; !strings.Contains(help, "--data-dir") {
		t.Error("devices --help does not show --data-dir")
	}
}

func TestHelpListsGroupsInOrder(t *testing.T) {
	help, at := runCLI(t, nil, "", "--help").out, 0
	if strings.Contains(help, "Commands:") {
		t.Error("a group without commands is shown")
	}
	for _, g := range groups {
		i := strings.Index(help, "\n"+g.Title)
		if i < at {
			t.Errorf("%q is not where it belongs", g.Title)
		}
		at = i
	}
}

func TestReplayTellsEveryProblemOfItsFlags(t *testing.T) {
	got := runCLI(t, nil, "", "replay", "a.pcap", "--site", "a", "--out", "o", "--home", "ten", "--sensor", "=x", "--until", "soon", "--baseline-until", "9999-01-01T00:00:00Z", "--key", "/not/there")
	for _, want := range []string{"--home ten", "--sensor: ", "--until \"soon\"", "--baseline-until \"9999-01-01T00:00:00Z\" is not between", "read key"} {
		if got.code != 2 || !strings.Contains(got.err, want) {
			t.Errorf("%q is not said: %+v", want, got)
		}
	}
}

func TestScript(t *testing.T) {
	story := "device a 02:00:00:00:00:01 10.0.0.1\nat 10:00\nflow a -> a tcp/80 http\nexpect detection port_scan high a -> a at 10:00:00 count 1\n"
	path := tempFile(t, "story.txt", story)
	if got := runCLI(t, nil, "", "script", path); got.code != 1 || !strings.Contains(got.err, "story.txt:4") {
		t.Errorf("an expectation that is not met: %+v", got)
	}
	if got := runCLI(t, nil, "", "script", "--update", "--fold", "anomaly", filepath.Dir(path)); got.code != 0 {
		t.Errorf("update: %+v", got)
	}
	if got := runCLI(t, nil, "", "script", path); got.code != 0 || got.out != "1 scripts, all as expected\n" {
		t.Errorf("after the update: %+v", got)
	}
}

// What --help shows can be copied out and run.
func TestExampleOfScript(t *testing.T) {
	_, example, _ := strings.Cut(scriptCmd{}.Help(), "pump.txt:\n\n")
	example, _, _ = strings.Cut(example, "\n\n")
	path := tempFile(t, "pump.txt", example+"\n")
	if got := runCLI(t, nil, "", "script", path); got.code != 0 || got.out != "1 scripts, all as expected\n" {
		t.Errorf("%+v of\n%s", got, example)
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC)
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for text, want := range map[string]time.Time{
		"90m": at("2026-11-18T10:30:00Z"), "24h": at("2026-11-17T12:00:00Z"), "7d": at("2026-11-11T12:00:00Z"), "0.5d": at("2026-11-18T00:00:00Z"),
		"2026-11-17": at("2026-11-17T00:00:00Z"), "2026-11-17 08:30": at("2026-11-17T08:30:00Z"), "2026-11-17T08:30:00": at("2026-11-17T08:30:00Z"),
		"2026-11-17T08:30:00+02:00": at("2026-11-17T06:30:00Z"),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1h", "-3d", "soon", "17.11.2026", "1e99d", "NaNd"} {
		if got, err := parseSince(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
