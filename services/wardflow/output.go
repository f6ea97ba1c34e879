package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// format is a form of output: table for people, json (one object a line) and csv
// for programs.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatCSV   format = "csv"
)

// rows is a result as it arrives; *store.Rows is one.
type rows interface {
	Next() bool
	Values() ([]any, error)
	Err() error
	Close() error
}

// column is a column of a table: which column of the result, under which title,
// and how a value is shown.
type column struct {
	name  string
	title string
	show  func(any) string
	style func(any) style
	right bool
	least int // characters that are not cut; 0 means leastWidth
	spare int // left out of a terminal that is too narrow, those of 1 first; 0 never
}

// style is a colour; it is used on terminals only.
type style string

const (
	plain  style = ""
	bold   style = "1"
	red    style = "31"
	redder style = "1;31"
	yellow style = "33"
	green  style = "32"
	faint  style = "2"
)

// screen is where output goes, and what it can do.
type screen struct {
	w      io.Writer
	width  int // 0: no limit
	colour bool
}

// newScreen looks at the terminal behind w, if there is one. NO_COLOR
// (no-color.org) and a dumb terminal switch colours off.
func newScreen(w io.Writer, environ func(string) string) *screen {
	s := &screen{w: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		s.width = width
	}
	s.colour = environ("NO_COLOR") == "" && environ("TERM") != "dumb"
	return s
}

func (s *screen) paint(text string, c style) string {
	if !s.colour || c == plain {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// jsonColumns hold JSON as text; in JSON output they are what they say.
var jsonColumns = map[string]bool{"attributes": true, "evidence": true, "record": true, "factors": true}

// write prints a result. names are its columns; table are those that the table
// form shows, all when there are none. It gives the number of rows.
func (s *screen) write(f format, names []string, table []column, r rows) (n int, err error) {
	switch f {
	case formatJSON:
		return s.writeJSON(names, r)
	case formatCSV:
		return s.writeCSV(names, r)
	}
	return s.writeTable(names, table, r)
}

func (s *screen) writeJSON(names []string, r rows) (n int, err error) {
	out := bufio.NewWriter(s.w)
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			return n, err
		}
		line, err := jsonObject(names, v)
		if err != nil {
			return n, fmt.Errorf("encode row: %w", err)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return n, fmt.Errorf("write: %w", err)
		}
		n++
	}
	if err := r.Err(); err != nil {
		return n, err
	}
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("write: %w", err)
	}
	return n, nil
}

// jsonObject keeps the order of the columns.
func jsonObject(names []string, values []any) ([]byte, error) {
	b := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		k, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		v := values[i]
		if text, ok := v.(string); ok && jsonColumns[name] && json.Valid([]byte(text)) {
			v = json.RawMessage(text)
		}
		x, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, k...), ':'), x...)
	}
	return append(b, '}'), nil
}

func (s *screen) writeCSV(names []string, r rows) (n int, err error) {
	out := csv.NewWriter(s.w)
	if err := out.Write(names); err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	record := make([]string, len(names))
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			return n, err
		}
		for i, x := range v {
			if record[i], err = csvText(x); err != nil {
				return n, fmt.Errorf("encode %s: %w", names[i], err)
			}
		}
		if err := out.Write(record); err != nil {
			return n, fmt.Errorf("write: %w", err)
		}
		n++
	}
	if err := r.Err(); err != nil {
		return n, err
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return n, fmt.Errorf("write: %w", err)
	}
	return n, nil
}

// csvText is a value as one field: lists and maps as JSON, null as nothing.
func csvText(v any) (string, error) {
	switch x := v.(type) {
	case nil:
		return "", nil
	case string:
		return x, nil
	case []any, map[string]any:
		b, err := json.Marshal(x)
		return string(b), err
	}
	return fmt.Sprint(v), nil
}

// cell is a shown value.
type cell struct {
	text  string
	style style
}

func (s *screen) writeTable(names []string, cols []column, r rows) (n int, err error) {
	index := map[string]int{}
	for i, name := range names {
		index[name] = i
	}
	cols = slices.Clone(cols) // the lists are everybody's
	if cols == nil {
		for _, name := range names {
			cols = append(cols, column{name: name, title: name})
		}
	}
	for _, c := range cols {
		if _, ok := index[c.name]; !ok {
			return 0, fmt.Errorf("show %s: the result has no such column, it has %s", c.name, strings.Join(names, ", "))
		}
	}
	var table [][]cell
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			return n, err
		}
		line := make([]cell, len(cols))
		for i, c := range cols {
			x := v[index[c.name]]
			show := c.show
			if show == nil {
				show = showAny
			}
			line[i].text = printable(show(x))
			if c.style != nil {
				line[i].style = c.style(x)
			}
			if _, ok := x.(string); !ok && isNumber(x) {
				cols[i].right = true
			}
		}
		table = append(table, line)
	}
	if err := r.Err(); err != nil {
		return len(table), err
	}
	if len(table) == 0 {
		return 0, nil
	}
	return len(table), s.printTable(cols, table)
}

