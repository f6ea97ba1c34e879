package telemetry

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// alertRules is the file of Prometheus's alert rules, as far as the test looks.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func readRules(t *testing.T) (alertRules, string) {
	t.Helper()
	dir := filepath.Join(repotest.Root(t), "deploy", "prometheus")
	b, err := os.ReadFile(filepath.Join(dir, "wardflow.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var r alertRules
	if err := yaml.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r, dir
}

var (
	seriesName = regexp.MustCompile(`\b((?:wardflow|messaging|go|process)_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	labelName  = regexp.MustCompile(`([a-z_]+)\s*(?:=~?|!~|!=)`)
)

// byPrometheus finds a metric by the name of one of its series.
func byPrometheus(name string) *Metric {
	for _, m := range all {
		p := m.Prometheus()
		if name == p && m.Kind != KindHistogram || m.Kind == KindHistogram && slices.Contains([]string{p, p + "_bucket", p + "_sum", p + "_count"}, name) {
			return m
		}
	}
	return nil
}

// Every metric and label that an alert names is in the list, and every alert says
// what to do.
func TestAlertRules(t *testing.T) {
	rules, dir := readRules(t)
	tests, err := os.ReadFile(filepath.Join(dir, "wardflow.rules_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			if s := r.Labels["severity"]; s != "warning" && s != "critical" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 80 {
				t.Errorf("%s does not say what it is about and what to do", r.Alert)
			}
			if !strings.Contains(string(tests), "alertname=\""+r.Alert+"\", alertstate=\"firing\", severity=\""+r.Labels["severity"]+"\"") {
				t.Errorf("no test of wardflow.rules_test.yml sees %s fire", r.Alert)
			}
			named := seriesName.FindAllStringSubmatch(r.Expr+" "+r.Annotations["description"], -1)
			if len(named) == 0 {
				t.Errorf("%s names no metric", r.Alert)
			}
			for _, s := range named {
				m := byPrometheus(s[1])
				if m == nil {
					t.Errorf("%s names %s, which is not in the list of metrics", r.Alert, s[1])
					continue
				}
				for _, l := range labelName.FindAllStringSubmatch(s[2], -1) {
					if !slices.ContainsFunc(m.Labels, func(k *Key) bool { return k.Prometheus() == l[1] }) {
						t.Errorf("%s asks for label %s of %s, which it does not have", r.Alert, l[1], s[1])
					}
				}
			}
		}
	}
	if n < 15 {
		t.Errorf("%d alerts", n)
	}
}

// Prometheus itself takes the rules, and they fire when they should.
func TestAlertRulesWithPromtool(t *testing.T) {
	_, dir := readRules(t)
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian, Ubuntu: it comes with the package prometheus): the alert rules are not run")
	}
	for _, args := range [][]string{{"check", "rules", "wardflow.rules.yml"}, {"test", "rules", "wardflow.rules_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
