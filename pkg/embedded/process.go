package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Command is how a child is started: by default our own binary with Args. Args never hold secrets.
type Command struct {
	Path string   // "" is our own binary
	Args []string // without the program name
	Env  []string // added to our own environment
}

// ProcessConfig describes one supervised child.
type ProcessConfig struct {
	Name      string
	Command   Command
	Handshake []byte // the first line of the child's standard input; secrets travel here
	LogFile   string // standard output and error go here
	LogBytes  int64  // most that LogFile and its predecessor take together; default 16 MiB

	Ready        func(context.Context) error // nil once the child answers; called until it does
	ReadyTimeout time.Duration               // default 15 s
	StopTimeout  time.Duration               // from SIGTERM to SIGKILL; default 10 s
	BackoffMin   time.Duration               // pause before the first restart; doubles up to BackoffMax
	BackoffMax   time.Duration
	OnExit       func(error) // called when the child ended unasked; may be nil
	EndItself    bool        // see Child
}

func (c *ProcessConfig) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.ReadyTimeout, 15*time.Second)
	def(&c.StopTimeout, 10*time.Second)
	def(&c.BackoffMin, 200*time.Millisecond)
	def(&c.BackoffMax, 10*time.Second)
	if c.LogBytes <= 0 {
		c.LogBytes = 16 << 20
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
}

const (
	readyPoll = 20 * time.Millisecond
	// A child that ran this long did work: its next restart is quick again.
	steadyAfter = time.Second
	// The first start is tried this often, since a predecessor that was killed may still hold the port or the lock.
	firstStarts = 4
)

// Process is a child that is kept running: it is restarted with growing pauses when it dies, and it dies with us.
type Process struct {
	cfg  ProcessConfig
	log  *boundedLog
	stop chan struct{}
	done chan struct{}
	once sync.Once

	up       atomic.Bool
	pid      atomic.Int64
	restarts atomic.Int64
	ready    chan error // the outcome of the first start
}

// StartProcess starts the child and returns when it answers. It fails when the child keeps ending before it ever
// answered, or when it does not answer within ReadyTimeout; the error carries the end of the child's log. ctx bounds
// the start only: the child runs until Stop.
func StartProcess(ctx context.Context, c ProcessConfig) (*Process, error) {
	c.setDefaults()
	log, err := openBoundedLog(c.LogFile, c.LogBytes)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", c.Name, err)
	}
	p := &Process{
		cfg: c, log: log,
		stop: make(chan struct{}), done: make(chan struct{}), ready: make(chan error, 1),
	}
	go p.supervise()

	ctx, cancel := context.WithTimeout(ctx, c.ReadyTimeout)
	defer cancel()
	select {
	case err = <-p.ready:
	case <-ctx.Done():
		err = fmt.Errorf("did not answer within %s: %w", c.ReadyTimeout, ctx.Err())
	}
	if err == nil {
		return p, nil
	}
	stopErr := p.Stop()
	return nil, errors.Join(fmt.Errorf("start %s: %w\nend of %s:\n%s", c.Name, err, c.LogFile, log.tail(2048)), stopErr)
}

// PID is the child's process id, 0 while there is none.
func (p *Process) PID() int { return int(p.pid.Load()) }

// LogFile is where the child's output goes.
func (p *Process) LogFile() string { return p.cfg.LogFile }

// Up tells whether the child answered since it was last started.
func (p *Process) Up() bool { return p.up.Load() }

// Restarts counts how often the child was started again.
func (p *Process) Restarts() int { return int(p.restarts.Load()) }

// Kill sends SIGKILL to the child that runs now; the supervisor then restarts it.
func (p *Process) Kill() error {
	pid := p.PID()
	if pid == 0 {
		return fmt.Errorf("kill %s: it does not run", p.cfg.Name)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.cfg.Name, err)
	}
	return nil
}

// Run blocks until ctx ends, then stops the child. It lets a Process be a unit of a program's life.
func (p *Process) Run(ctx context.Context) error {
	<-ctx.Done()
	return p.Stop()
}

