package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultIsValid(t *testing.T) {
	l, err := Load(Source{})
	if err != nil {
		t.Fatal(err)
	}
	if l.DataDir != ".wardflow" || l.Embedded.MaxTopicBytes != 2<<30 || l.Embedded.Partitions != 8 {
		t.Errorf("defaults are %+v", l.Config)
	}
}

// TestEnvironmentIsUnambiguous: keys have underscores, so two paths could have
// one variable; none may.
func TestEnvironmentIsUnambiguous(t *testing.T) {
	byEnv := map[string]string{}
	for _, f := range Fields() {
		if other := byEnv[f.Env]; other != "" {
			t.Errorf("%s sets both %s and %s", f.Env, other, f.Path)
		}
		byEnv[f.Env] = f.Path
	}
	for env, path := range map[string]string{
		"WARDFLOW_KAFKA_BROKERS": "kafka.brokers", "WARDFLOW_DATA_DIR": "data_dir", "WARDFLOW_CLICKHOUSE_PASSWORD": "clickhouse.password",
		"WARDFLOW_CLICKHOUSE_ANALYST_PASSWORD_FILE": "clickhouse.analyst_password_file", "WARDFLOW_EMBEDDED_BROKER_PORT": "embedded.broker_port",
	} {
		if byEnv[env] != path {
			t.Errorf("%s sets %q, want %s", env, byEnv[env], path)
		}
	}
}

