// Command wardflow is every service and every command of Wardflow in one binary:
// what people type (up, devices, flows, risk, replay, ...) and what a deployment
// runs (capture, fingerprint, anomaly, risk, sink).
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
	"runtime/debug"
	"syscall"
)

// version is set when the binary is linked.
var version = "dev"

func main() { os.Exit(realMain()) }

// gcPercent trades memory for processor time: fold state is a large heap of small
// objects, which the collector would otherwise walk through all the time. GOGC in
// the environment wins.
const gcPercent = 300

// softMemory is from where on the collector works as hard as it must. GOMEMLIMIT wins.
const softMemory = 4 << 30

func realMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	return run(ctx, os.Args[1:], &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()})
}