// Stop ends the child: SIGTERM and the end of its standard input, then SIGKILL after StopTimeout. It may be called
// more than once.
func (p *Process) Stop() error {
	p.once.Do(func() { close(p.stop) })
	<-p.done
	if err := p.log.close(); err != nil {
		return fmt.Errorf("close log of %s: %w", p.cfg.Name, err)
	}
	return nil
}

func (p *Process) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

func (p *Process) supervise() {
	// The kernel ties Pdeathsig to the thread that forked, not to the process: the thread must live as long as the
	// child, so this goroutine keeps one for itself and the thread ends with it.
	runtime.LockOSThread()
	defer close(p.done)
	if err := shed(); err != nil {
		p.log.note("%s is started with the right to capture, which it does not need: %v", p.cfg.Name, err)
	}
	pause, everUp := p.cfg.BackoffMin, false
	for starts := 1; ; starts++ {
		begun := time.Now()
		err := p.runOnce(func() {
			if !everUp {
				everUp = true
				p.ready <- nil
			}
		})
		if p.stopped() {
			return
		}
		if !everUp && starts >= firstStarts {
			p.ready <- fmt.Errorf("it ended before it answered: %w", err)
			return
		}
		if p.cfg.OnExit != nil {
			p.cfg.OnExit(err)
		}
		if time.Since(begun) > steadyAfter {
			pause = p.cfg.BackoffMin
		}
		p.log.note("%s ended (%v), starting it again in %s", p.cfg.Name, err, pause)
		select {
		case <-p.stop:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, p.cfg.BackoffMax)
		p.restarts.Add(1)
	}
}

// runOnce runs the child until it ends, by itself or because of Stop. answered is called on this goroutine.
func (p *Process) runOnce(answered func()) error {
	cmd, stdin, err := p.startChild()
	if err != nil {
		return err
	}
	p.pid.Store(int64(cmd.Process.Pid))
	defer p.pid.Store(0)
	defer p.up.Store(false)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready := make(chan struct{})
	go p.awaitReady(ctx, ready)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-ready:
			ready = nil
			p.up.Store(true)
			answered()
		case err := <-ended:
			if err == nil {
				err = errors.New("exit status 0")
			}
			return err
		case <-p.stop:
			return p.endChild(cmd, stdin, ended)
		}
	}
}

func (p *Process) startChild() (*exec.Cmd, io.Closer, error) {
	path := p.cfg.Command.Path
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, nil, fmt.Errorf("find our own binary: %w", err)
		}
		path = self
	}
	cmd := exec.Command(path, p.cfg.Command.Args...)
	cmd.Env = append(os.Environ(), p.cfg.Command.Env...)
	cmd.SysProcAttr = childAttr(p.cfg.EndItself)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.WaitDelay = time.Second // a grandchild may keep our log pipe open
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make pipe to child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start child: %w", err)
	}
	// The pipe stays open as long as we live; its end tells the child that we do not. A child that is dead already
	// shows in Wait, so the write's error says nothing new.
	_, _ = stdin.Write(append(p.cfg.Handshake[:len(p.cfg.Handshake):len(p.cfg.Handshake)], '\n'))
	return cmd, stdin, nil
}

func (p *Process) endChild(cmd *exec.Cmd, stdin io.Closer, ended <-chan error) error {
	_ = stdin.Close()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	timeout := time.NewTimer(p.cfg.StopTimeout)
	defer timeout.Stop()
	select {
	case err := <-ended:
		return err
	case <-timeout.C:
		p.log.note("%s did not end within %s of SIGTERM, killing it", p.cfg.Name, p.cfg.StopTimeout)
		_ = cmd.Process.Kill()
		return <-ended
	}
}

func (p *Process) awaitReady(ctx context.Context, ready chan<- struct{}) {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, time.Second)
		err := p.cfg.Ready(try)
		cancel()
		if err == nil {
			close(ready)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
