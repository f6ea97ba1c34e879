// Package kafkatest runs real Apache Kafka on loopback for tests: one node, or
// three with replication, in KRaft mode, killed and restarted at will.
//
// Here live the processes, their settings, certificates and users. Not here:
// any Kafka client (tests bring their own), and the embedded broker, which is
// pkg/embedded. Only tests may import this package.
//
// The jars come from `go tool task kafka`. Where they or Java are absent, tests
// are skipped with a message; WARDFLOW_TEST_KAFKA=require makes that a failure,
// WARDFLOW_TEST_KAFKA=off skips although they are there.
package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

// startTimeout bounds a node's way from process to serving; 3 s is usual on two
// idle cores, a busy CI machine takes several times as long.
const startTimeout = 2 * time.Minute

// Options say what is started; the zero value is one node, plaintext, open to
// whoever reaches loopback.
type Options struct {
	// Nodes is 1 (also for 0) or more; each is broker and controller. With
	// three or more, topics that name no replication factor get 3, and 2
	// replicas must have a record before it is acknowledged.
	Nodes int
	// TLS makes the client listener speak TLS with a certificate for 127.0.0.1
	// and localhost of an authority made for this cluster: see Cluster.TLS.
	TLS bool
	// ClientCertificate has the broker demand a certificate of its authority.
	ClientCertificate bool
	// User and Password, where set, are the only ones let in.
	User, Password string
	// Mechanism is PLAIN (also for ""), SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string
	// Settings are further lines of server.properties; they win.
	Settings map[string]string
}

// Cluster is one or several nodes on loopback that share a folder.
type Cluster struct {
	Nodes []*Node
	// TLS names the PEM files for clients; empty without Options.TLS.
	TLS Certificates

	opts Options
	id   string
}

// Start starts a cluster for the length of a test and waits until it serves. It
// skips the test where Kafka cannot be had, see the package comment.
func Start(tb testing.TB, opts Options) *Cluster {
	tb.Helper()
	Need(tb)
	// The harness waits by itself for each process; the context only ends what
	// a failed test left behind.
	c, err := Launch(context.Background(), tb.TempDir(), opts)
	if err != nil {
		tb.Fatalf("start Kafka: %v", err)
	}
	tb.Cleanup(func() {
		c.Kill9()
		if tb.Failed() {
			for _, n := range c.Nodes {
				tb.Logf("end of Kafka node %d's log:\n%s", n.ID, n.logTail())
			}
		}
	})
	return c
}

// Need skips the test where real Kafka cannot be had or is not wanted, and
// fails it instead where WARDFLOW_TEST_KAFKA=require.
func Need(tb testing.TB) {
	tb.Helper()
	mode := os.Getenv("WARDFLOW_TEST_KAFKA")
	if mode == "off" {
		tb.Skip("WARDFLOW_TEST_KAFKA=off: real Kafka is not wanted")
	}
	err := available()
	switch {
	case err == nil:
	case mode == "require":
		tb.Fatalf("WARDFLOW_TEST_KAFKA=require, but %v", err)
	default:
		tb.Skipf("no real Kafka: %v", err)
	}
}

// Launch starts a cluster that keeps its data under dir; for callers that
// outlive one test (a TestMain), who must call Kill9 or Stop themselves. When
// ctx ends while the nodes start, they are killed.
func Launch(ctx context.Context, dir string, opts Options) (*Cluster, error) {
	if err := available(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("draw a cluster id: %w", err)
	}
	c := &Cluster{opts: opts, id: base64.RawURLEncoding.EncodeToString(id[:])}
	if opts.TLS {
		certs, err := writeCertificates(filepath.Join(dir, "tls"))
		if err != nil {
			return nil, err
		}
		c.TLS = certs
	}
	// Three ports a node: clients, other brokers, controllers.
	ports, err := freePorts(3 * opts.Nodes)
	if err != nil {
		return nil, err
	}
	for i := range opts.Nodes {
		c.Nodes = append(c.Nodes, &Node{
			ID: i + 1, cluster: c, dir: filepath.Join(dir, "node"+strconv.Itoa(i+1)),
			client: ports[3*i], internal: ports[3*i+1], controller: ports[3*i+2],
		})
	}
	if err := c.each(func(n *Node) error { return n.format(ctx) }); err != nil {
		return nil, err
	}
	if err := c.each(func(n *Node) error { return n.start(ctx) }); err != nil {
		c.Kill9()
		return nil, err
	}
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.Nodes < 1 {
		o.Nodes = 1
	}
	if o.Mechanism == "" {
		o.Mechanism = "PLAIN"
	}
	return o
}

// Brokers lists the client addresses, host:port; they outlive restarts.
func (c *Cluster) Brokers() []string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Addr())
	}
	return all
}

// Stop asks every node to shut down in order and waits until all are gone.
func (c *Cluster) Stop() error {
	return c.each((*Node).Stop)
}

// Kill9 kills every node and waits until all are gone.
func (c *Cluster) Kill9() {
	// Killing cannot fail in a way that leaves the process alive.
	_ = c.each(func(n *Node) error { n.Kill9(); return nil })
}

// Restart starts the nodes that are not running, on their own data and ports,
// and waits until they serve.
func (c *Cluster) Restart() error {
	return c.each((*Node).Restart)
}

// each runs f on all nodes at once: controllers wait for one another.
func (c *Cluster) each(f func(*Node) error) error {
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		wg.Go(func() { errs[i] = f(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// available says why real Kafka cannot be run, or nil. Java is asked once.
func available() error {
	libs, err := libsDir()
	if err != nil {
		return err
	}
	if jars, err := filepath.Glob(filepath.Join(libs, "kafka_2.13-*.jar")); err != nil || len(jars) == 0 {
		return fmt.Errorf("%s has no Kafka: run `go tool task kafka`", libs)
	}
	return javaError()
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

var javaError = sync.OnceValue(func() error {
	out, err := exec.Command("java", "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("java 17 or newer is needed: %w", err)
	}
	m := javaVersion.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("java 17 or newer is needed; `java -version` says %q", out)
	}
	if major, err := strconv.Atoi(string(m[1])); err != nil || major < 17 {
		return fmt.Errorf("java 17 or newer is needed, this is %s", m[1])
	}
	return nil
})

// libsDir is WARDFLOW_KAFKA_LIBS, else .cache/kafka/libs at the repository's
// root, which is found by walking up from the test's folder.
func libsDir() (string, error) {
	if dir := os.Getenv("WARDFLOW_KAFKA_LIBS"); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".cache", "kafka", "libs"), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the repository: no go.mod above the working folder")
		}
		dir = up
	}
}
