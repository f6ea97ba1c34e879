package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// steps tells a person what is going on: one line per step when it has ended. On
// a terminal the current step is told as well, with its progress written over;
// elsewhere progress is a line now and then.
type steps struct {
	w     io.Writer
	width int // of the terminal; 0 if it is none
	begun time.Time
	now   func() time.Time

	open  string // the current step
	since time.Time
	told  time.Time
}

const tellEvery = 10 * time.Second

func newSteps(io *streams) *steps {
	s := &steps{w: io.err, begun: time.Now(), now: time.Now}
	if isTerminal(io.err) {
		s.width = max(newScreen(io.err, io.getenv).width, 20)
	}
	return s
}

// step ends the current step and begins the next.
func (s *steps) step(format string, args ...any) {
	s.end()
	s.open, s.since = fmt.Sprintf(format, args...), s.now()
	s.told = s.since
	s.over(s.open + " ...")
}

// progress is how far the current step has come.
func (s *steps) progress(format string, args ...any) {
	text := s.open + " ... " + fmt.Sprintf(format, args...)
	if now := s.now(); s.width == 0 && now.Sub(s.told) > tellEvery {
		s.told = now
		fmt.Fprintln(s.w, text)
	}
	s.over(text)
}

// share is progress where it is known how much there is, in bytes: a bar on a
// terminal, the same in numbers elsewhere.
func (s *steps) share(done, whole int64, format string, args ...any) {
	rest := fmt.Sprintf(format, args...)
	if whole <= 0 {
		s.progress("%s", rest)
		return
	}
	part := min(1, float64(done)/float64(whole))
	told := fmt.Sprintf("%3.0f %%", 100*part)
	if took := s.now().Sub(s.since).Seconds(); took > 0 && done > 0 {
		told += fmt.Sprintf(", %s/s", size(uint64(float64(done)/took)))
		if took >= settled {
			told += ", " + remaining(time.Duration(took*(1/part-1)*float64(time.Second)))
		}
	}
	if s.width == 0 {
		s.progress("%s, %s", strings.TrimLeft(told, " "), rest)
		return
	}
	full := int(part*barWidth + 0.5)
	s.over(fmt.Sprintf("%s [%s%s] %s, %s", s.open, strings.Repeat("█", full), strings.Repeat("░", barWidth-full), told, rest))
}

const (
	barWidth = 20
	settled  = 1.0 // seconds from which on a rate is worth an extrapolation
)

// remaining is how long it will take, as people say it.
func remaining(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s to go", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s to go", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min to go", int(d.Hours()), int(d.Minutes())%60)
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
		s.note("%s: %.1f s", s.open, s.now().Sub(s.since).Seconds())
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
