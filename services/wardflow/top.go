package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

type topCmd struct {
	Every time.Duration `default:"2s" help:"Time between two looks at Kafka."`
	Once  bool          `help:"Print one frame as plain text, after two looks, and end."`
}

// Help is shown by --help.
func (topCmd) Help() string {
	return `A live view of the whole: sensors, what the services have still to do, what the sink stores, who carries most risk,
the latest detections and the newest devices. q or Ctrl-C ends it. Elsewhere than on a terminal it prints a line now
and then.

"behind" is how long ago the oldest record was written that the service has not taken in yet. Kafka is asked every two
seconds, ClickHouse every five (and for its lists every ten, so that the analyst's quota lasts). What does not answer is
said at its place; the rest goes on.

Examples:

    wardflow top
    wardflow top --once
    wardflow top --every 10s > load.log`
}

// leastEvery keeps a watcher from becoming a load.
const leastEvery = 500 * time.Millisecond

// Run shows frames until somebody has seen enough.
func (c *topCmd) Run(ctx context.Context, g *globals, io *streams) error {
	if c.Every < leastEvery {
		return usagef("--every %v: want %v or more", c.Every, leastEvery)
	}
	l, err := g.load(io)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := newWatcher(&l.Config, c.Every)
	if c.Once {
		w.count = c.Every
	}
	go w.watchKafka(ctx)
	go w.watchStore(ctx)
	if c.Once {
		return c.once(ctx, w, io)
	}
	out, isFile := io.out.(*os.File)
	in, fromFile := io.in.(*os.File)
	if !isFile || !fromFile || !isTerminal(out) || !isTerminal(in) {
		return c.lines(ctx, w, io.out)
	}
	return c.live(ctx, w, in, out, io)
}

// onceListed is how long the lists of a printed frame are.
const onceListed = 10

// once waits for two looks, since rates need two.
func (c *topCmd) once(ctx context.Context, w *watcher, io *streams) error {
	if err := w.await(ctx, 2); err != nil {
		return err
	}
	s := io.screen()
	s.colour = false
	width := s.width
	if width == 0 {
		width = 130
	}
	f := w.frame()
	for _, list := range []*[][]any{&f.risks, &f.found, &f.devices} {
		*list = (*list)[:min(len(*list), onceListed)]
	}
	for _, line := range render(s, f, width, 0) {
		fmt.Fprintln(io.out, strings.TrimRight(line, " "))
	}
	return nil
}

// lines prints a line now and then, for logs.
func (c *topCmd) lines(ctx context.Context, w *watcher, out io.Writer) error {
	if err := w.await(ctx, 2); err != nil {
		return nilWhenDone(ctx, err)
	}
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		if _, err := fmt.Fprintln(out, oneLine(w.frame())); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// nilWhenDone takes the end that somebody wanted for no error.
func nilWhenDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// What terminals are told (xterm's control sequences, ECMA-48).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // alternate screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	beginFrame  = "\x1b[H" // to the corner
	endFrame    = "\x1b[J" // nothing below
	endLine     = "\x1b[K"
)

// live draws until q, Ctrl-C or the end of ctx, and leaves the terminal as it was.
func (c *topCmd) live(ctx context.Context, w *watcher, in, out *os.File, io *streams) (err error) {
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	defer func() {
		fmt.Fprint(out, leaveScreen)
		if rerr := term.Restore(int(in.Fd()), old); err == nil && rerr != nil {
			err = fmt.Errorf("restore the terminal: %w", rerr)
		}
	}()
	fmt.Fprint(out, enterScreen)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)
	keys := make(chan byte)
	go readKeys(ctx, in, keys)
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		s := newScreen(out, io.getenv)
		wide, high, err := term.GetSize(int(out.Fd()))
		if err != nil {
			return fmt.Errorf("ask the terminal for its size: %w", err)
		}
		if _, err := fmt.Fprint(out, draw(render(s, w.frame(), wide, high))); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case k, ok := <-keys:
			if !ok || quits(k) {
				return nil
			}
		case <-resized:
		case <-w.news:
		case <-tick.C:
		}
	}
}

// quits tells which keys end: q, Ctrl-C, Ctrl-D, which arrive as they are in raw mode.
func quits(key byte) bool { return key == 'q' || key == 'Q' || key == 3 || key == 4 }

// readKeys hands over what is typed, and closes keys at the end of the input.
func readKeys(ctx context.Context, in io.Reader, keys chan<- byte) {
	defer close(keys)
	var b [16]byte
	for {
		n, err := in.Read(b[:])
		if n > 0 && b[0] != '\x1b' { // arrows and their like begin with escape
			select {
			case keys <- b[0]:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// draw is what a frame is on a terminal: each line over the old one, the last
// without a line break, so that nothing scrolls.
func draw(lines []string) string {
	var b strings.Builder
	b.WriteString(beginFrame)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line)
		b.WriteString(endLine)
	}
	b.WriteString(endFrame)
	return b.String()
}