func (s *screen) printTable(cols []column, table [][]cell) error {
	out := bufio.NewWriter(s.w)
	for _, line := range s.tableLines(cols, table, s.width) {
		if _, err := out.WriteString(line + "\n"); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// tableLines are the titles and the rows of a table in a room so wide, 0 for any.
func (s *screen) tableLines(cols []column, table [][]cell, room int) []string {
	widths := make([]int, len(cols))
	for i, c := range cols {
		widths[i] = width(c.title)
		for _, line := range table {
			widths[i] = max(widths[i], width(line[i].text))
		}
	}
	shown := fit(widths, cols, room)
	head := make([]cell, len(cols))
	for i, c := range cols {
		head[i] = cell{strings.ToUpper(c.title), bold}
	}
	var lines []string
	for _, line := range append([][]cell{head}, table...) {
		var b strings.Builder
		for n, i := range shown {
			if n > 0 {
				b.WriteString("  ")
			}
			b.WriteString(s.pad(line[i], widths[i], cols[i].right, n == len(shown)-1))
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// pad cuts or fills a cell to its column.
func (s *screen) pad(c cell, w int, right, last bool) string {
	text := cut(c.text, w)
	fill := strings.Repeat(" ", w-width(text))
	switch {
	case right:
		return fill + s.paint(text, c.style)
	case last:
		return s.paint(text, c.style)
	}
	return s.paint(text, c.style) + fill
}

// leastWidth is what a column keeps when the terminal is narrow.
const leastWidth = 6

// fit gives the columns that a terminal has room for, and cuts their widths to it:
// columns that can be spared are left out, then the widest are made narrower.
func fit(widths []int, cols []column, room int) (shown []int) {
	for i := range cols {
		shown = append(shown, i)
	}
	if room <= 0 {
		return shown
	}
	least := func(i int) int { return min(widths[i], max(cols[i].least, leastWidth)) }
	total := func(of func(int) int) int {
		n := 2 * (len(shown) - 1)
		for _, i := range shown {
			n += of(i)
		}
		return n
	}
	for total(least) > room {
		spare := -1
		for n, i := range shown {
			if s := cols[i].spare; s > 0 && (spare < 0 || s < cols[shown[spare]].spare) {
				spare = n
			}
		}
		if spare < 0 {
			break
		}
		shown = slices.Delete(shown, spare, spare+1)
	}
	for n := total(func(i int) int { return widths[i] }); n > room; n-- {
		widest := -1
		for _, i := range shown {
			if widths[i] > least(i) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			for _, i := range shown {
				if widths[i] > leastWidth && (widest < 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return shown
}

func width(s string) int { return utf8.RuneCountInString(s) }

func cut(s string, w int) string {
	if width(s) <= w {
		return s
	}
	return string([]rune(s)[:w-1]) + "…"
}

// printable keeps what the network said from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func isNumber(v any) bool {
	switch v.(type) {
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return true
	}
	return false
}

func showAny(v any) string {
	switch x := v.(type) {
	case nil:
		return "-"
	case string:
		if x == "" {
			return "-"
		}
		return x
	case []any:
		return showList(x)
	case map[string]any:
		b, err := json.Marshal(x)
		if err != nil { // made of what came from JSON-like values
			return "?"
		}
		return string(b)
	case float64:
		return strconv.FormatFloat(x, 'g', 6, 64)
	}
	return fmt.Sprint(v)
}

func showList(list []any) string {
	if len(list) == 0 {
		return "-"
	}
	parts := make([]string, len(list))
	for i, x := range list {
		parts[i] = showAny(x)
	}
	return strings.Join(parts, ", ")
}

// showID shortens an id to what people need to tell two apart, and what every
// command takes for one.
func showID(v any) string {
	s, _ := v.(string)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), idShown)]
}

const idShown = 12

// showTime is UTC to the second.
func showTime(v any) string {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return showAny(v)
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func showScore(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return "-"
}

// showShare is a number from 0 to 1.
func showShare(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return showAny(v)
}

// severity colours tiers and severities alike.
func severity(v any) style {
	switch v {
	case "critical":
		return redder
	case "high":
		return red
	case "medium":
		return yellow
	case "low":
		return green
	case "info":
		return faint
	}
	return plain
}
