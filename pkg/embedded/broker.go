package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/wardflow/wardflow/pkg/embedded/brokerlog"
)

// BrokerConfig describes the one-node broker. It listens on 127.0.0.1 only.
type BrokerConfig struct {
	Dir      string // everything it stores; "" keeps everything in memory, for tests
	Port     int    // 0 takes a free one, which only an in-process broker can tell
	User     string // SASL SCRAM-SHA-256, may do anything
	Password string

	SyncWrites   bool  // fsync each batch before it is acknowledged; without it a power cut may lose the last seconds
	MaxBytes     int64 // all topics together; default 2 GiB
	SegmentBytes int64 // of one log file, hence the grain of deletion and cleaning; default 4 MiB
}

const (
	defaultBrokerBytes = 2 << 30
	// The file that is being written is neither deleted nor cleaned, and there is one a partition, of which we have
	// some hundred: together they must stay well below the cap.
	defaultSegmentBytes = 4 << 20
	// maxMessageBytes is what one batch may take. A batch of ours is at most 512 KiB; the rest is room.
	maxMessageBytes = 4 << 20
)

func (c *BrokerConfig) setDefaults() {
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultBrokerBytes
	}
	if c.SegmentBytes <= 0 {
		c.SegmentBytes = defaultSegmentBytes
	}
}

// StartBroker starts the broker as a child process and returns when it lets the user in.
func StartBroker(ctx context.Context, c BrokerConfig, child Child) (*Process, error) {
	p := child.process("broker", c.Dir)
	var err error
	if p.Handshake, err = json.Marshal(handshake{Broker: &c}); err != nil {
		return nil, fmt.Errorf("encode broker configuration: %w", err)
	}
	p.Ready = c.ping
	return StartProcess(ctx, p)
}

// ServeBroker runs the broker in this process until ctx ends or it fails.
func ServeBroker(ctx context.Context, c BrokerConfig) error {
	b, err := OpenBroker(c)
	if err != nil {
		return err
	}
	defer b.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-b.failed:
		return err
	}
}

// Broker is a broker that runs in this process.
type Broker struct {
	cfg    BrokerConfig
	gate   *gate
	stop   chan struct{}
	done   chan struct{} // housekeeping has ended
	failed chan error    // it could not be opened again after a cleaning
	once   sync.Once

	mu        sync.Mutex
	cluster   *kfake.Cluster // nil when it failed
	cleaned   int64          // bytes of compacted topics after the last cleaning
	cleanings int            // in this life
}

// OpenBroker starts a broker in this process and loads what c.Dir holds.
func OpenBroker(c BrokerConfig) (*Broker, error) { return openBroker(c, housekeepEvery) }

func openBroker(c BrokerConfig, tidyEvery time.Duration) (*Broker, error) {
	c.setDefaults()
	if c.User == "" || c.Password == "" {
		return nil, errors.New("open broker: it needs a user and a password")
	}
	ln, err := listenLoopback(c.Port)
	if err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	b := &Broker{cfg: c, gate: newGate(ln), stop: make(chan struct{}), done: make(chan struct{}), failed: make(chan error, 1)}
	if err := b.openCluster(); err != nil {
		return nil, errors.Join(fmt.Errorf("open broker: %w", err), b.gate.close())
	}
	go b.housekeep(tidyEvery)
	return b, nil
}

// Addr is the broker's host:port.
func (b *Broker) Addr() string { return b.gate.ln.Addr().String() }

// Close stops the broker and writes snapshots, with which the next start need not replay. It may be called more than
// once.
func (b *Broker) Close() {
	b.once.Do(func() {
		close(b.stop)
		<-b.done
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.cluster != nil {
			b.closeCluster()
		}
		_ = b.gate.close()
	})
}

func (b *Broker) closeCluster() {
	b.cluster.Close()
	b.cluster = nil
	if b.cfg.Dir != "" {
		_ = os.Remove(filepath.Join(b.cfg.Dir, runningFile)) // if it stays, the next start is slower and no worse
	}
}

func (b *Broker) openCluster() error {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("wardflow"),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b.gate.session(), nil }),
		kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-256", b.cfg.User, b.cfg.Password),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(b.brokerConfigs()),
		kfake.WithLogger(brokerLog{}),
	}
	if b.cfg.Dir != "" {
		if err := b.prepareDir(); err != nil {
			return err
		}
		opts = append(opts, kfake.DataDir(b.cfg.Dir))
		if b.cfg.SyncWrites {
			opts = append(opts, kfake.SyncWrites())
		}
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return err
	}
	b.cluster = cluster
	debug.FreeOSMemory() // loading reads every segment
	return nil
}

func (b *Broker) brokerConfigs() map[string]string {
	const never = 100 * 365 * 24 * time.Hour
	return map[string]string{
		"log.segment.bytes": strconv.FormatInt(b.cfg.SegmentBytes, 10),
		"message.max.bytes": strconv.Itoa(maxMessageBytes),
		// Retention and compaction are ours (see DESIGN.md): the broker's own empty a whole partition, which makes its
		// offsets start at 0 again after a restart, and count records of open transactions as committed.
		"log.cleaner.backoff.ms": strconv.FormatInt(never.Milliseconds(), 10),
		"log.retention.ms":       "-1",
		"log.retention.bytes":    "-1",
		// Offsets and transactional ids of a service that was off for long must still be there.
		"offsets.retention.minutes":      strconv.Itoa(365 * 24 * 60),
		"transactional.id.expiration.ms": strconv.Itoa(24 * 24 * 3600 * 1000),
	}
}

// runningFile is there as long as a broker has the folder open: who finds it at the start knows of a kill.
const runningFile = "running"

// prepareDir makes the data folder, or readies one from an earlier life.
func (b *Broker) prepareDir() error {
	if err := os.MkdirAll(b.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make broker folder: %w", err)
	}
	running := filepath.Join(b.cfg.Dir, runningFile)
	if _, err := os.Stat(running); err == nil {
		begun := time.Now()
		report, err := brokerlog.Recover(b.cfg.Dir, begun)
		if err != nil {
			return fmt.Errorf("recover %s: %w", b.cfg.Dir, err)
		}
		slog.Info("broker: recovered what a kill left", "partitions", report.Partitions, "bytes", report.Bytes, "torn_bytes", report.TornBytes,
			"transactions_aborted", report.Aborted-report.Completed, "transactions_completed", report.Completed, "took_ms", time.Since(begun).Milliseconds())
	} else if err := brokerlog.FinishSwap(b.cfg.Dir); err != nil {
		return err
	}
	if err := os.WriteFile(running, nil, 0o600); err != nil {
		return fmt.Errorf("mark broker folder as in use: %w", err)
	}
	// Stored users would win over the configured one.
	if err := os.Remove(filepath.Join(b.cfg.Dir, "sasl.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget stored users: %w", err)
	}
	return nil
}

// listenLoopback waits a little for a port that is taken: a predecessor may be about to die.
func listenLoopback(port int) (net.Listener, error) {
	deadline := time.Now().Add(3 * time.Second)
	for {
		ln, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return ln, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// brokerLog passes the broker's warnings and errors on.
type brokerLog struct{}

// Logf implements kfake.Logger.
func (brokerLog) Logf(level kfake.LogLevel, msg string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		slog.Error("broker: " + fmt.Sprintf(msg, args...))
	case kfake.LogLevelWarn:
		if strings.HasPrefix(msg, "txn: EndTxn slow") {
			return // it takes 5 ms for slow
		}
		slog.Warn("broker: " + fmt.Sprintf(msg, args...))
	default:
	}
}
