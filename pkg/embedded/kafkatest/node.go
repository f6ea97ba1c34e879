package kafkatest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout bounds an orderly shutdown; after it the node is killed.
const stopTimeout = 30 * time.Second

// tailLines is how much of a node's log goes into an error.
const tailLines = 40

// started is what kafka.server.KafkaRaftServer logs once the broker is
// registered, unfenced and listening.
const started = "Kafka Server started"

// Node is one Java process, broker and controller in one.
type Node struct {
	ID int

	cluster                      *Cluster
	dir                          string
	client, internal, controller int // ports on 127.0.0.1

	mu      sync.Mutex
	process *os.Process   // nil when not running
	exited  chan struct{} // closed once the process is reaped; nil when not running
	tail    []string
}

// Addr is the client address, host:port; it outlives restarts.
func (n *Node) Addr() string { return address(n.client) }

// PID is the process's id, 0 when it does not run.
func (n *Node) PID() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return 0
	}
	return n.process.Pid
}

// Stop asks for an orderly shutdown and waits for it.
func (n *Node) Stop() error {
	process, exited := n.running()
	if process == nil {
		return nil
	}
	if err := process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop Kafka node %d: %w", n.ID, err)
	}
	select {
	case <-exited:
		return nil
	case <-time.After(stopTimeout):
		n.Kill9()
		return fmt.Errorf("stop Kafka node %d: still there after %s, killed; its log ends:\n%s", n.ID, stopTimeout, n.logTail())
	}
}

// Kill9 kills the process and waits until it is gone; harmless when it is.
func (n *Node) Kill9() {
	process, exited := n.running()
	if process == nil {
		return
	}
	// The only error is that it has ended already.
	_ = process.Kill()
	<-exited
}

// Restart starts the node on its own data and ports and waits until it serves;
// nothing happens when it runs.
func (n *Node) Restart() error {
	if process, _ := n.running(); process != nil {
		return nil
	}
	return n.start(context.Background())
}

func (n *Node) running() (*os.Process, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process, n.exited
}

// format writes the node's settings and has StorageTool lay out its data folder.
func (n *Node) format(ctx context.Context) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return fmt.Errorf("make Kafka's folder: %w", err)
	}
	files := map[string]string{"server.properties": n.properties(), "log4j2.properties": logSettings}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write Kafka's settings: %w", err)
		}
	}
	args := []string{"kafka.tools.StorageTool", "format", "--cluster-id=" + n.cluster.id, // an id may begin with a dash
		"--config", "server.properties"}
	if scram := n.cluster.opts.scram(); scram != "" {
		args = append(args, "--add-scram", scram)
	}
	cmd, err := n.java(args...)
	if err != nil {
		return err
	}
	out, err := runBounded(ctx, cmd)
	if err != nil {
		return fmt.Errorf("format Kafka node %d: %w\n%s", n.ID, err, out)
	}
	return nil
}

// runBounded runs cmd, killed when ctx or startTimeout ends it.
func runBounded(ctx context.Context, cmd *exec.Cmd) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	return out.String(), err
}

// start runs kafka.Kafka and returns once it serves.
func (n *Node) start(ctx context.Context) error {
	cmd, err := n.java("kafka.Kafka", "server.properties")
	if err != nil {
		return err
	}
	serving := make(chan struct{})
	exited := make(chan struct{})
	launched := make(chan error, 1)
	// The kernel ends the child when the thread that started it ends, so that no
	// broker outlives a killed test; hence one thread for the process's life.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		n.supervise(cmd, serving, exited, launched)
	}()
	if err := <-launched; err != nil {
		return fmt.Errorf("start Kafka node %d: %w", n.ID, err)
	}

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-serving:
		return nil
	case <-exited:
		return fmt.Errorf("start Kafka node %d: it ended; its log ends:\n%s", n.ID, n.logTail())
	case <-ctx.Done():
		n.Kill9()
		return fmt.Errorf("start Kafka node %d: %w; its log ends:\n%s", n.ID, ctx.Err(), n.logTail())
	}
}

// supervise starts cmd, reads its log to the end and reaps it.
func (n *Node) supervise(cmd *exec.Cmd, serving chan<- struct{}, exited chan struct{}, launched chan<- error) {
	log, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err == nil {
		n.set(cmd.Process, exited)
	}
	launched <- err
	if err != nil {
		return
	}
	n.readLog(log, serving)
	// How it ended is in the log; a killed process is no error here.
	_ = cmd.Wait()
	n.set(nil, nil)
}

func (n *Node) set(process *os.Process, exited chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process, n.exited = process, exited
}

// readLog keeps the last lines and closes serving at the line that says so.
func (n *Node) readLog(log io.Reader, serving chan<- struct{}) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		n.mu.Lock()
		n.tail = append(n.tail, line)
		if len(n.tail) > tailLines {
			n.tail = n.tail[1:]
		}
		n.mu.Unlock()
		if serving != nil && strings.Contains(line, started) {
			close(serving)
			serving = nil
		}
	}
	// A line over 1 MiB ends the scanner; the pipe must be drained all the same,
	// or the broker blocks on its own log.
	_, _ = io.Copy(io.Discard, log)
}

func (n *Node) logTail() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.tail, "\n")
}

// java prepares a Java process in the node's folder. C1 alone and the serial
// collector start fastest and leave the second core to the test.
func (n *Node) java(args ...string) (*exec.Cmd, error) {
	libs, err := libsDir()
	if err != nil {
		return nil, err
	}
	heap := "-Xmx512m"
	if len(n.cluster.Nodes) > 1 {
		heap = "-Xmx256m" // several on a small machine, beside all that is tested
	}
	cmd := exec.Command("java", append([]string{
		heap, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=log4j2.properties", "-cp", filepath.Join(libs, "*"),
	}, args...)...)
	cmd.Dir = n.dir
	cmd.SysProcAttr = dieWithParent()
	return cmd, nil
}
