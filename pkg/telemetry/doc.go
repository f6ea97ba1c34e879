// Package telemetry is what Wardflow tells of itself: metrics, traces, health,
// and the trace ids in its logs.
//
// Here live the list of every metric (name, unit, kind, labels, help), the list of
// every label with its bound, the handles that code counts with, the exporters
// (Prometheus, OTLP) and the HTTP server of /metrics, /healthz and /readyz. What is
// counted, and when, is decided where it happens; nothing here knows of flows,
// folds or rows. Telemetry that is off is a nil *Telemetry: all of its methods and
// all handles that it gives do nothing then, at the cost of a comparison.
//
// A metric that is not in the list cannot be counted, a label that is not in the
// list cannot be given, and a label's value that looks like an address or an id
// never leaves the process. docs/reference/metrics.md is made from the list: after
// a change run go generate ./pkg/telemetry.
package telemetry

//go:generate go test -run ^TestReference$ -update .
