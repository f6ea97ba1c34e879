package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/store"
)

func server(t testing.TB) embeddedtest.Server {
	t.Helper()
	return embeddedtest.ClickHouse(t)
}

func testConfig(t testing.TB) store.Config {
	t.Helper()
	srv := server(t)
	cfg := store.Default()
	cfg.Addresses, cfg.User, cfg.Password, cfg.Database = []string{srv.Addr}, srv.User, srv.Password, srv.Database
	cfg.Analyst.User = srv.AnalystUser
	return cfg
}

func open(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func migrate(t testing.TB, s *store.Store) store.Migration {
	t.Helper()
	m, err := s.Migrate(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// migrated is an empty database of the test's own with the whole schema.
func migrated(t testing.TB) *store.Store {
	t.Helper()
	s := open(t, testConfig(t))
	migrate(t, s)
	return s
}

func exec(t testing.TB, s *store.Store, sql string) {
	t.Helper()
	if err := s.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestMigrateTwiceIsANoOp(t *testing.T) {
	s := open(t, testConfig(t))
	if m := migrate(t, s); len(m.Statements) == 0 || len(m.Differences) != 0 {
		t.Fatalf("first: %d statements, differences %v", len(m.Statements), m.Differences)
	}
	if m := migrate(t, s); len(m.Statements) != 0 || len(m.Differences) != 0 {
		t.Fatalf("second: %q, differences %q", m.Statements, m.Differences)
	}
}

func TestEverythingIsDocumented(t *testing.T) {
	s := migrated(t)
	for _, q := range []string{
		"SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = ''",
		"SELECT table || '.' || name FROM system.columns WHERE database = currentDatabase() AND comment = ''",
	} {
		for _, row := range rows(t, s, q) {
			t.Errorf("no comment: %v", row[0])
		}
	}
}

func TestMigrateCompletesWhatIsThere(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	migrate(t, s)
	db := cfg.Database
	exec(t, s, "INSERT INTO "+db+".flows (site, kafka_offset, kafka_time) VALUES ('a', 7, now())")
	for _, damage := range []string{
		"ALTER TABLE " + db + ".flows DROP COLUMN dst_inside",
		"ALTER TABLE " + db + ".flows DROP COLUMN src_message_gap_ms",
		"ALTER TABLE " + db + ".flows MODIFY TTL kafka_time + toIntervalDay(3)",
		"ALTER TABLE " + db + ".flows MODIFY SETTING non_replicated_deduplication_window = 5",
		"ALTER TABLE " + db + ".flows COMMENT COLUMN part 'wrong'",
		"ALTER TABLE " + db + ".flows MODIFY COLUMN src_bytes UInt64 CODEC(LZ4)",
		"ALTER TABLE " + db + ".flows DROP INDEX by_offset",
		"ALTER TABLE " + db + ".risk MODIFY COMMENT 'wrong'",
		"CREATE OR REPLACE VIEW " + db + ".v_usage AS SELECT 1 AS one",
		"DROP TABLE " + db + ".usage SYNC",
		"DROP VIEW " + db + ".v_flows",
	} {
		exec(t, s, damage)
	}
	m := migrate(t, s)
	all := strings.Join(m.Statements, "\n")
	for _, want := range []string{
		"ADD COLUMN `dst_inside`", "ADD COLUMN `src_message_gap_ms` Map(UInt32, UInt32)", "MODIFY TTL kafka_time + toIntervalDay(30)", "MODIFY SETTING non_replicated_deduplication_window = 10000",
		"COMMENT COLUMN `part`", "MODIFY COLUMN `src_bytes`", "ADD INDEX by_offset", "risk MODIFY COMMENT", "VIEW " + db + ".v_usage", "TABLE IF NOT EXISTS " + db + ".usage", "VIEW " + db + ".v_flows",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("not done: %s", want)
		}
	}
	if len(m.Differences) != 0 {
		t.Errorf("differences: %q", m.Differences)
	}
	if again := migrate(t, s); len(again.Statements) != 0 {
		t.Errorf("second: %q", again.Statements)
	}
	if got := rows(t, s, "SELECT site, kafka_offset, dst_inside FROM flows"); len(got) != 1 || got[0][0] != "a" {
		t.Errorf("rows after migration: %v", got)
	}
	if got := rows(t, s, "SELECT count() FROM schema_migrations WHERE version = 'test' AND statement LIKE '%MODIFY TTL%'"); got[0][0] != uint64(1) {
		t.Errorf("recorded: %v", got)
	}
}

func TestMigrateReportsWhatWouldDestroy(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	migrate(t, s)
	db := cfg.Database
	for _, damage := range []string{
		"ALTER TABLE " + db + ".flows ADD COLUMN mine String",
		"ALTER TABLE " + db + ".flows MODIFY COLUMN part UInt64",
		"DROP TABLE " + db + ".devices SYNC",
		"CREATE TABLE " + db + ".devices (device_id UUID) ENGINE = MergeTree ORDER BY tuple()",
		"ALTER TABLE " + db + ".risk DROP INDEX by_offset",
		"ALTER TABLE " + db + ".risk ADD INDEX by_offset kafka_offset TYPE minmax GRANULARITY 7",
	} {
		exec(t, s, damage)
	}
	// The view over the strange table cannot be made; what is different is told all the same.
	m, err := s.Migrate(context.Background(), "test")
	if err != nil && !strings.Contains(err.Error(), "v_") {
		t.Fatal(err)
	}
	all := strings.Join(m.Differences, "\n")
	for _, want := range []string{"flows.mine is not ours", "flows.part has type UInt64, want UInt32", "devices has engine MergeTree, want ReplacingMergeTree", "devices is ordered by", "index by_offset of risk"} {
		if !strings.Contains(all, want) {
			t.Errorf("not reported: %s\nin: %s", want, all)
		}
	}
	if got := rows(t, s, "SELECT type FROM system.columns WHERE database = currentDatabase() AND table = 'flows' AND name IN ('mine', 'part') ORDER BY name"); len(got) != 2 || got[1][0] != "UInt64" {
		t.Errorf("changed all the same: %v", got)
	}
}

func TestRetentionBySite(t *testing.T) {
	cfg := testConfig(t)
	migrate(t, open(t, cfg))
	cfg.Retention.SiteDays = map[string]int{"ward's": 7, "lab": 90}
	s := open(t, cfg)
	m := migrate(t, s)
	all := strings.Join(m.Statements, "\n")
	if !strings.Contains(all, `MODIFY TTL kafka_time + toIntervalDay(multiIf(site = 'lab', 90, site = 'ward\'s', 7, 30))`) || !strings.Contains(all, "RESET SETTING ttl_only_drop_parts") {
		t.Errorf("statements: %s", all)
	}
	if again := migrate(t, s); len(again.Statements) != 0 {
		t.Errorf("second: %q", again.Statements)
	}
	exec(t, s, "INSERT INTO "+cfg.Database+".flows (site, kafka_time) VALUES ('ward\\'s', now() - toIntervalDay(8)), ('lab', now() - toIntervalDay(8)), ('x', now() - toIntervalDay(31))")
	exec(t, s, "OPTIMIZE TABLE "+cfg.Database+".flows FINAL")
	if got := rows(t, s, "SELECT site FROM flows"); len(got) != 1 || got[0][0] != "lab" {
		t.Errorf("left: %v", got)
	}
}

// The DDL of a cluster cannot run without a Keeper; a real server parses it.
func TestClusterStatementsParse(t *testing.T) {
	s := migrated(t)
	cfg := store.Default()
	cfg.Cluster = "hospital"
	n := 0
	for _, stmt := range store.DDL(cfg) {
		var out string
		for _, row := range rows(t, s, "SELECT formatQuery(?)", stmt) {
			out = fmt.Sprint(row[0])
		}
		if strings.Contains(out, "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/wardflow/devices_local', '{replica}', row_version)") {
			n++
		}
		if strings.Contains(stmt, "CREATE TABLE") && !strings.Contains(out, "Replicated") && !strings.Contains(out, "Distributed('hospital', 'wardflow', '") {
			t.Errorf("neither replicated nor distributed: %s", out)
		}
		if strings.Contains(out, "JOIN") && strings.Count(out, "JOIN") != strings.Count(out, "GLOBAL ") {
			n += strings.Count(out, "GLOBAL NOT IN") // the only other use
		}
	}
	if n == 0 {
		t.Error("the replicated table of devices is missing")
	}
	for _, stmt := range store.AnalystStatements(cfg) {
		rows(t, s, "SELECT formatQuery(?)", stmt)
	}
}

func TestConfigReportsEveryProblem(t *testing.T) {
	if err := new(store.Config).Validate(); err == nil {
		t.Fatal("an empty config is valid")
	}
	ok := store.Default()
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	cfg := store.Default()
	cfg.Addresses = []string{"nowhere", "a:1,b:0"}
	cfg.Database = "My DB"
	cfg.Compression = "rar"
	cfg.MaxConns = 0
	cfg.TLS.Enabled, cfg.TLS.Cert, cfg.TLS.CA = true, "/nonexistent/cert", "/nonexistent/ca"
	cfg.Retention.SiteDays = map[string]int{"x": 0}
	err := cfg.Validate()
	for _, want := range []string{`addresses: 2 shards need cluster`, `addresses[0]: "nowhere"`, `addresses[1]: "b:0"`, "database:", "compression:", "max_conns:", "tls.cert, tls.key", "tls.ca", "retention.site_days.x"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s\nin: %v", want, err)
		}
	}
}

func rows(t testing.TB, s *store.Store, sql string, args ...any) [][]any {
	t.Helper()
	r, err := s.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer func() { _ = r.Close() }()
	var out [][]any
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		out = append(out, v)
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}
