package telemetry

import (
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
)

// samples are what the Go runtime tells of itself, by its own names; see package
// runtime/metrics.
var samples = []string{
	"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/stacks:bytes",
	"/gc/gomemlimit:bytes", "/gc/heap/allocs:bytes", "/gc/heap/allocs:objects", "/gc/heap/goal:bytes",
	"/sched/goroutines:goroutines", "/sched/gomaxprocs:threads", "/gc/gogc:percent", "/gc/cycles/total:gc-cycles",
}

// observeRuntime is a Source.
func observeRuntime(o *Observer) {
	list := make([]metrics.Sample, len(samples))
	for i, name := range samples {
		list[i].Name = name
	}
	metrics.Read(list)
	v := map[string]float64{}
	for _, s := range list {
		if s.Value.Kind() == metrics.KindUint64 {
			v[s.Name] = float64(s.Value.Uint64())
		}
	}
	stack := v["/memory/classes/heap/stacks:bytes"]
	o.Set(GoMemoryUsed, stack, "stack")
	o.Set(GoMemoryUsed, v["/memory/classes/total:bytes"]-v["/memory/classes/heap/released:bytes"]-stack, Other)
	o.Set(GoMemoryLimit, v["/gc/gomemlimit:bytes"])
	o.Set(GoMemoryAllocated, v["/gc/heap/allocs:bytes"])
	o.Set(GoMemoryAllocations, v["/gc/heap/allocs:objects"])
	o.Set(GoMemoryGoal, v["/gc/heap/goal:bytes"])
	o.Set(GoGoroutines, v["/sched/goroutines:goroutines"])
	o.Set(GoProcessorLimit, v["/sched/gomaxprocs:threads"])
	o.Set(GoGC, v["/gc/gogc:percent"])
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err == nil {
		o.Set(ProcessCPU, seconds(u.Utime), "user")
		o.Set(ProcessCPU, seconds(u.Stime), "system")
	}
	if n, ok := resident(); ok {
		o.Set(ProcessMemory, n)
	}
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// resident is the memory that the process has of the machine, in bytes (Linux: the second
// field of proc(5)'s statm, in pages).
func resident() (float64, bool) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseUint(f[1], 10, 64)
	return float64(pages) * float64(os.Getpagesize()), err == nil
}
