package store

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Column of a table or view. Type, Codec and Default are written as the server
// prints them, since migrations compare them with what it prints.
type Column struct {
	Name    string
	Type    string
	Codec   string // inside CODEC(...); "" for the server's choice
	Default string // a DEFAULT expression
	Comment string
}

// Index is a data-skipping index.
type Index struct {
	Name        string
	Expr        string
	Type        string
	Granularity int
}

// retention classes of tables.
type retention int

const (
	keepForever retention = iota
	keepRaw               // Retention.Days, by site
	keepRollup            // Retention.RollupDays; tables that must tell the present keep all
)

// Table is one table as data; the DDL for a single server and for a cluster
// follow from it.
type Table struct {
	Name        string
	Comment     string
	Columns     []Column
	Indexes     []Index
	PartitionBy string
	OrderBy     string // without parentheses
	Version     string // column of ReplacingMergeTree; "" for MergeTree
	keep        retention
}

// layout is what a server or cluster makes of the tables.
type layout struct {
	database   string
	cluster    string
	replicated bool
	retention  Retention
	fsync      bool
	hours      map[string]string // operating hours
	zone       string
}

func (c *Config) layout() layout {
	return layout{database: c.Database, cluster: c.Cluster, replicated: c.Cluster != "" && !c.Unreplicated, retention: c.Retention, fsync: c.Fsync, hours: c.OperatingHours, zone: c.TimeZone}
}

// local is the name of the table that holds rows: inserts and counts go there.
func (l layout) local(table string) string {
	if l.cluster == "" {
		return table
	}
	return table + "_local"
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// engine of the table that holds rows. The replicated paths name database and
// table, so that two databases on one Keeper stay apart.
func (l layout) engine(t *Table) string {
	kind, args := "MergeTree", []string{}
	if t.Version != "" {
		kind, args = "ReplacingMergeTree", []string{t.Version}
	}
	if l.replicated {
		kind = "Replicated" + kind
		args = append([]string{quote("/clickhouse/tables/{shard}/" + l.database + "/" + l.local(t.Name)), "'{replica}'"}, args...)
	}
	if len(args) == 0 {
		return kind
	}
	return kind + "(" + strings.Join(args, ", ") + ")"
}

func (l layout) ttl(t *Table) string {
	switch t.keep {
	case keepRollup:
		return "kafka_time + toIntervalDay(" + strconv.Itoa(l.retention.RollupDays) + ")"
	case keepRaw:
		days := strconv.Itoa(l.retention.Days)
		if len(l.retention.SiteDays) > 0 {
			var arms []string
			for _, site := range sortedKeys(l.retention.SiteDays) {
				arms = append(arms, "site = "+quote(site)+", "+strconv.Itoa(l.retention.SiteDays[site]))
			}
			days = "multiIf(" + strings.Join(arms, ", ") + ", " + days + ")"
		}
		return "kafka_time + toIntervalDay(" + days + ")"
	}
	return ""
}

// Dedup is how many inserts' tokens a table remembers. A token is needed only
// until its range is committed; an hour of inserts is far more than that.
const dedupWindow = 10000

func (l layout) settings(t *Table) map[string]string {
	// Inserts are many and small; merging them by tens instead of by twos and
	// threes halves the time spent on merges (measured with 1,000 rows an insert).
	s := map[string]string{"index_granularity": "8192", "min_parts_to_merge_at_once": "10"}
	if !l.replicated {
		s["non_replicated_deduplication_window"] = strconv.Itoa(dedupWindow)
	} else {
		s["replicated_deduplication_window"] = strconv.Itoa(dedupWindow)
		s["replicated_deduplication_window_seconds"] = "604800"
	}
	// Whole parts expire at once where every row of a part has the same term:
	// dropping a file is free, rewriting it is not.
	if t.keep == keepRollup || (t.keep == keepRaw && len(l.retention.SiteDays) == 0) {
		s["ttl_only_drop_parts"] = "1"
	}
	if l.fsync {
		s["fsync_after_insert"], s["fsync_part_directory"] = "1", "1"
	}
	return s
}

func (c *Column) ddl() string {
	var b strings.Builder
	b.WriteString("`" + c.Name + "` " + c.Type)
	if c.Default != "" {
		b.WriteString(" DEFAULT " + c.Default)
	}
	if c.Comment != "" {
		b.WriteString(" COMMENT " + quote(c.Comment))
	}
	if c.Codec != "" {
		b.WriteString(" CODEC(" + c.Codec + ")")
	}
	return b.String()
}

func (i *Index) ddl() string {
	return fmt.Sprintf("INDEX %s %s TYPE %s GRANULARITY %d", i.Name, i.Expr, i.Type, i.Granularity)
}

// createTable gives the DDL of the table that holds rows.
func (l layout) createTable(t *Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s.%s\n(\n", l.database, l.local(t.Name))
	var lines []string
	for i := range t.Columns {
		lines = append(lines, "    "+t.Columns[i].ddl())
	}
	for i := range t.Indexes {
		lines = append(lines, "    "+t.Indexes[i].ddl())
	}
	b.WriteString(strings.Join(lines, ",\n") + "\n)\nENGINE = " + l.engine(t))
	if t.PartitionBy != "" {
		b.WriteString("\nPARTITION BY " + t.PartitionBy)
	}
	order := t.OrderBy
	if strings.Contains(order, ",") {
		order = "(" + order + ")"
	}
	b.WriteString("\nORDER BY " + order)
	if ttl := l.ttl(t); ttl != "" {
		b.WriteString("\nTTL " + ttl)
	}
	set := l.settings(t)
	var pairs []string
	for _, k := range sortedKeys(set) {
		pairs = append(pairs, k+" = "+set[k])
	}
	b.WriteString("\nSETTINGS " + strings.Join(pairs, ", ") + "\nCOMMENT " + quote(t.Comment))
	return b.String()
}

// createDistributed gives the table over all shards, for reading only: the lane
// picks the shard that rows are inserted on.
func (l layout) createDistributed(t *Table) string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.%s AS %s.%s\nENGINE = Distributed(%s, %s, %s)\nCOMMENT %s",
		l.database, t.Name, l.database, l.local(t.Name), quote(l.cluster), quote(l.database), quote(l.local(t.Name)), quote(t.Comment))
}

