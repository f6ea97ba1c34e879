package doctor

import (
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
)

// ClickHouse is what is known of the server.
type ClickHouse struct {
	Address  string
	Database string
	Analyst  string // its name; "" for none
	Found    *store.Inspection
	Plan     store.Migration
	PlanErr  error
	Err      error // it does not answer, or not to us
	Now      time.Time
	Embedded bool
}

// The bounds that servers are judged by. Tests run on 26; what is older than 25
// nobody has tried.
const (
	triedMajor = 25
	manyParts  = 300
)

// JudgeClickHouse judges.
func JudgeClickHouse(c *ClickHouse) []Result {
	f := &findings{area: "ClickHouse"}
	if c.Err != nil {
		f.add(Problem, "reachable", clickHouseAdvice(c.Err), "%v", c.Err)
		return f.list
	}
	f.ok("reachable", "%s as %s", c.Address, c.Found.User)
	if major, _, ok := strings.Cut(c.Found.Version, "."); ok {
		if n, err := strconv.Atoi(major); err == nil && n < triedMajor {
			f.add(Warning, "version", "ClickHouse "+strconv.Itoa(triedMajor)+" or later", "%s is older than any that Wardflow was tried on", c.Found.Version)
		} else {
			f.ok("version", "%s", c.Found.Version)
		}
	}
	judgeSchema(f, c)
	judgeRights(f, c)
	judgeServer(f, c)
	return f.list
}

func clickHouseAdvice(err error) string {
	text := strings.ToLower(err.Error())
	switch store.Code(err) {
	case 516, 194, 192: // AUTHENTICATION_FAILED, REQUIRED_PASSWORD, UNKNOWN_USER
		return "look at clickhouse.user and clickhouse.password_file"
	}
	switch {
	case strings.Contains(text, "x509"), strings.Contains(text, "tls"), strings.Contains(text, "certificate"):
		return "look at clickhouse.tls: enabled, ca and server_name"
	case strings.Contains(text, "handshake"), strings.Contains(text, "unexpected packet"):
		return "clickhouse.addresses wants the port of the native protocol (9000, with TLS 9440), not that of HTTP"
	}
	return "start the server, or look at clickhouse.addresses and at the firewall between"
}

func judgeSchema(f *findings, c *ClickHouse) {
	switch {
	case c.PlanErr != nil:
		f.add(Problem, "schema", "give this account SELECT on system.tables and system.columns", "%v", c.PlanErr)
	case len(c.Plan.Statements) > 0:
		f.add(Problem, "schema", "wardflow prepare", "%d statements are missing in database %s, the first: %s", len(c.Plan.Statements), c.Database, firstLine(c.Plan.Statements[0]))
	default:
		f.ok("schema", "database %s is up to date", c.Database)
	}
	for _, d := range c.Plan.Differences {
		f.add(Warning, "schema", "", "%s", d)
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if r := []rune(line); len(r) > 100 {
		line = string(r[:99]) + "…"
	}
	return line
}

func judgeRights(f *findings, c *ClickHouse) {
	var missing, granted []string
	for _, right := range []string{"SELECT", "INSERT", "CREATE TABLE", "ALTER TABLE"} {
		switch has, told := c.Found.Granted[right]; {
		case told && has:
			granted = append(granted, right)
		case told:
			missing = append(missing, right)
		}
	}
	switch {
	case len(missing) > 0:
		f.add(Problem, "rights", "GRANT "+strings.Join(missing, ", ")+" ON "+c.Database+".* TO "+c.Found.User, "%s may not %s in %s", c.Found.User, strings.Join(missing, ", "), c.Database)
	case len(granted) > 0:
		f.ok("rights", "%s may %s", c.Found.User, strings.Join(granted, ", "))
	default:
		f.add(Skipped, "rights", "", "this server does not tell (CHECK GRANT)")
	}
	if c.Analyst == "" {
		return
	}
	switch {
	case c.Found.Analyst == nil:
		f.add(Skipped, "analyst", "", "this account may not see other accounts")
	case !*c.Found.Analyst:
		f.add(Warning, "analyst", "set clickhouse.analyst_password_file and run wardflow prepare, or grant the role wardflow_analyst to accounts of your own", "there is no account %s: people would ask with the services' account", c.Analyst)
	default:
		f.ok("analyst", "%s is there", c.Analyst)
	}
}

func judgeServer(f *findings, c *ClickHouse) {
	switch off := c.Found.Now.Sub(c.Now); {
	case off.Abs() > time.Minute:
		f.add(Problem, "clock", "synchronise this machine and the server with one source", "the server's is %s off this machine's", apart(off))
	case off.Abs() > 2*time.Second:
		f.add(Warning, "clock", "synchronise this machine and the server with one source", "the server's is %s off this machine's", apart(off))
	default:
		f.ok("clock", "that of this machine")
	}
	for _, d := range c.Found.Disks {
		if float64(d.Free) < 0.1*float64(d.Total) {
			f.add(Warning, "disk "+d.Name, "free some, add a disk, or lower clickhouse.retention.days", "%s: %s free of %s", d.Path, bytesText(d.Free), bytesText(d.Total))
		} else {
			f.ok("disk "+d.Name, "%s free of %s", bytesText(d.Free), bytesText(d.Total))
		}
	}
	if len(c.Found.ReadOnly) > 0 {
		f.add(Problem, "replicas", "look at the Keeper and at SELECT * FROM system.replicas", "%s take no inserts", strings.Join(c.Found.ReadOnly, ", "))
	}
	if c.Found.MostParts > manyParts {
		f.add(Warning, "parts", "raise sink.interval, or give the server faster disks", "%d parts in one partition: merges do not keep up", c.Found.MostParts)
	}
}
