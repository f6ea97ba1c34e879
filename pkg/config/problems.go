package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong.
type Problem struct {
	Path  string // of the setting: kafka.brokers[0]; "" for the file as a whole
	Where string // file:line, or the name of the variable or flag; "" for a default
	Text  string // what is wrong and what to do
}

// String is one line.
func (p Problem) String() string {
	s := p.Text
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Where != "" {
		s = p.Where + ": " + s
	}
	return s
}

// Problems are all that is wrong with a configuration; as an error it lists
// them one a line.
type Problems []Problem

// Error lists the problems.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(path, where, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Where: where, Text: fmt.Sprintf(format, args...)})
}

// unjoin takes apart what errors.Join put together.
func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range many.Unwrap() {
		out = append(out, unjoin(e)...)
	}
	return out
}

// problem reads an error of the form "path: what" of another package's Validate.
func problem(prefix string, err error) Problem {
	path, text, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		return Problem{Path: strings.TrimSuffix(prefix, "."), Text: err.Error()}
	}
	return Problem{Path: prefix + path, Text: text}
}