// View is a documented, read-only face of the tables. In SQL, $db is the
// database, $global makes a join's right side be computed once in a cluster, $pattern
// is the operating hours of device d, and $zone the time zone of its days.
type View struct {
	Name    string
	Comment string
	SQL     string
	Columns []Column // names and comments, in order
}

func (l layout) viewSQL(v *View) string {
	global := ""
	if l.cluster != "" {
		global = "GLOBAL "
	}
	return strings.TrimSpace(strings.NewReplacer("$db", l.database, "$global ", global, "$pattern", l.operatingHours(), "$zone", quote(l.zone)).Replace(v.SQL))
}

func (l layout) createView(v *View) string {
	return fmt.Sprintf("CREATE OR REPLACE VIEW %s.%s\nCOMMENT %s\nAS %s", l.database, v.Name, quote(v.Comment), l.viewSQL(v))
}

// ddl gives every statement that builds an empty server of this layout, in order.
func (l layout) ddl() []string {
	out := []string{l.createDatabase()}
	for i := range tables {
		out = append(out, l.createTable(&tables[i]))
		if l.cluster != "" {
			out = append(out, l.createDistributed(&tables[i]))
		}
	}
	for i := range views {
		out = append(out, l.createView(&views[i]))
		out = append(out, l.commentColumns(views[i].Name, views[i].Columns))
	}
	return out
}

func (l layout) createDatabase() string {
	return "CREATE DATABASE IF NOT EXISTS " + l.database + " ENGINE = Atomic"
}

func (l layout) commentColumns(table string, cols []Column) string {
	var steps []string
	for i := range cols {
		steps = append(steps, "COMMENT COLUMN `"+cols[i].Name+"` "+quote(cols[i].Comment))
	}
	return "ALTER TABLE " + l.database + "." + table + " " + strings.Join(steps, ", ")
}

// DDL gives the statements that would build an empty database for cfg, for
// people who want to read or apply them themselves. Shards under Distributed
// tables run in our tests; the ReplicatedMergeTree engines of a cluster that is
// not Unreplicated need a Keeper: a real server parses them in our tests, and
// they have not been run on a live cluster.
func DDL(cfg Config) []string { return cfg.layout().ddl() }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
