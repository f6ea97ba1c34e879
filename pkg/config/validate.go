package config

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// Validate gives every problem at once, each with its path; nil when there is none.
func (c *Config) Validate() Problems {
	var p Problems
	checkName(&p, "site", c.Site)
	if c.Site == proto.CanarySite {
		p.add("site", "", "is %q, which is reserved for the flows that Wardflow sends through itself; give it another name", c.Site)
	}
	checkName(&p, "sensor", c.Sensor)
	if c.DataDir == "" {
		p.add("data_dir", "", "is empty; give a folder, for example .wardflow")
	}
	oneOf(&p, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(&p, "log.format", c.Log.Format, "text", "json")
	kafka := c.Kafka
	if len(kafka.Brokers) == 0 {
		kafka.Brokers = bus.Default().Brokers // the embedded one will be meant
	}
	for _, err := range unjoin(kafka.Validate("kafka")) {
		p = append(p, problem("", err))
	}
	p = append(p, c.ClickHouse.validate()...)
	p = append(p, c.Embedded.validate()...)
	p = append(p, c.Capture.validate()...)
	p = append(p, c.Spool.validate()...)
	p = append(p, c.Sensors.validate()...)
	between(&p, "fold.interval", c.Fold.Interval, 10*time.Millisecond, 10*time.Second)
	between(&p, "fold.gate_wait", c.Fold.GateWait, time.Second, 24*time.Hour)
	least(&p, "fold.max_entries", int64(c.Fold.MaxEntries), 1000)
	least(&p, "fold.cache_bytes", int64(c.Fold.CacheBytes), 1<<20)
	if c.Fold.BlockCache != 0 {
		least(&p, "fold.block_cache_bytes", c.Fold.BlockCache, 16<<20)
	}
	if c.Sink.BatchRows < 1 || c.Sink.BatchRows > 1_000_000 {
		p.add("sink.batch_rows", "", "is %d; want 1 to 1000000", c.Sink.BatchRows)
	}
	between(&p, "sink.interval", c.Sink.Interval, 10*time.Millisecond, time.Minute)
	for _, err := range unjoin(c.Telemetry.Validate("telemetry")) {
		p = append(p, problem("", err))
	}
	for _, site := range sortedKeys(c.Policy) {
		v := c.Policy[site]
		checkName(&p, "policy", site)
		p = append(p, v.validate("policy."+site)...)
	}
	return p
}

func (c *ClickHouse) validate() Problems {
	var p Problems
	conf := c.Config
	if len(conf.Addresses) == 0 {
		conf.Addresses = store.Default().Addresses // the embedded one will be meant
	}
	for _, err := range unjoin(conf.Validate()) {
		p = append(p, problem("clickhouse.", err))
	}
	checkSecret(&p, "clickhouse.password_file", c.PasswordFile, c.Password)
	checkSecret(&p, "clickhouse.analyst_password_file", c.AnalystPasswordFile, c.Analyst.Password)
	return p
}

func checkSecret(p *Problems, path, file, value string) {
	if file == "" {
		return
	}
	if value != "" {
		p.add(path, "", "is set, and the password itself as well; set one of them")
	}
	checkFile(p, path, file)
}

func (c *Embedded) validate() Problems {
	var p Problems
	ports := map[int]string{}
	for _, x := range []struct {
		path string
		port int
	}{
		{"embedded.broker_port", c.BrokerPort},
		{"embedded.clickhouse_tcp_port", c.ClickHouseTCPPort},
		{"embedded.clickhouse_http_port", c.ClickHouseHTTPPort},
	} {
		if x.port < 0 || x.port > 65535 {
			p.add(x.path, "", "is %d; want 1 to 65535, or 0 for a free one", x.port)
		}
		if other := ports[x.port]; x.port != 0 && other != "" {
			p.add(x.path, "", "is %d, which %s is too", x.port, other)
		}
		ports[x.port] = x.path
	}
	checkFile(&p, "embedded.clickhouse_server", c.ClickHouseServer)
	checkFile(&p, "embedded.clickhouse_library", c.ClickHouseLibrary)
	least(&p, "embedded.clickhouse_max_memory", c.ClickHouseMaxMemory, 512<<20)
	if c.Partitions < 1 || c.Partitions > 1024 {
		p.add("embedded.partitions", "", "is %d; want 1 to 1024 (the number of lanes)", c.Partitions)
	}
	least(&p, "embedded.max_topic_bytes", c.MaxTopicBytes, 64<<20)
	return p
}

func (p *Policy) validate(at string) Problems {
	var out Problems
	for _, x := range []struct {
		path  string
		value int64
	}{
		{"learning_period_s", p.LearningPeriodS},
		{"silence_min_s", p.SilenceMinS},
		{"missing_after_s", p.MissingAfterS},
		{"port_scan_ports", int64(p.PortScanPorts)},
		{"risk_half_life_s", p.RiskHalfLifeS},
	} {
		if x.value < 0 {
			out.add(at+"."+x.path, "", "is %d; want 1 or more, or 0 for the default", x.value)
		}
	}
	if _, err := p.Proto(""); err != nil {
		out = append(out, problem(at+".", err))
	}
	checkCIDRs(&out, at+".trusted_externals", p.TrustedExternals)
	return out
}

// ValidatePolicy gives every problem of a policy, each with its path below at.
func ValidatePolicy(at string, v Policy) Problems { return v.validate(at) }

// ValidateSite tells what is wrong with a site's name.
func ValidateSite(path, name string) Problems {
	var p Problems
	checkName(&p, path, name)
	return p
}

// ValidateCIDRs gives every problem of a list of CIDRs.
func ValidateCIDRs(path string, list []string) Problems {
	var p Problems
	checkCIDRs(&p, path, list)
	return p
}

// checkName wants what is readable in ids, keys and file names of a sensor or site.
func checkName(p *Problems, path, name string) {
	switch {
	case name == "":
		p.add(path, "", "is empty; give it a name")
	case len(name) > 64:
		p.add(path, "", "%q has %d bytes; want at most 64", name, len(name))
	case strings.TrimSpace(name) != name, strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		p.add(path, "", "%q begins or ends with a space or has characters that do not print", name)
	}
}

func checkCIDRs(p *Problems, path string, list []string) {
	for i, s := range list {
		at := indexed(path, i)
		x, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			p.add(at, "", "%q is no CIDR such as 10.0.0.0/8", s)
		case x != x.Masked():
			p.add(at, "", "%q has bits set after its length; did you mean %s?", s, x.Masked())
		}
	}
}

func checkFile(p *Problems, path, file string) {
	if file == "" {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		p.add(path, "", "%v", err)
		return
	}
	_ = f.Close()
}

func oneOf(p *Problems, path, v string, choices ...string) {
	if !slices.Contains(choices, v) {
		p.add(path, "", "is %q; want one of %s", v, strings.Join(choices, ", "))
	}
}

func between(p *Problems, path string, v, low, high time.Duration) {
	if v < low || v > high {
		p.add(path, "", "is %v; want %v to %v", v, low, high)
	}
}

func least(p *Problems, path string, v, low int64) {
	if v < low {
		p.add(path, "", "is %d; want at least %d", v, low)
	}
}