func TestLaterSourcesWin(t *testing.T) {
	file := write(t, "w.yaml", `
site: from-file
sensor: from-file
data_dir: /from/file
kafka:
  brokers: [a:1]
  sasl: {mechanism: plain, user: u}
clickhouse:
  settings: {max_threads: 2}
  retention: {site_days: {ward-a: 7}}
policy:
  ward-a: {learning_period_s: 60, trusted_externals: [192.0.2.0/24]}
`)
	l, err := Load(Source{
		File: file,
		Environ: []string{
			"WARDFLOW_SITE=from-env", "WARDFLOW_SENSOR=from-env", "WARDFLOW_KAFKA_BROKERS=b:1, c:2", "WARDFLOW_KAFKA_SASL_PASSWORD=geheim",
			"WARDFLOW_FOLD_INTERVAL=200ms", "WARDFLOW_CLICKHOUSE_RETENTION_DAYS=9", "WARDFLOW_KAFKA_PORT_9092_TCP_ADDR=10.0.0.1", "WARDFLOW_KAFKA_SERVICE_HOST=x",
			"WARDFLOW_SHARED=elsewhere", "HOME=/x",
		},
		Set: []string{"site=from-flag", "embedded.fsync=true", "policy.ward-a.silence_min_s=30", "clickhouse.addresses=[\"h:1,i:2\"]"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if l.Site != "from-flag" || l.Sensor != "from-env" || l.DataDir != "/from/file" {
		t.Errorf("site %q sensor %q data_dir %q", l.Site, l.Sensor, l.DataDir)
	}
	if !slices.Equal(l.Kafka.Brokers, []string{"b:1", "c:2"}) || l.Kafka.SASL.Password != "geheim" || l.Kafka.SASL.User != "u" {
		t.Errorf("kafka %+v", l.Kafka)
	}
	if l.Fold.Interval != 200*time.Millisecond || !l.Embedded.Fsync || l.ClickHouse.Retention.Days != 9 || l.ClickHouse.Retention.SiteDays["ward-a"] != 7 {
		t.Errorf("fold %+v embedded %+v retention %+v", l.Fold, l.Embedded, l.ClickHouse.Retention)
	}
	if !slices.Equal(l.ClickHouse.Addresses, []string{"h:1,i:2"}) {
		t.Errorf("addresses %q", l.ClickHouse.Addresses)
	}
	p := l.Policy["ward-a"]
	if p.LearningPeriodS != 60 || p.SilenceMinS != 30 {
		t.Errorf("policy %+v", p)
	}

	var out strings.Builder
	if err := l.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"site: from-flag # --set site", "sensor: from-env # WARDFLOW_SENSOR", "data_dir: /from/file # " + file + ":4", "password: (redacted) # WARDFLOW_KAFKA_SASL_PASSWORD",
		"interval: 200ms # WARDFLOW_FOLD_INTERVAL", "brokers: # WARDFLOW_KAFKA_BROKERS", "learning_period_s: 60", "log:\n  level: info\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("print lacks %q", want)
		}
	}
	if strings.Contains(out.String(), "geheim") {
		t.Error("print shows a secret")
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	tests := map[string]struct {
		file string
		env  []string
		set  []string
		want []string // starts of the lines, FILE stands for the file
	}{
		"syntax": {file: "site: [a", want: []string{"FILE: line 1:"}},
		"unknown keys": {
			file: "sit: x\nkafka:\n  brokes: [a:1]\n  sasl:\n    usr: x\nnothing_like_it: 1\n",
			want: []string{
				"FILE:1: sit: is no setting; did you mean site?", "FILE:3: kafka.brokes: is no setting; did you mean brokers?",
				"FILE:5: kafka.sasl.usr: is no setting; did you mean user?", "FILE:6: nothing_like_it: is no setting",
			},
		},
		"types": {
			file: "site: [x]\nlog: debug\nfold: {interval: soon, max_entries: many}\nembedded: {fsync: 3}\nkafka: {brokers: a}\npolicy: {w: [1]}\nclickhouse: {settings: 1}\n",
			want: []string{
				`FILE:1: site: want a text, got a list`, "FILE:2: log: want a mapping of settings, got a single value", `FILE:3: fold.interval: want a duration such as 90s or 5m, got "soon"`,
				`FILE:3: fold.max_entries: want a whole number, got "many"`, `FILE:4: embedded.fsync: want true or false, got "3"`, `FILE:5: kafka.brokers: want a list of texts, got "a"`,
				"FILE:6: policy.w: want a mapping of settings, got a list", `FILE:7: clickhouse.settings: want a mapping, got "1"`,
			},
		},
		"values with their lines": {
			file: "site: ''\nlog:\n  level: loud\nkafka:\n  brokers:\n    - a:1\n    - b\n  partitions: 0\nclickhouse:\n  addresses: [x]\n  retention: {days: 0}\ncapture:\n  home: [10.0.0.1/8, ten]\n",
			want: []string{
				"FILE:1: site: is empty", `FILE:3: log.level: is "loud"; want one of debug, info, warn, error`, `FILE:7: kafka.brokers[1]: "b" is not host:port`, "FILE:8: kafka.partitions: is 0",
				`FILE:10: clickhouse.addresses[0]: "x": want host:port`, "FILE:11: clickhouse.retention.days: 0 must be", `FILE:13: capture.home[0]: "10.0.0.1/8" has bits set after its length; did you mean 10.0.0.0/8?`,
				`FILE:13: capture.home[1]: "ten" is no CIDR`,
			},
		},
		"twice":     {file: "site: a\nsensor: b\nsite: c\n", want: []string{"FILE:3: site: is set twice; first in line 1"}},
		"documents": {file: "site: a\n---\nsite: b\n", want: []string{"FILE: has more than one YAML document"}},
		"list":      {file: "- a\n", want: []string{"FILE:1: want a mapping of settings, got a list"}},
		"secret in the file": {
			file: "clickhouse:\n  password: hunter2\n",
			want: []string{"FILE:2: clickhouse.password: secrets do not belong into the configuration file; use clickhouse.password_file, or the variable WARDFLOW_CLICKHOUSE_PASSWORD"},
		},
		"ports": {
			file: "embedded: {broker_port: 70000, clickhouse_tcp_port: 9000, clickhouse_http_port: 9000}\n",
			want: []string{"FILE:1: embedded.broker_port: is 70000", "FILE:1: embedded.clickhouse_http_port: is 9000, which embedded.clickhouse_tcp_port is too"},
		},
		"files": {
			file: "capture: {key_file: /not/there}\nclickhouse: {password_file: /not/there}\n", env: []string{"WARDFLOW_CLICKHOUSE_PASSWORD=x"},
			want: []string{"FILE:2: clickhouse.password_file: is set, and the password itself as well", "FILE:2: clickhouse.password_file: open /not/there", "FILE:1: capture.key_file: open /not/there"},
		},
		"environment": {
			env:  []string{"WARDFLOW_KAFKA_BROKER=a:1", "WARDFLOW_FOLD_INTERVAL=soon", "WARDFLOW_KAFKA_TLS_ENABLED=maybe"},
			want: []string{`WARDFLOW_FOLD_INTERVAL: fold.interval: want a duration such as 90s or 5m, got "soon"`, "WARDFLOW_KAFKA_BROKER: sets nothing: there is no such setting; did you mean WARDFLOW_KAFKA_BROKERS?", `WARDFLOW_KAFKA_TLS_ENABLED: kafka.tls.enabled: want true or false, got "maybe"`},
		},
		"flags": {
			set:  []string{"site", "sites=x", "fold.interval=", "policy.w.silence_s=3", "policy.w.silence_min_s=-3", "policy.w.learning_until=soon", "policy.w.trusted_externals=[x]"},
			want: []string{"--set site: want PATH=VALUE", "--set: sites: is no setting; did you mean site?", `--set fold.interval: fold.interval: want a duration such as 90s or 5m, got ""`, "--set policy.w.silence_s: policy.w.silence_s: is no setting; did you mean silence_min_s?", "--set policy.w.silence_min_s: policy.w.silence_min_s: is -3", "--set policy.w.learning_until: policy.w.learning_until: \"soon\" is no time", `--set policy.w.trusted_externals: policy.w.trusted_externals[0]: "x" is no CIDR`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src := Source{Environ: tt.env, Set: tt.set}
			if tt.file != "" {
				src.File = write(t, "w.yaml", tt.file)
			}
			_, err := Load(src)
			var p Problems
			if !errors.As(err, &p) {
				t.Fatalf("error %v", err)
			}
			text := err.Error()
			if src.File != "" {
				text = strings.ReplaceAll(text, src.File+":", "FILE:")
			}
			got := strings.Split(text, "\n")
			for i, want := range tt.want {
				if i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
				}
			}
			if len(got) > len(tt.want) {
				t.Errorf("more than expected: %q", got[len(tt.want):])
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error shows a secret")
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(Source{File: filepath.Join(t.TempDir(), "none.yaml")})
	if err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("error %v", err)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	l, err := Load(Source{Set: []string{"clickhouse.password_file=" + write(t, "p", "geheim\n"), "clickhouse.analyst_password_file=" + write(t, "a", "offen")}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.ClickHouse.Store()
	if err != nil || s.Password != "geheim" || s.Analyst.Password != "offen" {
		t.Errorf("passwords %q and %q, error %v", s.Password, s.Analyst.Password, err)
	}
}

func TestPolicyProto(t *testing.T) {
	p := Policy{LearningPeriodS: 1, LearningUntil: "2026-11-18T00:00:00Z", SilenceMinS: 2, PortScanPorts: 3, RiskHalfLifeS: 4, TrustedExternals: []string{"192.0.2.0/24"}}
	got, err := p.Proto("w")
	if err != nil {
		t.Fatal(err)
	}
	if got.Site != "w" || got.LearningUntil != proto.TimeOf(time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)) || got.LearningPeriodS != 1 || got.SilenceMinS != 2 || got.PortScanPorts != 3 || got.RiskHalfLifeS != 4 {
		t.Errorf("got %+v", got)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("site: a\nkafka: {brokers: [a:1]}\npolicy: {w: {silence_min_s: 1}}"))
	f.Add([]byte("a: &a [*a]\nsite: *a"))
	dir := f.TempDir()
	f.Fuzz(func(_ *testing.T, b []byte) {
		path := filepath.Join(dir, "w.yaml")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return
		}
		l, err := Load(Source{File: path})
		if err == nil {
			_ = l.Print(&strings.Builder{})
		}
	})
}

// TestPrintedConfigurationLoads: what is printed is a file to start from.
func TestPrintedConfigurationLoads(t *testing.T) {
	l, err := Load(Source{Set: []string{"policy.ward-a.silence_min_s=30", "kafka.brokers=a:1,b:2"}})
	if err != nil {
		t.Fatal(err)
	}
	var first, second strings.Builder
	if err := l.Print(&first); err != nil {
		t.Fatal(err)
	}
	again, err := Load(Source{File: write(t, "printed.yaml", first.String())})
	if err != nil {
		t.Fatal(err)
	}
	again.origin = l.origin
	if err := again.Print(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("printed\n%s\nloaded and printed\n%s", first.String(), second.String())
	}
}
