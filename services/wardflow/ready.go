package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

type readyCmd struct {
	Address string        `placeholder:"HOST:PORT" help:"Where the service tells of itself. Default: telemetry.listen of the configuration."`
	Timeout time.Duration `default:"3s" help:"How long the answer may take."`
}

// Help is shown by --help.
func (readyCmd) Help() string {
	return `Asks a service for /readyz, for health checks of containers and load balancers, which then need no other program. The
service must listen on a port of its own, by telemetry.listen.

Exit status: 0 ready; 1 not ready, or nobody answers; 2 wrong usage.

Examples:
  wardflow ready --address 127.0.0.1:9464`
}

// Run asks once.
func (c *readyCmd) Run(ctx context.Context, g *globals, s *streams) error {
	address := c.Address
	if address == "" {
		l, err := g.load(s)
		if err != nil {
			return err
		}
		address = l.Telemetry.Listen
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" {
		return usagef("telemetry.listen is %q, a port that only the service knows: give it one of its own, or name it by --address", address)
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s: %s", answer.Status, printable(strings.Join(strings.Fields(string(body)), " ")))
	}
	fmt.Fprintln(s.out, "ready")
	return nil
}
