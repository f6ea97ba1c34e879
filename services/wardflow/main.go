// Command wardflow is every service and every command of Wardflow in one binary:
// what people type (up, devices, flows, risk, replay, ...) and what a deployment
// runs (capture, fingerprint, anomaly, score, sink).
//
// It puts services together and is the only place that may: a service's logic is
// in its own folder under services/, what services share under pkg/. Only here
// may a program exit, and only here is it decided whether broker and ClickHouse
// are embedded.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the binary is linked.
var version = "dev"

func main() { os.Exit(realMain()) }

func realMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()})
}
