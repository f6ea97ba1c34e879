package config

import (
	"errors"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/packet/filter"
)

// Capture is where packets come from, and how they become flows.
type Capture struct {
	Interfaces  []string `yaml:"interfaces"`  // to capture live; their names, as `ip link` shows them
	Filter      string   `yaml:"filter"`      // packet filter expression, as tcpdump's; "" takes everything
	Workers     int      `yaml:"workers"`     // that share the packets; 0: half of the processors, at most 8
	Promiscuous bool     `yaml:"promiscuous"` // also frames for other stations, which a mirror port delivers
	Outgoing    bool     `yaml:"outgoing"`    // also frames that this machine sends
	RingBytes   int64    `yaml:"ring_bytes"`  // memory between kernel and workers, of each interface

	WatchDir    string        `yaml:"watch_dir"`    // folder into which capture files are rotated
	WatchDone   string        `yaml:"watch_done"`   // what becomes of a file that has been read: leave, delete, move (into done/)
	WatchSettle time.Duration `yaml:"watch_settle"` // a file that nobody was seen to close is complete when unchanged for so long

	Home          []string      `yaml:"home"`     // CIDRs that are inside
	KeyFile       string        `yaml:"key_file"` // key of the HMACs; "" derives one per site
	ActiveTimeout time.Duration `yaml:"active_timeout"`
	TCPIdle       time.Duration `yaml:"tcp_idle_timeout"`
	UDPIdle       time.Duration `yaml:"udp_idle_timeout"`
	OtherIdle     time.Duration `yaml:"other_idle_timeout"`
	ClosedIdle    time.Duration `yaml:"closed_idle_timeout"` // after FIN or RST
	MaxFlows      int           `yaml:"max_flows"`           // live at a time
	MaxMemory     int64         `yaml:"max_memory"`          // bytes of the dissectors' streams
}

func defaultCapture() Capture {
	return Capture{
		Promiscuous: true, RingBytes: 64 << 20, WatchDone: "leave", WatchSettle: 10 * time.Second,
		Home: DefaultHome(), ActiveTimeout: time.Minute, TCPIdle: 5 * time.Minute, UDPIdle: time.Minute,
		OtherIdle: 30 * time.Second, ClosedIdle: 5 * time.Second, MaxFlows: 1 << 20, MaxMemory: 128 << 20,
	}
}

func (c *Capture) validate() Problems {
	var p Problems
	for i, name := range c.Interfaces {
		switch {
		case name == "":
			p.add(indexed("capture.interfaces", i), "", "is empty; name an interface, as `ip link` shows it")
		case slices.Index(c.Interfaces, name) != i:
			p.add(indexed("capture.interfaces", i), "", "%s is named twice", name)
		}
	}
	if _, err := filter.Compile(c.Filter, filter.Config{Link: packet.LinkEthernet}); err != nil {
		var e *filter.Error
		if errors.As(err, &e) && e.At < len(e.Expression) {
			p.add("capture.filter", "", "at character %d, before %q: %s", e.At+1, e.Expression[e.At:], e.Reason)
		} else {
			p.add("capture.filter", "", "%v", err)
		}
	}
	if c.Workers < 0 || c.Workers > 64 {
		p.add("capture.workers", "", "is %d; want 1 to 64, or 0 for as many as suit the processors", c.Workers)
	}
	if c.RingBytes < 1<<20 || c.RingBytes > 1<<36 {
		p.add("capture.ring_bytes", "", "is %d; want %d to %d", c.RingBytes, 1<<20, int64(1)<<36)
	}
	oneOf(&p, "capture.watch_done", c.WatchDone, "leave", "delete", "move")
	between(&p, "capture.watch_settle", c.WatchSettle, time.Second, time.Hour)
	if len(c.Home) == 0 {
		p.add("capture.home", "", "is empty, so nothing would be inside; name at least one CIDR")
	}
	checkCIDRs(&p, "capture.home", c.Home)
	checkFile(&p, "capture.key_file", c.KeyFile)
	between(&p, "capture.active_timeout", c.ActiveTimeout, time.Second, time.Hour)
	between(&p, "capture.tcp_idle_timeout", c.TCPIdle, time.Second, 24*time.Hour)
	between(&p, "capture.udp_idle_timeout", c.UDPIdle, time.Second, time.Hour)
	between(&p, "capture.other_idle_timeout", c.OtherIdle, time.Second, time.Hour)
	between(&p, "capture.closed_idle_timeout", c.ClosedIdle, time.Millisecond, time.Hour)
	least(&p, "capture.max_flows", int64(c.MaxFlows), 1000)
	least(&p, "capture.max_memory", c.MaxMemory, 16<<20)
	return p
}
