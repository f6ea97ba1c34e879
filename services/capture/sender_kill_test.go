package capture

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/spool"
	"github.com/wardflow/wardflow/proto"
)

// The child's folder and which of its lives it is.
const (
	childVariable = "WARDFLOW_SENDER_CHILD"
	childLife     = "WARDFLOW_SENDER_LIFE"
	mostKills     = 2
)

// killPoints are the places in Sender and spool where the process is ended, and
// at which passages.
var killPoints = []struct {
	name     string
	passages []int
}{
	{"sender.window.before", []int{1, 4}},
	{"sender.window.after", []int{1, 8}},
	{"sender.append.before", []int{1, 9}},
	{"sender.append.after", []int{1, 9}},
	{"sender.produce.before", []int{1, 20, 45, 70}},
	{"sender.produce.after", []int{1, 20, 45, 70}},
	{"sender.acked", []int{1, 20, 45, 70}},
	{"sender.ack.before", []int{1, 2}},
	{"sender.ack.after", []int{1, 2}},
	{"sender.direct", []int{1}},
	{"spool.segment.made", []int{1, 2}},
	{"spool.segment.begun", []int{1, 2}},
	{"spool.record.middle", []int{1, 7, 20}},
	{"spool.record.written", []int{1, 7, 20}},
	{"spool.ack.before", []int{1, 2, 3}},
	{"spool.ack.after", []int{1, 2, 3}},
	{"spool.delete.before", []int{1, 2}},
	{"spool.delete.after", []int{1, 2}},
}

// TestSenderChild is what the killed process does: records while the broker is
// there, while it is away, while its answers are lost, and while it is back. It
// writes down what the Sender has confirmed, and the broker what it has taken,
// each before the next step.
func TestSenderChild(t *testing.T) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		t.Skip("only as the child of TestSenderKills")
	}
	journal, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, journal: journal, life: os.Getenv(childLife), given: map[int32]uint64{}}
	c.Sender = NewSender(SenderConfig{
		Spool:      spool.Config{Dir: filepath.Join(dir, "spool"), MaxBytes: 1 << 20, SegmentBytes: 1000, Sync: spool.SyncNever},
		Partitions: 2, Connect: c.connect, Wait: 40 * time.Millisecond, Stall: 120 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	c.send(20) // the first ones wait for what an earlier life has left
	c.set("away")
	c.send(20)
	c.set("mute")
	c.until(func(s SenderStats) bool { return s.Reconnects > 0 })
	c.send(10)
	c.set("")
	c.until(func(s SenderStats) bool { return s.State == SendsDirect && s.Spool.Pending == 0 })
	c.send(20)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for reason, n := range c.Stats().Dropped {
		if n > 0 {
			t.Errorf("%d dropped: %s", n, reason)
		}
	}
	if st := c.Stats(); st.Spool.Pending != 0 || st.Drained == 0 || st.Direct == 0 {
		t.Errorf("at the end: %+v", st)
	}
	c.note("end 0 0")
}

type child struct {
	*Sender
	t       *testing.T
	journal *os.File
	life    string
	given   map[int32]uint64

	mu    sync.Mutex
	how   string // "", away, mute
	links []*childLink
}

func (c *child) note(what string) {
	if _, err := fmt.Fprintln(c.journal, what); err != nil {
		c.t.Error(err)
	}
}

func (c *child) send(n int) {
	for i := range n {
		p := int32(i % 2)
		c.given[p]++
		number := c.given[p]
		value := append(binary.BigEndian.AppendUint64(nil, number), c.life...)
		value = append(append(value, ' '), make([]byte, 100)...)
		c.Produce(c.t.Context(), bus.Message{Topic: proto.TopicTraffic, Partition: p, Value: value}, func(err error) {
			if err == nil {
				c.note(fmt.Sprintf("ok %s/%d %d", c.life, p, number))
			}
		})
	}
	if err := c.Flush(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) until(cond func(SenderStats) bool) {
	for deadline := time.Now().Add(20 * time.Second); !cond(c.Stats()); {
		if time.Now().After(deadline) {
			c.t.Fatalf("does not come: %+v", c.Stats())
		}
		pause(5 * time.Millisecond)
	}
}

func (c *child) set(how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.how = how
	for _, l := range c.links {
		l.move()
	}
}

// childLink writes what it takes into the journal.
type childLink struct {
	c       *child
	waiting []func(error)
	deliver []bus.Message
	closed  bool
}

func (c *child) connect(int) (Link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &childLink{c: c}
	c.links = append(c.links, l)
	return l, nil
}

func (l *childLink) Produce(_ context.Context, m bus.Message, done func(error)) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.deliver, l.waiting = append(l.deliver, m), append(l.waiting, done)
	l.move()
}

func (l *childLink) move() {
	for len(l.deliver) > 0 && l.c.how != "away" && !l.closed {
		m, done := l.deliver[0], l.waiting[0]
		l.deliver, l.waiting = l.deliver[1:], l.waiting[1:]
		life, _, _ := strings.Cut(string(m.Value[8:]), " ")
		l.c.note(fmt.Sprintf("deliver %s/%d %d", life, m.Partition, binary.BigEndian.Uint64(m.Value)))
		if l.c.how != "mute" {
			go done(nil)
		}
	}
}

func (l *childLink) Close() {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.closed = true
}

// TestSenderKills ends the process at every boundary, several times in a row,
// lets a last one end by itself, and compares what was confirmed with what the
// broker's readers accept.
func TestSenderKills(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary with failpoints and starts it many times")
	}
	binary := filepath.Join(t.TempDir(), "capture.test")
	if out, err := exec.Command("go", "test", "-c", "-tags", "failpoints", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, point := range killPoints {
		for _, passage := range point.passages {
			t.Run(fmt.Sprintf("%s@%d", point.name, passage), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				kills := 0
				for through := false; !through; {
					at := fmt.Sprintf("%s=kill@%d", point.name, passage)
					if kills == mostKills {
						at = ""
					}
					if through = runSenderChild(t, binary, dir, kills, at); !through {
						kills++
					}
				}
				if kills == 0 {
					t.Error("the process was never killed: the failpoint was not passed")
				}
				checkSenderJournal(t, dir)
			})
		}
	}
}

func runSenderChild(t *testing.T, binary, dir string, life int, failpoints string) bool {
	t.Helper()
	cmd := exec.Command(binary, "-test.run", "^TestSenderChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+dir, fmt.Sprintf("%s=life%d", childLife, life), "WARDFLOW_FAILPOINTS="+failpoints)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return true
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL &&
			strings.Contains(string(out), "failpoint s") {
			return false
		}
	}
	t.Fatalf("child: %v\n%s", err, out)
	return false
}

// checkSenderJournal drops repetitions as consumers do, by the highest number of
// each life and partition, and wants every confirmed record accepted, once and in
// order.
func checkSenderJournal(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var confirmed []string
	accepted, highest, end := map[string]bool{}, map[string]uint64{}, false
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var what, who string
		var n uint64
		if _, err := fmt.Sscan(sc.Text(), &what, &who, &n); err != nil {
			t.Fatal(err)
		}
		switch key := fmt.Sprint(who, " ", n); {
		case what == "ok":
			confirmed = append(confirmed, key)
		case what == "end":
			end = true
		case n > highest[who]:
			highest[who] = n
			accepted[key] = true
		}
	}
	if !end || len(confirmed) < 70 {
		t.Errorf("%d records were confirmed; ended: %v", len(confirmed), end)
	}
	for _, key := range confirmed {
		if !accepted[key] {
			t.Errorf("%s was confirmed, and never accepted in its order", key)
		}
	}
}
