package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// parses tells what is wrong with a command line, without running it.
func parses(t *testing.T, args []string) error {
	t.Helper()
	parser, err := newParser(new(cli), &streams{}, kong.BindTo(t.Context(), (*context.Context)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return refused(k)
}

// knownVariables are all that set something of ours.
func knownVariables() []string {
	names := []string{"WARDFLOW_CONFIG"}
	for _, f := range config.Fields() {
		names = append(names, f.Env)
	}
	return names
}

// compose is what we use of the Compose specification.
type compose struct {
	Name     string                       `yaml:"name"`
	Services map[string]composeService    `yaml:"services"`
	Configs  map[string]map[string]string `yaml:"configs"`
	Secrets  map[string]map[string]string `yaml:"secrets"`
	Volumes  map[string]any               `yaml:"volumes"`
	Service  any                          `yaml:"x-service"`
}

type composeService struct {
	Image       string            `yaml:"image"`
	Build       map[string]string `yaml:"build"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Tmpfs       []string          `yaml:"tmpfs"`
	Ports       []string          `yaml:"ports"`
	Profiles    []string          `yaml:"profiles"`
	NetworkMode string            `yaml:"network_mode"`
	Restart     string            `yaml:"restart"`
	ReadOnly    bool              `yaml:"read_only"`
	CapDrop     []string          `yaml:"cap_drop"`
	CapAdd      []string          `yaml:"cap_add"`
	SecurityOpt []string          `yaml:"security_opt"`
	Ulimits     map[string]int    `yaml:"ulimits"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Configs []struct {
		Source string `yaml:"source"`
		Target string `yaml:"target"`
	} `yaml:"configs"`
	Secrets     []yaml.Node    `yaml:"secrets"`
	Healthcheck map[string]any `yaml:"healthcheck"`
}

func readCompose(t *testing.T) (c compose, dir string) {
	t.Helper()
	dir = filepath.Join(repotest.Root(t), "deploy")
	f, err := os.Open(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// Every command of compose.yaml is one of ours, every variable sets something,
// and everything that is referred to is there.
func TestComposeFile(t *testing.T) {
	c, dir := readCompose(t)
	containerfile, err := os.ReadFile(filepath.Join(dir, "container", "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	known := knownVariables()
	ours := 0
	for name, s := range c.Services {
		if host, _, _ := strings.Cut(s.Image, "/"); strings.ContainsAny(host, ".:") && strings.Contains(s.Image, "/") {
			t.Errorf("%s: image %s names a registry: which one is the setting of whoever runs it", name, s.Image)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to the network", name, p)
			}
		}
		for on, d := range s.DependsOn {
			if _, ok := c.Services[on]; !ok || !slices.Contains([]string{"service_healthy", "service_completed_successfully"}, d.Condition) {
				t.Errorf("%s depends on %s (%s)", name, on, d.Condition)
			}
		}
		for _, v := range s.Volumes {
			if source, _, _ := strings.Cut(v, ":"); !slices.Contains(slices.Collect(maps.Keys(c.Volumes)), source) {
				t.Errorf("%s: no volume %s", name, source)
			}
		}
		for _, n := range s.Secrets {
			source := n.Value
			if n.Kind == yaml.MappingNode {
				source = n.Content[1].Value
			}
			if c.Secrets[source]["file"] == "" {
				t.Errorf("%s: no secret %s", name, source)
			}
		}
		if s.Build == nil {
			continue
		}
		ours++
		if !strings.Contains(string(containerfile), " AS "+s.Build["target"]+"\n") {
			t.Errorf("%s: the Containerfile has no target %s", name, s.Build["target"])
		}
		checkOurService(t, name, s, c, known)
	}
	for _, n := range model(t).Leaves(true) {
		if n.Group != nil && n.Group.Key == "services" && c.Services[n.Name].Build == nil {
			t.Errorf("service %s is not in compose.yaml", n.Name)
		}
	}
	if ours < 6 || c.Services["kafka"].Image == "" || c.Services["clickhouse"].Image == "" {
		t.Errorf("%d services of ours, Kafka %q, ClickHouse %q", ours, c.Services["kafka"].Image, c.Services["clickhouse"].Image)
	}
	for name, file := range c.Configs {
		if got := runCLI(t, nil, "", "config", "check", filepath.Join(dir, file["file"])); got.code != 0 {
			t.Errorf("config %s: %+v", name, got)
		}
	}
}

func checkOurService(t *testing.T, name string, s composeService, c compose, known []string) {
	t.Helper()
	if err := parses(t, s.Command); err != nil {
		t.Errorf("%s: command %q: %v", name, s.Command, err)
	}
	if s.Image == "" || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
		t.Errorf("%s is not confined: %+v", name, s)
	}
	for v := range s.Environment {
		if !slices.Contains(known, v) {
			t.Errorf("%s: variable %s sets nothing", name, v)
		}
	}
	for _, f := range s.Configs {
		if c.Configs[f.Source]["file"] == "" || f.Target != s.Environment["WARDFLOW_CONFIG"] {
			t.Errorf("%s: config %s at %s", name, f.Source, f.Target)
		}
	}
	if off, ok := s.Healthcheck["disable"].(bool); ok && off {
		return
	}
	test, ok := s.Healthcheck["test"].([]any)
	if !ok || len(test) < 3 || test[0] != "CMD" || test[1] != "/usr/bin/wardflow" {
		t.Errorf("%s: healthcheck %v", name, s.Healthcheck)
		return
	}
	var args []string
	for _, x := range test[2:] {
		args = append(args, fmt.Sprint(x))
	}
	if err := parses(t, args); err != nil {
		t.Errorf("%s: healthcheck %q: %v", name, args, err)
	}
}

// The container runs as nobody in particular, and takes nothing along that it
// should not.
func TestContainerfile(t *testing.T) {
	root := repotest.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "deploy", "container", "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	user := regexp.MustCompile(`(?m)^USER (\d+):\d+$`).FindSubmatch(text)
	if len(user) < 2 || string(user[1]) == "0" {
		t.Error("runs as root")
	}
	for _, m := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllSubmatch(text, -1) {
		if host, _, found := strings.Cut(string(m[1]), "/"); found && strings.Contains(host, ".") {
			t.Errorf("FROM %s names a registry", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^COPY ([a-z./]+ [a-z./ ]*)\./?$`).FindAllSubmatch(text, -1) {
		for _, file := range strings.Fields(string(m[1])) {
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("copies %s: %v", file, err)
			}
		}
	}
}

// unit is a systemd unit: section -> key -> values.
type unit map[string]map[string][]string

func readUnit(t *testing.T, path string) unit {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for n, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
			u[section] = map[string][]string{}
		default:
			k, v, ok := strings.Cut(line, "=")
			if !ok || section == "" {
				t.Fatalf("%s:%d: %q", path, n+1, line)
			}
			u[section][k] = append(u[section][k], v)
		}
	}
	return u
}

// Every unit starts a command of ours with settings that are known, as an
// ordinary user with no more than capture needs.
func TestSystemdUnits(t *testing.T) {
	dir := filepath.Join(repotest.Root(t), "deploy", "systemd")
	paths, err := filepath.Glob(filepath.Join(dir, "*.service"))
	if err != nil || len(paths) < 4 {
		t.Fatalf("%d units, %v", len(paths), err)
	}
	known := knownVariables()
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			u := readUnit(t, path)
			s := u["Service"]
			instances := []string{""}
			switch filepath.Base(path) {
			case "wardflow@.service":
				instances = nil
				for _, n := range model(t).Leaves(true) {
					if n.Group != nil && n.Group.Key == "services" && n.Name != "capture" && n.Name != "prepare" {
						instances = append(instances, n.Name)
					}
				}
			case "wardflow-capture@.service":
				instances = []string{"eth1"}
			}
			for _, i := range instances {
				command := strings.NewReplacer("%i", i, "%I", i, "%l", "host").Replace(strings.Join(s["ExecStart"], ""))
				args := strings.Fields(command)
				if len(args) < 2 || args[0] != "/usr/bin/wardflow" {
					t.Fatalf("starts %q", command)
				}
				if err := parses(t, args[1:]); err != nil {
					t.Errorf("%q: %v", command, err)
				}
			}
			for _, e := range s["Environment"] {
				if name, _, _ := strings.Cut(e, "="); !slices.Contains(known, name) {
					t.Errorf("variable %s sets nothing", name)
				}
			}
			for key, want := range map[string]string{
				"User": "wardflow", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "PrivateTmp": "yes", "SystemCallFilter": "@system-service",
			} {
				if got := strings.Join(s[key], " "); got != want {
					t.Errorf("%s=%s, want %s", key, got, want)
				}
			}
			captures := strings.Contains(strings.Join(s["RestrictAddressFamilies"], " "), "AF_PACKET")
			if got := strings.Join(s["CapabilityBoundingSet"], " "); (got == "CAP_NET_RAW") != captures || (got != "" && !captures) {
				t.Errorf("CapabilityBoundingSet=%s, with packet sockets: %v", got, captures)
			}
			for _, key := range []string{"MemoryMax", "StateDirectory"} {
				if len(s[key]) == 0 {
					t.Errorf("%s is missing", key)
				}
			}
		})
	}
}

// systemd itself reads the units, where it is.
func TestSystemdReadsTheUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze here")
	}
	dir := t.TempDir()
	source := filepath.Join(repotest.Root(t), "deploy", "systemd")
	entries, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(source, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		// The program is not installed here; anything that is there will do.
		text = []byte(strings.ReplaceAll(string(text), "/usr/bin/wardflow", "/bin/true"))
		path := filepath.Join(dir, e.Name())
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, ".service") || strings.HasSuffix(path, ".target") {
			units = append(units, path)
		}
	}
	if out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
}
