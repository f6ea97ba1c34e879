// Package doctor judges whether a machine, its network cards, Kafka and
// ClickHouse are fit for Wardflow, and says what to do where they are not.
//
// Each file has facts, as plain structs that tests fill in, what they are judged
// by, and how they are read from this machine. Reading changes nothing: no
// setting, no topic, no table, no file. Which engines and which interfaces are
// meant is decided by the command, services/wardflow.
package doctor

import (
	"fmt"
	"time"
)

// Status is the verdict of a check.
type Status string

// The verdicts. Only a Problem makes the whole fail.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Problem Status = "problem"
	Skipped Status = "skipped"
)

// Result is one check: what was found, and what to do about it ("" for nothing).
type Result struct {
	Area   string `json:"area"`
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Do     string `json:"do"`
}

// Worst is the verdict over all: problem, warning or ok.
func Worst(results []Result) Status {
	worst := OK
	for _, r := range results {
		switch r.Status {
		case Problem:
			return Problem
		case Warning:
			worst = Warning
		case OK, Skipped:
		}
	}
	return worst
}

// Count gives how many results have a status.
func Count(results []Result, s Status) int {
	n := 0
	for _, r := range results {
		if r.Status == s {
			n++
		}
	}
	return n
}

// findings collects the results of one area.
type findings struct {
	area string
	list []Result
}

func (f *findings) add(s Status, check, do, format string, args ...any) {
	f.list = append(f.list, Result{Area: f.area, Check: check, Status: s, Found: fmt.Sprintf(format, args...), Do: do})
}

func (f *findings) ok(check, format string, args ...any) { f.add(OK, check, "", format, args...) }

// Skip is the result of an area that cannot be looked at.
func Skip(area, check, why, do string) Result {
	return Result{Area: area, Check: check, Status: Skipped, Found: why, Do: do}
}

// bytesText is a number of bytes for people.
func bytesText(n uint64) string {
	switch {
	case n >= 1<<40:
		return fmt.Sprintf("%.1f TiB", float64(n)/(1<<40))
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// apart is a difference of clocks for people.
func apart(d time.Duration) string {
	switch s := d.Seconds(); {
	case d.Abs() < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d.Abs() < 2*time.Minute:
		return fmt.Sprintf("%.1f s", s)
	}
	return d.Round(time.Second).String()
}
