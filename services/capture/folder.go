package capture

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// What becomes of a file that has been read.
const (
	DoneLeave  = "leave"
	DoneDelete = "delete" // but for those that are damaged
	DoneMove   = "move"   // into done/, or damaged/, of the folder
)

// FolderConfig says which folder is watched, and what is done with its files.
type FolderConfig struct {
	Dir string
	// Settle is how long a file is unchanged before it counts as complete. One that
	// is moved into the folder, or that its writer was seen to close, does so at once.
	Settle time.Duration
	Done   string // one of the above
	State  string // file that remembers what has been read
	// Read captures one file into the broker, and returns when that has it: ReadFiles.
	// DamagedFiles is its answer to one that is damaged; any other error is the
	// broker's, and the file is tried again.
	Read func(ctx context.Context, path string) error
	Log  *slog.Logger

	now   func() time.Time
	hints func(ctx context.Context, dir string) (<-chan string, error)
}

// FolderStats are counts since the start.
type FolderStats struct {
	Read       uint64 // files that are in the broker
	Damaged    uint64 // of them or beside them: not readable to the end
	Unreadable uint64 // could not be opened
	Grown      uint64 // were written to after they had been read; the rest is not read
	Waiting    int    // files that are complete and not yet read
}

// Folder captures the files that appear in a folder, as a rotating tcpdump or
// dumpcap writes them: each once, in order of their last change. A file is
// remembered when the broker has it; should we be killed before that, it is read
// again, which changes nothing (its numbers follow from its content).
type Folder struct {
	cfg    FolderConfig
	memory *folderMemory
	seen   map[string]sight
	closed map[string]bool // by their writer, as was seen
	broken map[string]sight
	pause  time.Duration

	mu    sync.Mutex
	stats FolderStats
}

// sight is a file as it was when it was looked at.
type sight struct {
	size     int64
	modified int64 // ns
	since    time.Time
}

func (s sight) as(o sight) bool { return s.size == o.size && s.modified == o.modified }

// The pauses of a Folder.
const (
	folderEvery      = time.Second // between looks; a hint comes at once
	folderRetryFirst = time.Second // after the broker has not taken a file; doubles
	folderRetryMost  = 30 * time.Second
)

// captureName matches the names that capture programs give, with the numbers that
// tcpdump -W puts behind and the compressions that pkg/capfile reads.
var captureName = regexp.MustCompile(`(?i)\.(pcap|pcapng|cap|ntar)\d*(\.(gz|zst|lz4))?$`)

// NewFolder makes a Folder; nothing happens before Run.
func NewFolder(cfg FolderConfig) *Folder {
	cfg.Settle = cmp.Or(cfg.Settle, 10*time.Second)
	cfg.Done = cmp.Or(cfg.Done, DoneLeave)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	if cfg.hints == nil {
		cfg.hints = closedFiles
	}
	return &Folder{cfg: cfg, seen: map[string]sight{}, closed: map[string]bool{}, broken: map[string]sight{}}
}

// Stats may be called at any time.
func (f *Folder) Stats() FolderStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

func (f *Folder) count(change func(*FolderStats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.stats)
}

// Run reads until ctx ends. It fails when the folder or the memory of what was
// read cannot be used at the start.
func (f *Folder) Run(ctx context.Context) error {
	if _, err := os.ReadDir(f.cfg.Dir); err != nil {
		return fmt.Errorf("watch folder: %w", err)
	}
	var err error
	if f.memory, err = openFolderMemory(f.cfg.State); err != nil {
		return fmt.Errorf("watch folder %s: %w", f.cfg.Dir, err)
	}
	hints, err := f.cfg.hints(ctx, f.cfg.Dir)
	if err != nil {
		f.cfg.Log.Info("the kernel does not say when files are closed: they are read when unchanged for a while", "folder", f.cfg.Dir, "settle", f.cfg.Settle, "error", err)
	}
	for ctx.Err() == nil {
		wait := folderEvery
		if !f.round(ctx) {
			f.pause = min(max(2*f.pause, folderRetryFirst), folderRetryMost)
			wait = f.pause
		} else {
			f.pause = 0
		}
		f.sleep(ctx, wait, hints)
	}
	return nil
}

// sleep waits, or until a file is closed while none is to be tried again.
func (f *Folder) sleep(ctx context.Context, wait time.Duration, hints <-chan string) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case name, ok := <-hints:
			if !ok {
				hints = nil
				continue
			}
			if captureName.MatchString(name) {
				f.closed[name] = true
				if f.pause == 0 {
					return
				}
			}
		}
	}
}

// round reads what is complete; false says that the broker took something not.
func (f *Folder) round(ctx context.Context) bool {
	names, err := f.complete()
	if err != nil {
		f.cfg.Log.Warn("the folder cannot be read", "folder", f.cfg.Dir, "error", err)
		return false
	}
	for i, name := range names {
		f.count(func(s *FolderStats) { s.Waiting = len(names) - i })
		if ctx.Err() != nil {
			return true
		}
		if err := f.take(ctx, name); err != nil {
			if ctx.Err() == nil {
				f.cfg.Log.Warn("a file could not be handed over; it is tried again", "file", name, "error", err)
			}
			return false
		}
	}
	f.count(func(s *FolderStats) { s.Waiting = 0 })
	return true
}

