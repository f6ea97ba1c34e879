package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

type sensorsConfigureCmd struct {
	Name     string   `arg:"" optional:"" help:"The sensor; none with --all."`
	Settings []string `arg:"" optional:"" name:"key=value" help:"What is to change: interfaces, filter, home, workers, active_timeout."`
	Site     string   `required:"" placeholder:"SITE" help:"Its site."`
	All      bool     `help:"All sensors of the site; what is said to one of them wins over it."`
	Forget   []string `placeholder:"KEY" help:"Say nothing about this any more: it is as the sensor's own file says. May be repeated."`
}

// Help is shown by --help.
func (sensorsConfigureCmd) Help() string {
	return `Changes what a sensor captures, over what its own file says. What is not named stays as it was said before. Each change
has a version, which counts up within the site; ` + "`wardflow sensors`" + ` shows which one a sensor has in force, and why it could
not use the latest, if so: then the one before stays. Sensors look every ten seconds, keep the last good one on their
disk, and start with it when the brokers are away.

    interfaces=eth1,eth2    what it listens on
    filter=EXPR             take only what this is true of; filter= takes everything
    home=CIDR,CIDR          what is inside
    workers=N               that share the packets
    active_timeout=60s      a flow that goes on is told in parts as long as this

Examples:

    wardflow sensors configure tap-1 --site st-alban interfaces=eth1,eth2 workers=4
    wardflow sensors configure tap-1 --site st-alban filter='not (host 10.1.2.3 and port 9092)'
    wardflow sensors configure tap-1 --site st-alban --forget filter
    wardflow sensors configure --all --site st-alban home=10.0.0.0/8,172.16.0.0/12`
}

// Run publishes the change.
func (c *sensorsConfigureCmd) Run(ctx context.Context, g *globals, io *streams) error {
	id, settings, err := c.target()
	if err != nil {
		return err
	}
	_, e, err := g.centre(io)
	if err != nil {
		return err
	}
	reg, err := readRegister(ctx, e.Kafka)
	if err != nil {
		return err
	}
	next, err := changed(reg.configs[id], settings, c.Forget)
	if err != nil {
		return usageError{err}
	}
	next.Site, next.Sensor, next.Version = id.site, id.name, reg.version(id.site)+1
	key := "sensor/" + id.site
	if id.name != "" {
		key = "sensor/" + proto.SensorKey(id.site, id.name)
	}
	if err := publishControl(ctx, e.Kafka, key, &proto.Control{Kind: proto.ControlSensor, Sensor: &next}); err != nil {
		return err
	}
	who := "sensor " + id.name
	if id.name == "" {
		who = "all sensors"
	} else if r, ok := reg.enrolled[id]; !ok || r.Revoked {
		io.note("No sensor %s of site %s is enrolled; if it is another name that you mean, correct it.", id.name, id.site)
	}
	io.note("Version %d for %s of site %s: `wardflow sensors` shows when it is in force.", next.Version, who, id.site)
	return nil
}

// target tells who is meant, and what is to change.
func (c *sensorsConfigureCmd) target() (id sensorID, settings []string, err error) {
	id, settings = sensorID{c.Site, c.Name}, c.Settings
	if strings.Contains(id.name, "=") { // it is a setting
		id.name, settings = "", append([]string{id.name}, settings...)
	}
	switch {
	case c.All && id.name != "":
		return id, nil, usagef("%s and --all: say one of them", id.name)
	case !c.All && id.name == "":
		return id, nil, usagef("which sensor? Name it before the settings, or say --all")
	}
	named := id
	if c.All {
		named.name = "all" // only the site has to be good
	}
	if err := named.check(); err != nil {
		return id, nil, err
	}
	if len(settings) == 0 && len(c.Forget) == 0 {
		return id, nil, usagef("nothing is to change: name settings as KEY=VALUE, or --forget KEY")
	}
	return id, settings, nil
}

// changed is a configuration with settings changed and forgotten, checked as far
// as can be from here.
func changed(c proto.SensorConfig, settings, forget []string) (proto.SensorConfig, error) {
	for _, key := range forget {
		if err := set(&c, key, "", true); err != nil {
			return c, fmt.Errorf("--forget: %w", err)
		}
	}
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return c, fmt.Errorf("%q: want KEY=VALUE", s)
		}
		if err := set(&c, key, value, false); err != nil {
			return c, err
		}
	}
	if p := config.ValidateCIDRs("home", c.Home); len(p) > 0 {
		return c, p
	}
	// The sensor checks it again, with the interfaces that it has.
	if _, err := (capture.LiveConfig{Interfaces: []string{"eth0"}}).With(c); err != nil {
		return c, err
	}
	return c, nil
}

// set changes one setting. Forgotten, or empty where emptiness means nothing, it is unset.
func set(c *proto.SensorConfig, key, value string, forget bool) (err error) {
	list := func() []string {
		if value == "" {
			return nil
		}
		l := strings.Split(value, ",")
		for i := range l {
			l[i] = strings.TrimSpace(l[i])
		}
		return l
	}
	switch key {
	case "interfaces":
		if c.Interfaces = list(); slices.ContainsFunc(c.Interfaces, func(n string) bool { return !interfaceName(n) }) {
			return fmt.Errorf("interfaces: %q: want names as `ip link` shows them, with commas between", value)
		}
	case "filter":
		if c.Filter = nil; !forget {
			c.Filter = &value
		}
	case "home":
		c.Home = list()
	case "workers":
		c.Workers = 0
		if value != "" {
			if c.Workers, err = strconv.Atoi(value); err != nil || c.Workers < 1 {
				return fmt.Errorf("workers: %q: want a whole number, 1 or more", value)
			}
		}
	case "active_timeout":
		c.ActiveTimeout = 0
		if value != "" {
			d, err := time.ParseDuration(value)
			if err != nil || d < time.Second || d > time.Hour {
				return fmt.Errorf("active_timeout: %q: want 1s to 1h", value)
			}
			c.ActiveTimeout = int64(d / time.Second)
		}
	default:
		return fmt.Errorf("%q is no setting: want interfaces, filter, home, workers or active_timeout", key)
	}
	return nil
}

// interfaceName wants what Linux takes for a name: up to 15 bytes, no slash, no space.
func interfaceName(n string) bool {
	return n != "" && len(n) <= 15 && n != "." && n != ".." && !strings.ContainsAny(n, "/ \t\n:")
}
