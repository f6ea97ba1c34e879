//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Enabled tells whether this binary has failpoints.
const Enabled = true

type point struct {
	action string
	at     int
	passed int
}

var (
	mu     sync.Mutex
	points = parse(os.Getenv("WARDFLOW_FAILPOINTS"))
)

func parse(s string) map[string]*point {
	m := map[string]*point{}
	for part := range strings.SplitSeq(s, ";") {
		name, spec, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			continue
		}
		action, n, _ := strings.Cut(spec, "@")
		at, err := strconv.Atoi(n)
		if err != nil || at < 1 {
			at = 1
		}
		m[name] = &point{action: action, at: at}
	}
	return m
}

func pass(name string) string {
	mu.Lock()
	defer mu.Unlock()
	p := points[name]
	if p == nil {
		return ""
	}
	p.passed++
	if p.passed != p.at {
		return ""
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s at passage %d\n", name, p.action, p.passed)
	return p.action
}

// Hit passes a place where the process may be ended.
func Hit(name string) {
	if pass(name) == "kill" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

// Error passes a place where a call may be made to fail, or the process ended.
func Error(name string) error {
	switch pass(name) {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "error":
		return fmt.Errorf("failpoint %s", name)
	}
	return nil
}
