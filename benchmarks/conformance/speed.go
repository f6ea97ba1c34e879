package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// program is one that is measured.
type program struct {
	name string
	args func(file, out string) []string
	cpu  []time.Duration // of each run: processor time
	wall []time.Duration
}

// programs are all of them; the first of each pair is the peer.
func programs(binary string) [][2]*program {
	ours := func(more ...string) func(file, out string) []string {
		return func(file, out string) []string {
			return slices.Concat([]string{binary}, dissectFlags[1:], []string{file, "--out", out}, more)
		}
	}
	return [][2]*program{
		{
			{name: "ndpiReader", args: func(file, _ string) []string { return []string{"ndpiReader", "-q", "-i", file} }},
			{name: "wardflow dissect", args: ours()},
		},
		{
			{name: "softflowd", args: func(file, _ string) []string { return []string{"softflowd", "-d", "-r", file, "-n", "127.0.0.1:9999"} }},
			{name: "wardflow dissect --flows-only", args: ours("--flows-only")},
		},
	}
}

// speed measures all programs on the merged file, alternately, each on one core, and
// writes a table.
func speed(o options) error {
	for _, name := range []string{"ndpiReader", "softflowd", "taskset"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not here: it is what we are measured against (Debian, Ubuntu: apt-get install libndpi-bin softflowd util-linux)", name)
		}
	}
	cache, err := os.MkdirTemp(o.cache, "conformance-*")
	if err != nil {
		return fmt.Errorf("make a folder for the merged capture: %w", err)
	}
	defer func() { _ = os.RemoveAll(cache) }()
	var parts []string
	for _, own := range []bool{false, true} {
		file := filepath.Join(cache, "merged.pcap")
		packets, err := merge(o.captures, file, own)
		if err != nil {
			return err
		}
		st, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("look at the merged capture: %w", err)
		}
		pairs := programs(o.binary)
		for round := range o.rounds {
			for _, pair := range pairs {
				for _, p := range pair {
					if err := p.run(file, filepath.Join(cache, "out"), o.core); err != nil {
						return err
					}
					fmt.Fprintf(os.Stderr, "round %d: %s: %v of processor, %v\n", round+1, p.name, p.cpu[round].Round(time.Millisecond), p.wall[round].Round(time.Millisecond))
				}
			}
		}
		parts = append(parts, speedTable(pairs, packets, st.Size(), own))
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make folder for the table: %w", err)
	}
	path := filepath.Join(o.out, o.date+"-conformance-speed.md")
	err = toFile(path, func(w io.Writer) {
		fmt.Fprintf(w, "# Speed on one core, %s\n\n", o.date)
		fmt.Fprintf(w, "%s, commit %s, %s, %d cores shared with whatever else runs; %d rounds, programs in turn, each pinned to core %d with GOMAXPROCS=1. Made by `go tool task conformance:speed`.\n", cpuModel(), commit(), runtime.Version(), runtime.NumCPU(), o.rounds, o.core)
		fmt.Fprintf(w, "`wardflow dissect` encodes and writes every flow and observation, with the flags that make the conformance tables; `ndpiReader -q` and `softflowd -d` write nothing. Rates are of processor time (user and system), the median of the rounds; by the clock they stand beside.\n")
		fmt.Fprintf(w, "The file: all Ethernet captures of %s, one after the other, as often as it takes to have %d packets.\n\n%s", strings.Join(merged, ", "), leastPackets, strings.Join(parts, "\n"))
	})
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the table: %w", err)
	}
	fmt.Println(string(b))
	return nil
}

// run runs the program once, on one core.
func (p *program) run(file, out string, core int) error {
	args := append([]string{"-c", fmt.Sprint(core)}, p.args(file, out)...)
	cmd := exec.CommandContext(context.Background(), "taskset", args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	begun := time.Now()
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, err, tail(b))
	}
	p.wall = append(p.wall, time.Since(begun))
	p.cpu = append(p.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	return nil
}

func tail(b []byte) string {
	if len(b) > 400 {
		b = b[len(b)-400:]
	}
	return strings.TrimSpace(string(b))
}

func median(list []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(list))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func speedTable(pairs [][2]*program, packets int, size int64, own bool) string {
	var b strings.Builder
	name := "Every copy with the same addresses"
	if own {
		name = "Every copy with addresses of its own"
	}
	fmt.Fprintf(&b, "## %s\n\n%d packets, %d MB\n\n| program | packets/s | by the clock | ratio | ratio by the clock | rounds, ms of processor |\n|---|---|---|---|---|---|\n", name, packets, size/1e6)
	rate := func(d time.Duration) float64 { return float64(packets) / max(d.Seconds(), 1e-9) }
	for _, pair := range pairs {
		for i, p := range pair {
			ratio, clock := "", ""
			if i == 1 {
				ratio = fmt.Sprintf("%.2f", rate(median(p.cpu))/rate(median(pair[0].cpu)))
				clock = fmt.Sprintf("%.2f", rate(median(p.wall))/rate(median(pair[0].wall)))
			}
			var rounds []string
			for _, d := range p.cpu {
				rounds = append(rounds, fmt.Sprint(d.Milliseconds()))
			}
			fmt.Fprintf(&b, "| %s | %.0f | %.0f | %s | %s | %s |\n", p.name, rate(median(p.cpu)), rate(median(p.wall)), ratio, clock, strings.Join(rounds, " "))
		}
	}
	return b.String()
}

// cpuModel is the processor's name.
func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, " \t:"))
		}
	}
	return runtime.GOARCH
}

var errUsage = errors.New("usage: conformance [tables|speed] [flags]")
