package embedded_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/embedded"
)

func TestRunFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := embedded.LoadRunFile(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	r, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, embedded.RunFileName): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
	passwords := map[string]bool{r.Broker.Password: true, r.ClickHouse.Password: true, r.ClickHouse.AnalystPassword: true}
	ports := map[int]bool{r.Broker.Port: true, r.ClickHouse.TCPPort: true, r.ClickHouse.HTTPPort: true}
	if len(passwords) != 3 || len(ports) != 3 {
		t.Errorf("passwords or ports are not different: %v %v", passwords, ports)
	}
	for p := range passwords {
		if len(p) < 32 {
			t.Errorf("password %q is short", p)
		}
		if strings.Contains(r.String(), p) {
			t.Error("String shows a password")
		}
	}
	r.Broker.Port++
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, embedded.RunFileName)
	more := read(t, path) + "of_another_version: 1\n"
	if err := os.WriteFile(path, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := embedded.EnsureRunFile(dir)
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("again: %+v, %v\nwant %+v", again, err, r)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestRunFileIsRefused(t *testing.T) {
	good := func(t *testing.T) (dir, text string) {
		t.Helper()
		dir = t.TempDir()
		if _, err := embedded.EnsureRunFile(dir); err != nil {
			t.Fatal(err)
		}
		return dir, read(t, filepath.Join(dir, embedded.RunFileName))
	}
	for name, c := range map[string]struct {
		mode fs.FileMode
		edit func(string) string
		want []string
	}{
		"readable by others":     {mode: 0o644, want: []string{"0644", "chmod 600"}},
		"writable by the group":  {mode: 0o620, want: []string{"0620", "chmod 600"}},
		"no YAML":                {mode: 0o600, edit: func(string) string { return "\t{" }, want: []string{"parse"}},
		"several things missing": {mode: 0o600, edit: func(string) string { return "version: 2\nbroker: {host: h, port: 70000}\n" }, want: []string{"version: is 2", "broker.port: 70000", "broker.password", "clickhouse.user"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, text := good(t)
			path := filepath.Join(dir, embedded.RunFileName)
			if c.edit != nil {
				text = c.edit(text)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			for _, load := range []func(string) (*embedded.RunFile, error){embedded.LoadRunFile, embedded.EnsureRunFile} {
				_, err := load(dir)
				if err == nil {
					t.Fatal("taken")
				}
				for _, want := range append(c.want, path) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v\ndoes not say %q", err, want)
					}
				}
			}
		})
	}
}

func TestFindClickHouse(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	t.Setenv("PATH", bin)
	check := func(c embedded.ClickHouseConfig, want embedded.ClickHouseEngine) {
		t.Helper()
		got, err := embedded.FindClickHouse(c)
		if err != nil || got != want {
			t.Errorf("found %+v, %v, want %+v", got, err, want)
		}
	}
	touch := func(path string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil { //nolint:gosec // it stands for a program
			t.Fatal(err)
		}
		return path
	}
	if _, err := embedded.FindClickHouse(embedded.ClickHouseConfig{}); !errors.Is(err, embedded.ErrNoClickHouse) || !strings.Contains(err.Error(), "go tool task deps") {
		t.Errorf("nothing there: %v", err)
	}
	for _, c := range []embedded.ClickHouseConfig{{Library: "none/libchdb.so"}, {Server: "none/clickhouse"}} {
		if _, err := embedded.FindClickHouse(c); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("configured and not there: %v", err)
		}
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		library := touch(filepath.Join(dir, "node_modules", "@chdb", "lib-linux-x64-gnu", "libchdb.so"))
		sub := filepath.Join(dir, "a", "b")
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Chdir(sub)
		check(embedded.ClickHouseConfig{}, embedded.ClickHouseEngine{Kind: embedded.ClickHouseLibrary, Path: library})
	}
	server := touch(filepath.Join(bin, "clickhouse"))
	check(embedded.ClickHouseConfig{}, embedded.ClickHouseEngine{Kind: embedded.ClickHouseServer, Path: server})
	other := touch(filepath.Join(dir, "libchdb.so"))
	check(embedded.ClickHouseConfig{Library: other}, embedded.ClickHouseEngine{Kind: embedded.ClickHouseLibrary, Path: other})
	check(embedded.ClickHouseConfig{Address: "h:9000"}, embedded.ClickHouseEngine{Kind: embedded.ClickHouseConfigured, Path: "h:9000"})
	if _, err := embedded.StartClickHouse(t.Context(), embedded.ClickHouseConfig{Address: "h:9000"}, embedded.Child{}); err == nil {
		t.Error("started what runs elsewhere")
	}
}
