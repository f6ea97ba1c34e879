// Package check holds an output folder of `wardflow replay` to the committed
// JSON Schema: every key there, in its order and of its type; every line sorted;
// every file there.
//
// It reads files and knows the schema (proto/schema); how the files are made it
// does not know, so that it can find what their maker got wrong.
package check

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wardflow/wardflow/proto/schema"
)

// Problem is one thing that is wrong in a folder.
type Problem struct {
	File string
	Line int // from 1; 0 for the file as a whole
	Text string
}

// String is file:line: text.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// maxLine bounds a line; a device with all its evidence is far below.
const maxLine = 64 << 20

// Dir checks every file of a folder, calls report for each problem, and tells
// how many lines it read. The error is for a schema or folder that cannot be read.
func Dir(dir string, report func(Problem)) (lines int, err error) {
	if info, err := os.Stat(dir); err != nil {
		return 0, fmt.Errorf("check folder: %w", err)
	} else if !info.IsDir() {
		return 0, fmt.Errorf("check folder: %s is a file; name the folder that replay wrote", dir)
	}
	for _, f := range schema.Files() {
		c, err := newChecker(f)
		if err != nil {
			return lines, err
		}
		c.report = func(line int, format string, args ...any) {
			report(Problem{File: f.Name, Line: line, Text: fmt.Sprintf(format, args...)})
		}
		c.file(filepath.Join(dir, f.Name))
		lines += c.lines
	}
	return lines, nil
}

// checker checks one file.
type checker struct {
	of     schema.File
	schema *jsonschema.Schema
	order  *order
	sort   []string
	last   []string // the sort keys of the line before
	lines  int
	report func(line int, format string, args ...any)
}

func newChecker(f schema.File) (*checker, error) {
	text, err := schema.Text(f.Schema)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read schema %s: %w", f.Schema, err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(f.Schema, doc); err != nil {
		return nil, fmt.Errorf("read schema %s: %w", f.Schema, err)
	}
	c := &checker{of: f}
	if c.schema, err = compiler.Compile(f.Schema); err != nil {
		return nil, fmt.Errorf("compile schema %s: %w", f.Schema, err)
	}
	root, ok := doc.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("read schema %s: it is no object", f.Schema)
	}
	c.order = orderOf(root, root)
	c.sort = texts(root["x-sort"])
	return c, nil
}

func (c *checker) file(path string) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			c.report(0, "is missing; all files always exist")
		} else {
			c.report(0, "%v", err)
		}
		return
	}
	defer func() { _ = f.Close() }()
	if !c.of.Lines {
		text, err := io.ReadAll(io.LimitReader(f, maxLine))
		if err != nil {
			c.report(0, "%v", err)
			return
		}
		c.lines = 1
		c.line(1, bytes.TrimSpace(text))
		return
	}
	scan := bufio.NewScanner(f)
	scan.Buffer(make([]byte, 64<<10), maxLine)
	scan.Split(wholeLines)
	for scan.Scan() {
		c.lines++
		text, whole := bytes.CutSuffix(scan.Bytes(), []byte("\n"))
		if !whole {
			c.report(c.lines, "the last line does not end; the file is cut")
		}
		c.line(c.lines, text)
	}
	if err := scan.Err(); err != nil {
		c.report(c.lines+1, "%v", err)
	}
}

// wholeLines splits into lines with their ends, so that a cut one shows.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (c *checker) line(n int, text []byte) {
	v, err := parse(text)
	if err != nil {
		c.report(n, "no JSON object: %v", err)
		return
	}
	for _, s := range c.order.check(v, "") {
		c.report(n, "%s", s)
	}
	if err := c.schema.Validate(v.plain()); err != nil {
		var bad *jsonschema.ValidationError
		if !errors.As(err, &bad) {
			c.report(n, "%v", err)
			return
		}
		for _, s := range leaves(bad) {
			c.report(n, "%s", s)
		}
		return
	}
	c.sorted(n, v)
}

// sorted compares a line with the one before.
func (c *checker) sorted(n int, v value) {
	if len(c.sort) == 0 {
		return
	}
	var now []string
	for _, k := range c.sort {
		x := v.get(k)
		if num, ok := x.(json.Number); ok {
			// Right-aligned, digits compare as numbers.
			now = append(now, fmt.Sprintf("%24s", num))
			continue
		}
		s, _ := x.(string)
		now = append(now, s)
	}
	if c.last != nil && slices.Compare(now, c.last) < 0 {
		c.report(n, "is not sorted by %s: it comes before the line above", strings.Join(c.sort, ", "))
	}
	c.last = now
}

// leaves are the innermost causes of a validation error, one text each.
func leaves(e *jsonschema.ValidationError) []string {
	if len(e.Causes) == 0 {
		at := strings.Join(e.InstanceLocation, ".")
		text := e.ErrorKind.LocalizedString(printer)
		if at == "" {
			return []string{text}
		}
		return []string{at + ": " + text}
	}
	var out []string
	for _, cause := range e.Causes {
		out = append(out, leaves(cause)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
