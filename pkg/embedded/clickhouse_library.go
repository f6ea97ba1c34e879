//go:build (linux || darwin) && (amd64 || arm64)

package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// chdb is the part of the library's C interface (chdb.h) that we use. Results stay valid until the process ends.
type chdb struct {
	queryCmdline func(argc int32, argv **byte) unsafe.Pointer
	resultError  func(result unsafe.Pointer) string
}

func openChdb(path string) (*chdb, error) {
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	var c chdb
	for name, fn := range map[string]any{"chdb_query_cmdline": &c.queryCmdline, "chdb_result_error": &c.resultError} {
		sym, err := purego.Dlsym(lib, name)
		if err != nil {
			return nil, fmt.Errorf("%s is not a version of libchdb that we know (26.7 is): %w", path, err)
		}
		purego.RegisterFunc(fn, sym)
	}
	// The library would put its own crash handlers over the Go runtime's, which needs SIGSEGV for itself.
	if sym, err := purego.Dlsym(lib, "chdb_set_signal_handlers_enabled"); err == nil {
		var enable func(int32)
		purego.RegisterFunc(&enable, sym)
		enable(0)
	}
	return &c, nil
}

// run calls the library as the clickhouse-local command line and blocks until that ends.
func (c *chdb) run(args []string) error {
	argv := make([]*byte, 0, len(args)+1)
	for _, a := range args {
		argv = append(argv, &append([]byte(a), 0)[0])
	}
	argv = append(argv, nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var pin runtime.Pinner
	defer pin.Unpin()
	for _, a := range argv[:len(args)] {
		pin.Pin(a)
	}
	result := c.queryCmdline(int32(len(args)), &argv[0])
	if result == nil {
		return errors.New("the library returned no result")
	}
	if msg := c.resultError(result); msg != "" {
		return errors.New(msg)
	}
	return nil
}

// libraryStopTimeout is how long a clean end may take; after it the process may be killed, which loses nothing.
const libraryStopTimeout = 8 * time.Second

// serveLibrary makes a server of clickhouse-local: the first two statements open its ports and the third never ends.
// Stopping cancels the third, upon which the library shuts down cleanly.
func serveLibrary(ctx context.Context, c ClickHouseConfig, path string) error {
	lib, err := openChdb(path)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- lib.run([]string{
			"clickhouse",
			"--config-file=" + c.configPath("config.xml"),
			"--path=" + filepath.Join(c.Dir, "data"),
			"--listen_host=127.0.0.1",
			"--http_port=" + strconv.Itoa(c.HTTPPort),
			"--tcp_port=" + strconv.Itoa(c.TCPPort),
			"--log-level=warning", // the level in the configuration file is not looked at
			"--query=SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; " +
				"SELECT sleepEachRow(0.1) FROM system.numbers SETTINGS max_block_size = 1, max_threads = 1 FORMAT Null",
		})
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("run ClickHouse from %s: %w", path, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), libraryStopTimeout)
	defer cancel()
	// The local session has no user name; everybody else has.
	if err := c.Exec(stop, "KILL QUERY WHERE user = ''"); err != nil {
		slog.Warn("ClickHouse cannot be stopped cleanly and is killed, which loses nothing", "error", err)
		return nil
	}
	select {
	case err := <-ended:
		slog.Debug("ClickHouse stopped", "cause", err) // that its query was cancelled
	case <-stop.Done():
		slog.Warn("ClickHouse does not stop and is killed, which loses nothing", "waited_s", libraryStopTimeout.Seconds())
	}
	return nil
}
