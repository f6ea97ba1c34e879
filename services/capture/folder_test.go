package capture

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shelf is a watched folder in a bubble of time.
type shelf struct {
	t      *testing.T
	dir    string
	state  string
	folder *Folder
	hints  chan string
	log    bytes.Buffer
	end    func()

	mu     sync.Mutex
	read   []string // contents, in order
	answer func(path string) error
}

func newShelf(t *testing.T, done string) *shelf {
	s := &shelf{t: t, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state", "watched.json")}
	s.start(done)
	return s
}

func (s *shelf) start(done string) {
	s.hints = make(chan string)
	s.folder = NewFolder(FolderConfig{
		Dir: s.dir, Settle: 10 * time.Second, Done: done, State: s.state, Read: s.take,
		Log:   slog.New(slog.NewTextHandler(&s.log, nil)),
		hints: func(context.Context, string) (<-chan string, error) { return s.hints, nil },
	})
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.folder.Run(ctx) }()
	s.end = func() {
		s.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}
	synctest.Wait()
}

func (s *shelf) take(_ context.Context, path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil {
		if err := s.answer(path); err != nil {
			return err
		}
	}
	raw, err := os.ReadFile(path)
	s.read = append(s.read, string(raw))
	return err
}

// put writes a file whose last change is of now, in the bubble's time.
func (s *shelf) put(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, time.Now(), time.Now())); err != nil {
		s.t.Fatal(err)
	}
}

// expect compares what has been read since the last time.
func (s *shelf) expect(want ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.read, want) {
		s.t.Errorf("read %q, want %q", s.read, want)
	}
	s.read = nil
}

func (s *shelf) files(dir string) (names []string) {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFolderReadsWhatIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, DoneLeave)
		s.put("b.pcap", "1")
		s.put("notes.txt", "none")
		s.put(".c.pcap", "none")
		pause(time.Second)
		s.put("a.pcap00", "2")
		s.put("d.PCAPNG.gz", "3")
		pause(5 * time.Second)
		s.expect() // they may still be written
		pause(6 * time.Second)
		s.expect("1", "2", "3") // by time, then by name
		s.put("e.pcap", "4")
		s.hints <- "e.pcap"
		s.hints <- "notes.txt"
		pause(time.Millisecond)
		s.expect("4")
		s.put("f.pcap", "5")
		for range 5 { // while it is written it is left alone
			pause(8 * time.Second)
			s.put("f.pcap", "5+"+time.Now().String())
		}
		s.expect()
		s.put("f.pcap", "5!")
		pause(12 * time.Second)
		s.expect("5!")
		s.end()
		s.put("g.pcap", "6")
		pause(time.Minute)
		s.start(DoneLeave) // what was read before is remembered; what is old is complete
		pause(time.Millisecond)
		s.expect("6")
		if st := s.folder.Stats(); st.Read != 1 || st.Waiting != 0 {
			t.Errorf("stats %+v", st)
		}
		s.end()
	})
}

func TestFolderOfNamesUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, DoneLeave)
		s.put("0.pcap", "first")
		s.hints <- "0.pcap"
		pause(time.Second)
		s.put("0.pcap", "another, longer") // tcpdump -W goes round
		s.hints <- "0.pcap"
		pause(time.Second)
		s.expect("first", "another, longer")
		for _, more := range []string{"another, longer, and", "another, longer, and on"} {
			s.put("0.pcap", more) // its writer had not ended
			pause(20 * time.Second)
		}
		s.expect()
		s.put("0.pcap", "short")
		pause(20 * time.Second)
		s.expect("short")
		if err := os.Chtimes(filepath.Join(s.dir, "0.pcap"), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		pause(20 * time.Second)
		s.expect() // only touched
		if st := s.folder.Stats(); st.Grown != 2 || st.Read != 3 || !strings.Contains(s.log.String(), "raise capture.watch_settle") {
			t.Errorf("stats %+v\n%s", st, &s.log)
		}
		s.end()
	})
}

func TestFolderOfBadFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, DoneMove)
		s.answer = func(path string) error {
			if strings.Contains(path, "bad") {
				return DamagedFiles{errors.New("it ends in the middle of a packet")}
			}
			return nil
		}
		for _, name := range []string{"bad.pcap", "good.pcap"} {
			s.put(name, name)
			s.hints <- name
			pause(time.Second)
		}
		s.expect("good.pcap")
		if !slices.Equal(s.files("done"), []string{"good.pcap"}) || !slices.Equal(s.files("damaged"), []string{"bad.pcap"}) {
			t.Errorf("done %v, damaged %v", s.files("done"), s.files("damaged"))
		}
		if st := s.folder.Stats(); st.Damaged != 1 || st.Read != 1 {
			t.Errorf("stats %+v", st)
		}
		s.end()
		s.start(DoneDelete)
		for _, name := range []string{"bad2.pcap", "good2.pcap"} {
			s.put(name, name)
			s.hints <- name
			pause(time.Second)
		}
		s.expect("good2.pcap")
		if left := s.files("."); slices.Contains(left, "good2.pcap") || !slices.Contains(left, "bad2.pcap") {
			t.Errorf("left: %v", left)
		}
		s.end()
	})
}

func TestFolderCannotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, DoneLeave)
		f := s.folder
		s.end()
		if err := f.unreadable("x.pcap", sight{size: 1}, os.ErrPermission); err != nil || f.Stats().Unreadable != 1 || !f.left("x.pcap", sight{size: 1}) || f.left("x.pcap", sight{size: 2}) {
			t.Errorf("%v, %+v", err, f.Stats())
		}
	})
	f := NewFolder(FolderConfig{Dir: "/not/there"})
	if err := f.Run(t.Context()); !os.IsNotExist(errors.Unwrap(err)) {
		t.Errorf("no such folder: %v", err)
	}
	state := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(state, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	f = NewFolder(FolderConfig{Dir: t.TempDir(), State: state})
	if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("a broken memory: %v", err)
	}
}

// A broker that is away costs nothing: the file is tried again, before later ones.
func TestFolderWithoutBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, DoneDelete)
		tries := 0
		s.answer = func(string) error {
			if tries++; tries < 5 {
				return errors.New("the broker is away")
			}
			return nil
		}
		s.put("1.pcap", "1")
		s.hints <- "1.pcap"
		pause(time.Second / 2)
		s.put("2.pcap", "2")
		s.hints <- "2.pcap"
		pause(2 * time.Minute)
		s.expect("1", "2")
		if len(s.files(".")) != 0 || s.folder.Stats().Read != 2 {
			t.Errorf("left: %v, %+v", s.files("."), s.folder.Stats())
		}
		s.end()
	})
}
