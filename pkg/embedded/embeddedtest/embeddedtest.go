// Package embeddedtest gives tests of other packages a broker and a ClickHouse with nothing to set up: one call each.
//
// Here lives only what tests need on top of pkg/embedded. ClickHouse is a child process, which is the test binary
// itself: importing this package makes a test binary that finds a certain variable in its environment serve
// ClickHouse instead of running tests. No TestMain is needed. Nothing but tests may import it.
package embeddedtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/wardflow/wardflow/pkg/embedded"
)

// childEnv makes the test binary a child of itself. Its value is a folder to remove at the end, or "keep".
const (
	childEnv  = "WARDFLOW_EMBEDDED_TEST_CHILD"
	childKeep = "keep"
)

// A child must not run tests, and no TestMain of the package under test can be asked to see to that: init can.
func init() {
	remove := os.Getenv(childEnv)
	if remove == "" {
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := embedded.ServeChild(ctx, os.Stdin)
	cancel()
	if remove != childKeep {
		err = errors.Join(err, os.RemoveAll(remove))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command starts this test binary as the child of StartBroker or StartClickHouse.
func Command() embedded.Command {
	return embedded.Command{Env: []string{childEnv + "=" + childKeep}}
}

// Server is a running ClickHouse and a database in it that is the test's own and empty.
type Server struct {
	Addr            string // native protocol, host:port
	HTTPAddr        string
	Database        string
	User            string
	Password        string
	AnalystUser     string // may read Database only
	AnalystPassword string
}

var shared struct {
	once sync.Once
	run  *embedded.RunFile
	err  error
}

// ClickHouse returns a server that all tests of the binary share, with a fresh database. Without ClickHouse on this
// machine the test is skipped, or fails where CI is set.
func ClickHouse(t testing.TB) Server {
	t.Helper()
	shared.once.Do(func() { shared.run, shared.err = startShared() })
	if errors.Is(shared.err, embedded.ErrNoClickHouse) && os.Getenv("CI") == "" {
		t.Skip(shared.err)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	c := shared.run.ClickHouse
	s := Server{
		Addr: c.Address(), HTTPAddr: c.HTTPAddress(), Database: "wardflow_test_" + strings.ToLower(rand.Text()),
		User: c.User, Password: c.Password, AnalystUser: c.AnalystUser, AnalystPassword: c.AnalystPassword,
	}
	config := shared.run.ClickHouseConfig("")
	if err := config.Exec(t.Context(), "CREATE DATABASE "+s.Database+" ENGINE = Atomic"); err != nil {
		t.Fatalf("make database: %v", err)
	}
	t.Cleanup(func() {
		if err := config.Exec(context.Background(), "DROP DATABASE IF EXISTS "+s.Database+" SYNC"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return s
}

// startShared starts a server that outlives the test that asked first. Nothing tells when the last test is done, so
// the child is left to see the end of its standard input, stop, and remove its folder itself.
func startShared() (*embedded.RunFile, error) {
	dir, err := os.MkdirTemp("", "wardflow-clickhouse-")
	if err != nil {
		return nil, fmt.Errorf("make folder for ClickHouse: %w", err)
	}
	run, err := embedded.EnsureRunFile(dir)
	if err != nil {
		return nil, err
	}
	_, err = embedded.StartClickHouse(context.Background(), run.ClickHouseConfig(filepath.Join(dir, "clickhouse")), embedded.Child{
		Command:   embedded.Command{Env: []string{childEnv + "=" + dir}},
		EndItself: true,
	})
	if err != nil {
		if rmErr := os.RemoveAll(dir); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
		return nil, err
	}
	return run, nil
}
