package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// usage watches the memory and processor time of our processes (Linux: /proc).
type usage struct {
	pids map[string]func() int
	peak map[string]uint64  // resident bytes
	cpu  map[string]float64 // seconds
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
	for name, pid := range u.pids {
		dir := "/proc/" + strconv.Itoa(pid()) + "/"
		if b, err := os.ReadFile(dir + "statm"); err == nil {
			if f := strings.Fields(string(b)); len(f) > 1 {
				pages, _ := strconv.ParseUint(f[1], 10, 64)
				u.peak[name] = max(u.peak[name], pages*uint64(os.Getpagesize()))
			}
		}
		b, err := os.ReadFile(dir + "stat")
		if err != nil {
			continue
		}
		// After the command name in parentheses: user and system time are fields 14 and 15 of proc(5), in ticks of 10 ms.
		if i := strings.LastIndexByte(string(b), ')'); i > 0 {
			if f := strings.Fields(string(b[i+1:])); len(f) > 13 {
				user, _ := strconv.ParseFloat(f[11], 64)
				sys, _ := strconv.ParseFloat(f[12], 64)
				u.cpu[name] = (user + sys) / 100
			}
		}
	}
}

func (u *usage) stop() {
	close(u.quit)
	<-u.done
}
