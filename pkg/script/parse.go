package script

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// Script is a parsed script.
type Script struct {
	name  string
	lines []line
}

// line is one line of the file: its text as it stands, and its words.
type line struct {
	text  string
	words []string
}

// Problem is what is wrong with one line.
type Problem struct {
	Name string
	Line int // from 1
	Text string
}

// Error says where and what.
func (p Problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.Name, p.Line, p.Text) }

// Parse reads a script. Only the shape of lines is looked at; what they mean is
// found out when it runs.
func Parse(name string, text []byte) (*Script, error) {
	s := &Script{name: name}
	var errs []error
	for i, raw := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		words, err := split(raw)
		if err != nil {
			errs = append(errs, Problem{Name: name, Line: i + 1, Text: err.Error()})
		}
		s.lines = append(s.lines, line{text: raw, words: words})
	}
	return s, errors.Join(errs...)
}

// split cuts a line into words; quotes keep spaces in one.
func split(text string) (words []string, err error) {
	var word strings.Builder
	open, some := false, false
	flush := func() {
		if some {
			words = append(words, word.String())
		}
		word.Reset()
		some = false
	}
	for _, r := range text {
		switch {
		case r == '"':
			open, some = !open, true
		case open:
			word.WriteRune(r)
		case r == '#':
			flush()
			return words, nil
		case r == ' ' || r == '\t' || r == '\r':
			flush()
		default:
			word.WriteRune(r)
			some = true
		}
	}
	flush()
	if open {
		return words, errors.New(`a quote is not closed`)
	}
	return words, nil
}

// quote writes a word so that split reads it as one.
func quote(s string) string {
	if s == "" || strings.ContainsAny(s, " \t#") {
		return `"` + s + `"`
	}
	return s
}

// args are the words of a statement that are still to be read.
type args struct{ words []string }

func (a *args) more() bool { return len(a.words) > 0 }

func (a *args) next(what string) (string, error) {
	if len(a.words) == 0 {
		return "", fmt.Errorf("%s is missing", what)
	}
	w := a.words[0]
	a.words = a.words[1:]
	return w, nil
}

// take reads the word w, if it comes next.
func (a *args) take(w string) bool {
	if len(a.words) > 0 && a.words[0] == w {
		a.words = a.words[1:]
		return true
	}
	return false
}

func (a *args) want(w string) error {
	if !a.take(w) {
		return fmt.Errorf("%q is missing", w)
	}
	return nil
}

func (a *args) duration(what string) (time.Duration, error) {
	w, err := a.next(what)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(w)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s %q is no duration; write it like 90s, 5m or 24h", what, w)
	}
	return d, nil
}

func (a *args) number(what string) (int, error) {
	w, err := a.next(what)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(w)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %q is no number", what, w)
	}
	return n, nil
}

// time reads 10:00, 10:00:30, +1d 08:00 (days after the first), or, where from is
// given, +5m after it.
func (a *args) time(midnight, from proto.Time) (proto.Time, error) {
	w, err := a.next("a time")
	if err != nil {
		return 0, err
	}
	base := midnight
	if rest, ok := strings.CutPrefix(w, "+"); ok {
		days, isDays := strings.CutSuffix(rest, "d")
		if n, err := strconv.Atoi(days); isDays && err == nil {
			base = midnight.Add(time.Duration(n) * 24 * time.Hour)
			if w, err = a.next("the time of that day"); err != nil {
				return 0, err
			}
		} else {
			d, err := time.ParseDuration(rest)
			if err != nil || d < 0 {
				return 0, fmt.Errorf("%q is no time; write it like 10:00, +5m or +1d 08:30", w)
			}
			return from.Add(d), nil
		}
	}
	for _, layout := range []string{"15:04", "15:04:05", "15:04:05.999999999"} {
		if t, err := time.Parse(layout, w); err == nil {
			return base.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())), nil
		}
	}
	return 0, fmt.Errorf("%q is no time; write it like 10:00, +5m or +1d 08:30", w)
}

// clock writes a time as args.time reads it.
func clock(midnight, t proto.Time) string {
	const day = proto.Time(24 * time.Hour)
	s := t.Std().Format("15:04:05")
	if n := (t - midnight) / day; n > 0 {
		return fmt.Sprintf("+%dd %s", n, s)
	}
	return s
}

// transport reads tcp/443 or udp/1-100.
func transport(w string) (t proto.Transport, from, to int, err error) {
	name, ports, _ := strings.Cut(w, "/")
	known := map[string]proto.Transport{"tcp": proto.TCP, "udp": proto.UDP, "icmp": proto.ICMP, "icmp6": proto.ICMP6, "sctp": proto.SCTP}
	t, ok := known[name]
	low, high, isRange := strings.Cut(ports, "-")
	if !isRange {
		high = low
	}
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	if !ok || err1 != nil || err2 != nil || from < 0 || to > 65535 || from > to {
		return 0, 0, 0, fmt.Errorf("%q is no transport and port; write it like tcp/443 or udp/1-100", w)
	}
	return t, from, to, nil
}

func address(w string) (netip.Addr, error) {
	a, err := netip.ParseAddr(w)
	if err != nil {
		return a, fmt.Errorf("%q is no IP address", w)
	}
	return a.Unmap(), nil
}
