package main

import (
	"fmt"
	"io"
	"time"
)

// steps tells a person what is going on: one line per step when it has ended. On
// a terminal the current step is told as well, with its progress written over;
// elsewhere progress is a line now and then.
type steps struct {
	w     io.Writer
	width int // of the terminal; 0 if it is none
	begun time.Time

	open  string // the current step
	since time.Time
	told  time.Time
}

const tellEvery = 10 * time.Second

func newSteps(io *streams) *steps {
	s := &steps{w: io.err, begun: time.Now()}
	if isTerminal(io.err) {
		s.width = max(newScreen(io.err, io.getenv).width, 20)
	}
	return s
}

// step ends the current step and begins the next.
func (s *steps) step(format string, args ...any) {
	s.end()
	s.open, s.since = fmt.Sprintf(format, args...), time.Now()
	s.told = s.since
	s.over(s.open + " ...")
}

// progress is how far the current step has come.
func (s *steps) progress(format string, args ...any) {
	text := s.open + " ... " + fmt.Sprintf(format, args...)
	if now := time.Now(); s.width == 0 && now.Sub(s.told) > tellEvery {
		s.told = now
		fmt.Fprintln(s.w, text)
	}
	s.over(text)
}

// over writes over the line of a terminal; a text that does not fit would wrap,
// and what wraps cannot be written over.
func (s *steps) over(text string) {
	if s.width > 0 {
		fmt.Fprintf(s.w, "\r\x1b[K%s", cut(text, s.width-1))
	}
}

// note tells something that stays.
func (s *steps) note(format string, args ...any) {
	s.over("")
	fmt.Fprintf(s.w, format+"\n", args...)
}

// end tells how long the step took.
func (s *steps) end() {
	if s.open != "" {
		s.note("%s: %.1f s", s.open, time.Since(s.since).Seconds())
	}
	s.open = ""
}

// drop forgets the current step: what follows is the error that ended it.
func (s *steps) drop() {
	if s.open != "" {
		s.over("")
	}
	s.open = ""
}

// counted is a number of things.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// size is bytes for people.
func size(n uint64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}