// complete lists the files that are to be read, in order.
func (f *Folder) complete() ([]string, error) {
	entries, err := os.ReadDir(f.cfg.Dir)
	if err != nil {
		return nil, err
	}
	now := f.cfg.now()
	there := map[string]sight{}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || !captureName.MatchString(name) {
			continue
		}
		info, err := os.Stat(filepath.Join(f.cfg.Dir, name))
		if err != nil || !info.Mode().IsRegular() {
			continue // gone meanwhile, or no file
		}
		s := sight{size: info.Size(), modified: info.ModTime().UnixNano(), since: now}
		if old, ok := f.seen[name]; ok && old.as(s) {
			s.since = old.since
		} else if age := now.Sub(info.ModTime()); !ok && age > 0 {
			s.since = now.Add(-age) // it was not changed before we looked, either
		}
		there[name] = s
		switch {
		case f.memory.knows(name, s), f.left(name, s):
		case f.closed[name], now.Sub(s.since) >= f.cfg.Settle:
			names = append(names, name)
		}
	}
	f.seen = there
	for name := range f.closed {
		if _, ok := there[name]; !ok {
			delete(f.closed, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(there[a].modified, there[b].modified), strings.Compare(a, b))
	})
	return names, nil
}

// left reports a file that could not be opened and is as it was then.
func (f *Folder) left(name string, s sight) bool {
	old, ok := f.broken[name]
	return ok && old.as(s)
}

// take reads one file and remembers it.
func (f *Folder) take(ctx context.Context, name string) error {
	path := filepath.Join(f.cfg.Dir, name)
	delete(f.closed, name)
	s := f.seen[name]
	if grown, err := f.grown(name, path, s); err != nil {
		return f.unreadable(name, s, err)
	} else if grown {
		return nil
	}
	sum, err := sumOf(path, s.size)
	if err != nil {
		return f.unreadable(name, s, err)
	}
	err = f.cfg.Read(ctx, path)
	var damaged DamagedFiles
	switch {
	case errors.As(err, &damaged):
		f.count(func(s *FolderStats) { s.Damaged++ })
		f.cfg.Log.Error("a capture file is damaged; what is readable of it has been read", "file", path, "error", err)
	case err != nil:
		f.closed[name] = true
		return err
	default:
		f.count(func(s *FolderStats) { s.Read++ })
		f.cfg.Log.Info("a capture file has been read", "file", path)
	}
	if err := f.memory.remember(name, fileMark{Size: s.size, Modified: s.modified, Sum: sum}, f.seen); err != nil {
		f.cfg.Log.Warn("what has been read cannot be remembered: after a restart it is read again, which changes nothing", "error", err)
	}
	f.finish(name, path, damaged != nil)
	return nil
}

// unreadable leaves a file alone until it changes.
func (f *Folder) unreadable(name string, s sight, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		f.broken[name] = s
		f.count(func(s *FolderStats) { s.Unreadable++ })
		f.cfg.Log.Error("a capture file cannot be opened; it is left alone until it changes", "file", name, "error", err)
	}
	return nil
}

// grown reports that the file is one that was read, with more behind it. Read
// again, what it had before would be there twice, under another name of its
// producer; so what came later is left out, and said.
func (f *Folder) grown(name, path string, s sight) (bool, error) {
	old, ok := f.memory.Files[name]
	read := cmp.Or(old.Prefix, old.Size)
	if !ok || s.size < read {
		return false, nil
	}
	sum, err := sumOf(path, read)
	if err != nil || sum != old.Sum {
		return false, err
	}
	if s.size > read {
		f.count(func(s *FolderStats) { s.Grown++ })
		f.cfg.Log.Error("a capture file was written to after it had been read; what came later is left out: raise capture.watch_settle",
			"file", path, "bytes_read", read, "bytes", s.size)
	}
	if err := f.memory.remember(name, fileMark{Size: s.size, Modified: s.modified, Sum: sum, Prefix: read}, f.seen); err != nil {
		f.cfg.Log.Warn("what has been read cannot be remembered", "error", err)
	}
	return true, nil
}

// finish does with a file what is asked.
func (f *Folder) finish(name, path string, damaged bool) {
	var err error
	switch {
	case f.cfg.Done == DoneMove:
		dir := filepath.Join(f.cfg.Dir, "done")
		if damaged {
			dir = filepath.Join(f.cfg.Dir, "damaged")
		}
		if err = os.MkdirAll(dir, 0o750); err == nil {
			err = os.Rename(path, filepath.Join(dir, name))
		}
	case f.cfg.Done == DoneDelete && !damaged:
		err = os.Remove(path)
	}
	if err != nil {
		f.cfg.Log.Warn("a capture file that has been read cannot be put away; it stays", "error", err)
	}
}

// sumOf is SHA-256 of the first bytes of a file, as hex.
func sumOf(path string, size int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.CopyN(h, f, size); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
