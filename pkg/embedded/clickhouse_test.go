package embedded_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
)

// sql sends one statement over HTTP and returns the answer, trimmed, and the status code.
func sql(t *testing.T, addr, user, password, query string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // an open connection delays the server's end
	if user != "" {
		req.Header.Set("X-ClickHouse-User", user)
		req.Header.Set("X-ClickHouse-Key", password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func mustSQL(t *testing.T, addr, user, password, query string) string {
	t.Helper()
	code, body := sql(t, addr, user, password, query)
	if code != http.StatusOK {
		t.Fatalf("%s: %d %s", query, code, body)
	}
	return body
}

func TestClickHouseLetsOnlyItsUsersIn(t *testing.T) {
	s := embeddedtest.ClickHouse(t)
	mustSQL(t, s.HTTPAddr, s.User, s.Password, "CREATE TABLE "+s.Database+".t (a Int64) ENGINE = MergeTree ORDER BY a")
	mustSQL(t, s.HTTPAddr, s.User, s.Password, "INSERT INTO "+s.Database+".t SELECT number FROM numbers(10)")

	for _, c := range []struct{ name, user, password, query, want string }{
		{"no user", "", "", "SELECT 1", "USER_SESSION_LIMIT_EXCEEDED"},
		{"default without password", "default", "", "SELECT 1", "USER_SESSION_LIMIT_EXCEEDED"},
		{"default with password", "default", "x", "SELECT 1", "USER_SESSION_LIMIT_EXCEEDED"},
		{"service user, wrong password", s.User, "x", "SELECT 1", "AUTHENTICATION_FAILED"},
		{"service user without password", s.User, "", "SELECT 1", "AUTHENTICATION_FAILED"},
		{"analyst inserts", s.AnalystUser, s.AnalystPassword, "INSERT INTO " + s.Database + ".t VALUES (1)", "ACCESS_DENIED"},
		{"analyst drops", s.AnalystUser, s.AnalystPassword, "DROP TABLE " + s.Database + ".t", "ACCESS_DENIED"},
		{"analyst makes a table", s.AnalystUser, s.AnalystPassword, "CREATE TABLE " + s.Database + ".u (a Int64) ENGINE = Memory", "ACCESS_DENIED"},
		{"analyst reads a file", s.AnalystUser, s.AnalystPassword, "SELECT * FROM file('/etc/passwd', LineAsString)", "ACCESS_DENIED"},
		{"analyst reads a URL", s.AnalystUser, s.AnalystPassword, "SELECT * FROM url('http://" + s.HTTPAddr + "', LineAsString)", "ACCESS_DENIED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := sql(t, s.HTTPAddr, c.user, c.password, c.query)
			if code == http.StatusOK || !strings.Contains(body, c.want) {
				t.Errorf("got %d %s, want %s", code, body, c.want)
			}
		})
	}
	if got := mustSQL(t, s.HTTPAddr, s.AnalystUser, s.AnalystPassword, "SELECT count() FROM "+s.Database+".t"); got != "10" {
		t.Errorf("analyst counts %s rows, want 10", got)
	}
}

func TestClickHouseIsBounded(t *testing.T) {
	s := embeddedtest.ClickHouse(t)
	for query, want := range map[string]string{
		"SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'":           "2147483648",
		"SELECT value FROM system.server_settings WHERE name = 'mark_cache_size'":                   "67108864",
		"SELECT value FROM system.server_settings WHERE name = 'background_pool_size'":              "2",
		"SELECT count() FROM system.tables WHERE database = 'system' AND engine LIKE '%MergeTree'":  "0",
		"SELECT quota_name, max_queries FROM system.quota_limits WHERE quota_name = 'analyst'":      "analyst\t3600",
		"SELECT value FROM system.settings WHERE name = 'async_insert'":                             "0",
		"SELECT engine FROM system.databases WHERE name = '" + s.Database + "'":                     "Atomic",
		"SELECT arrayStringConcat(arraySort(groupArray(name)), ' ') FROM system.users WHERE 1 = 1":  "analyst default wardflow",
		"SELECT granted_role_name FROM system.role_grants WHERE user_name = 'analyst'":              "analyst",
		"SELECT count() FROM system.settings_profile_elements WHERE profile_name = 'local_session'": "2",
	} {
		if got := mustSQL(t, s.HTTPAddr, s.User, s.Password, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// clickHouse starts a server of the test's own, which it may kill.
func clickHouse(t *testing.T) (*embedded.RunFile, *embedded.Process) {
	t.Helper()
	dir := t.TempDir()
	run, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := embedded.StartClickHouse(t.Context(), run.ClickHouseConfig(filepath.Join(dir, "clickhouse")), embedded.Child{Command: embeddedtest.Command()})
	if errors.Is(err, embedded.ErrNoClickHouse) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return run, p
}

// await polls until ok, or fails the test after 15 s.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within 15 s", what)
		case <-tick.C:
		}
	}
}

func TestClickHouseSurvivesKill(t *testing.T) {
	run, p := clickHouse(t)
	addr, user, password := run.ClickHouse.HTTPAddress(), run.ClickHouse.User, run.ClickHouse.Password
	mustSQL(t, addr, user, password, "CREATE TABLE wardflow.t (a Int64) ENGINE = MergeTree ORDER BY a")
	mustSQL(t, addr, user, password, "INSERT INTO wardflow.t SELECT number FROM numbers(1000)")
	if rss, err := p.ResidentBytes(); err != nil || rss < 50<<20 || rss > 1<<30 {
		t.Errorf("resident: %d bytes, %v", rss, err)
	} else {
		t.Logf("resident: %d MiB", rss>>20)
	}
	for i := 1; i <= 2; i++ {
		before := p.PID()
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		await(t, "restart", func() bool { return p.Up() && p.PID() != before && p.Restarts() == i })
		t.Logf("answered again after %s", time.Since(begun).Round(time.Millisecond))
		if got := mustSQL(t, addr, user, password, "SELECT count(), sum(a) FROM wardflow.t"); got != "1000\t499500" {
			t.Errorf("after kill %d: %q", i, got)
		}
	}
	begun := time.Now()
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped in %s", time.Since(begun).Round(time.Millisecond))
	log, err := os.ReadFile(filepath.Join(filepath.Dir(p.LogFile()), "clickhouse.log"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "WARN") {
		t.Errorf("the clean stop was none:\n%s", log)
	}
	if strings.Contains(string(log), password) {
		t.Error("the log holds the password")
	}
}

func TestClickHouseClusterOfTwo(t *testing.T) {
	dir := t.TempDir()
	cluster := embedded.ClickHouseCluster{Name: "wardflow"}
	var configs []embedded.ClickHouseConfig
	for i := range 2 {
		run, err := embedded.EnsureRunFile(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		c := run.ClickHouseConfig(filepath.Join(dir, strconv.Itoa(i), "clickhouse"))
		configs = append(configs, c)
		cluster.Shards = append(cluster.Shards, embedded.ClickHouseShard{Host: "127.0.0.1", TCPPort: c.TCPPort, User: c.User, Password: c.Password})
	}
	for i, c := range configs {
		mine := cluster
		mine.Shard = strconv.Itoa(i + 1)
		c.Cluster = &mine
		p, err := embedded.StartClickHouse(t.Context(), c, embedded.Child{Command: embeddedtest.Command()})
		if errors.Is(err, embedded.ErrNoClickHouse) && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	addr := func(i int) string { return "127.0.0.1:" + strconv.Itoa(configs[i].HTTPPort) }
	for i, c := range configs {
		for _, q := range []string{
			"CREATE TABLE wardflow.local (a Int64) ENGINE = MergeTree ORDER BY a",
			"INSERT INTO wardflow.local SELECT number FROM numbers(" + strconv.Itoa(10*(i+1)) + ")",
			"CREATE TABLE wardflow.every AS wardflow.local ENGINE = Distributed(wardflow, wardflow, local)",
		} {
			mustSQL(t, addr(i), c.User, c.Password, q)
		}
	}
	for i, c := range configs {
		if got := mustSQL(t, addr(i), c.User, c.Password, "SELECT count() FROM wardflow.every"); got != "30" {
			t.Errorf("server %d counts %s over both, want 30", i, got)
		}
		if got := mustSQL(t, addr(i), c.User, c.Password, "SELECT getMacro('shard')"); got != strconv.Itoa(i+1) {
			t.Errorf("server %d is shard %s", i, got)
		}
	}
	if t.Failed() {
		return
	}
	if got := mustSQL(t, addr(0), configs[0].User, configs[0].Password, "SELECT count() FROM clusterAllReplicas('wardflow', wardflow.local) GROUP BY hostName(), tcpPort() ORDER BY 1"); got != "10\n20" {
		t.Errorf("rows of each server: %q", got)
	}
}

// A clickhouse binary is not at hand; a script shows what one would be given.
func TestClickHouseBinary(t *testing.T) {
	dir := t.TempDir()
	run, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := run.ClickHouseConfig(filepath.Join(dir, "clickhouse"))
	c.Server = filepath.Join(dir, "clickhouse.sh")
	c.Cluster = &embedded.ClickHouseCluster{
		Name: "wardflow", Shard: "2",
		Shards: []embedded.ClickHouseShard{{Host: "a", TCPPort: 1, User: "u", Password: "p&<"}, {Host: "b", TCPPort: 2, User: "u", Password: "q"}},
	}
	args := filepath.Join(dir, "args")
	script := "#!/bin/sh\necho \"$CLICKHOUSE_WATCHDOG_ENABLE $@\" > " + args + ".tmp && mv " + args + ".tmp " + args + "\nexec sleep 1000\n"
	if err := os.WriteFile(c.Server, []byte(script), 0o700); err != nil { //nolint:gosec // it stands for a program
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- embedded.ServeClickHouse(ctx, c) }()
	await(t, "start of the script", func() bool { _, err := os.Stat(args); return err == nil })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	config, users := filepath.Join(c.Dir, "config", "config.xml"), filepath.Join(c.Dir, "config", "users.xml")
	if got, want := read(t, args), "0 server --config-file="+config+"\n"; got != want {
		t.Errorf("called with %q, want %q", got, want)
	}
	for _, path := range []string{config, users} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	if text := read(t, users); strings.Contains(text, "no_password") || strings.Contains(text, c.Password) {
		t.Errorf("users.xml lets in without password or shows one:\n%s", text)
	}
	for _, want := range []string{"<password>p&amp;&lt;</password>", "<shard>2</shard>", "<local_directory><path>" + filepath.Join(c.Dir, "data", "access"), "<max_server_memory_usage>2147483648<"} {
		if !strings.Contains(read(t, config), want) {
			t.Errorf("config.xml lacks %s", want)
		}
	}
	for _, bad := range []string{"a b", "a<b", "1a", "a-b", "a`b"} {
		c.Database = bad
		if err := embedded.ServeClickHouse(t.Context(), c); err == nil || !strings.Contains(err.Error(), strconv.Quote(bad)) {
			t.Errorf("database %q: %v", bad, err)
		}
	}
}
