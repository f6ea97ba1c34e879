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
	if _, port, err := net.SplitHostPort(address); err != nil || port == "0" {
		return usagef("telemetry.listen is %q, a port that only the service knows: give it one of its own, or name it by --address", address)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	ready, text, err := askReady(ctx, address)
	if err != nil {
		return err
	}
	if !ready {
		return fmt.Errorf("not ready: %s", text)
	}
	fmt.Fprintln(s.out, "ready")
	return nil
}

// askReady asks whoever listens at address for /readyz, and gives what it said.
// An error means that nobody of ours answers there.
func askReady(ctx context.Context, address string) (ready bool, text string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false, "", fmt.Errorf("ask for readiness: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return false, "", fmt.Errorf("ask for readiness: %w", err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false, "", fmt.Errorf("ask for readiness: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return false, "", fmt.Errorf("read the answer: %w", err)
	}
	text = printable(strings.Join(strings.Fields(string(body)), " "))
	switch answer.StatusCode {
	case http.StatusOK:
		return true, text, nil
	case http.StatusServiceUnavailable:
		return false, text, nil
	}
	return false, "", fmt.Errorf("ask for readiness: %s answers %s: that is no service of ours", address, answer.Status)
}
