package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// closedFiles names the files of a folder that their writers close, or that are
// moved into it, until ctx ends (inotify(7)). Over a network file system what
// others write is not told.
func closedFiles(ctx context.Context, dir string) (<-chan string, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("begin inotify: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("watch %s by inotify: %w", dir, err)
	}
	names := make(chan string)
	context.AfterFunc(ctx, func() { _ = f.Close() }) // ends the read
	go func() {
		defer close(names)
		buf := make([]byte, 64<<10)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
				size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
				if size > len(b) {
					break
				}
				name := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:size], "\x00"))
				b = b[size:]
				select {
				case names <- name:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return names, nil
}
