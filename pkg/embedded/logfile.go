package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// boundedLog is a log file that never takes more than a given size: at half of it the file becomes <name>.1, replacing
// the one before. Writing to it never fails, since a full disk must not stop the child that logs.
type boundedLog struct {
	path string
	max  int64 // bytes of one of the two files

	mu   sync.Mutex
	file *os.File // nil after close, or when a new file could not be opened
	size int64
}

func openBoundedLog(path string, limit int64) (*boundedLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	l := &boundedLog{path: path, max: max(limit/2, 4096)}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *boundedLog) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write implements io.Writer; it always takes everything.
func (l *boundedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return len(b), nil
	}
	kept := b
	if int64(len(kept)) > l.max {
		kept = kept[int64(len(kept))-l.max:]
	}
	if l.size+int64(len(kept)) > l.max {
		l.rotate()
	}
	if l.file != nil {
		n, _ := l.file.Write(kept)
		l.size += int64(n)
	}
	return len(b), nil
}

func (l *boundedLog) rotate() {
	_ = l.file.Close()
	l.file = nil
	if os.Rename(l.path, l.path+".1") != nil {
		return // never grow past the bound: without a new name there is no more log
	}
	_ = l.open()
}

// note adds a line of the supervisor's own.
func (l *boundedLog) note(format string, args ...any) {
	fmt.Fprintf(l, "%s supervisor: %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}

// tail returns the last n bytes.
func (l *boundedLog) tail(n int64) string {
	f, err := os.Open(l.path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > n {
		if _, err := f.Seek(-n, io.SeekEnd); err != nil {
			return ""
		}
	}
	raw, _ := io.ReadAll(f)
	return string(raw)
}

func (l *boundedLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}
