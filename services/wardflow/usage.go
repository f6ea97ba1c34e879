package main

import (
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// usage watches the memory and processor time of our processes (Linux: /proc).
type usage struct {
	pids map[string]func() int
	peak map[string]uint64  // resident bytes
	cpu  map[string]float64 // seconds
	mu   sync.Mutex
	quit chan struct{}
	done chan struct{}
}

func watchUsage(e *engines) *usage {
	u := &usage{pids: map[string]func() int{"services": os.Getpid}, peak: map[string]uint64{}, cpu: map[string]float64{}, quit: make(chan struct{}), done: make(chan struct{})}
	for _, p := range e.processes {
		u.pids[p.name] = p.PID
	}
	go func() {
		defer close(u.done)
		for {
			u.look()
			select {
			case <-u.quit:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	return u
}

func (u *usage) look() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name, pid := range u.pids {
		if memory, cpu, ok := processUsage(pid()); ok {
			u.peak[name] = max(u.peak[name], memory)
			u.cpu[name] = cpu
		}
	}
}

// processUsage is the resident memory of a process, bytes, and the processor time
// that it has had, seconds; false where the process or /proc is not there.
func processUsage(pid int) (memory uint64, cpu float64, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	if b, err := os.ReadFile(dir + "statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			pages, _ := strconv.ParseUint(f[1], 10, 64)
			memory = pages * uint64(os.Getpagesize())
		}
	}
	b, err := os.ReadFile(dir + "stat")
	if err != nil {
		return 0, 0, false
	}
	// After the command name in parentheses: user and system time are fields 14 and 15 of proc(5), in ticks of 10 ms.
	i := strings.LastIndexByte(string(b), ')')
	if i < 0 {
		return 0, 0, false
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) <= 13 {
		return 0, 0, false
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	sys, _ := strconv.ParseFloat(f[12], 64)
	return memory, (user + sys) / 100, true
}

// sofar is the processor time by process as last seen, seconds.
func (u *usage) sofar() map[string]float64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.cpu)
}

func (u *usage) stop() {
	close(u.quit)
	<-u.done
}
