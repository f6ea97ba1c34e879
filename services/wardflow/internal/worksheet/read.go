package worksheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wardflow/wardflow/proto"
)

// maxFile bounds what is read: a row a device and attribute, for a million of them.
const maxFile = 256 << 20

// Reading is how a filled worksheet is taken in.
type Reading struct {
	By     string // who filled it in, where a row does not say it
	Device func(proto.ID) *proto.Device
	New    func(device proto.ID, action, by, note string) *proto.Edit
	Check  func(*proto.Edit) error
	Same   func(attribute, a, b string) bool // two spellings of one value
}

// Result is what a worksheet says.
type Result struct {
	Edits []*proto.Edit
	Empty int     // rows without a value
	Bad   []error // rows that cannot be used, each with its line
}

// Read takes the filled rows of a worksheet. A value that is the present one
// confirms it, any other sets it. The error is for a file that is no worksheet;
// bad rows are told in the result, and the rest counts.
func Read(r io.Reader, how Reading) (*Result, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read worksheet: %w", err)
	case len(text) > maxFile:
		return nil, fmt.Errorf("read worksheet: it is larger than %d MB: split it", maxFile>>20)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(text) {
		return nil, errors.New("read worksheet: it is not UTF-8: save it from the spreadsheet as \"CSV UTF-8\"")
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.Comma = delimiter(text)
	in.FieldsPerRecord = -1
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("read worksheet: it has no first line with the names of its columns: %w", err)
	}
	s := &sheet{how: how, at: map[string]int{}, width: len(head), res: &Result{}, seen: map[string]int{}}
	for i, name := range head {
		s.at[strings.ToLower(strings.TrimSpace(name))] = i
	}
	for _, need := range []string{"device_id", "attribute", "value"} {
		if _, ok := s.at[need]; !ok {
			return nil, fmt.Errorf("read worksheet: line 1 has no column %s: keep the first line as `wardflow device worksheet` writes it", need)
		}
	}
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return s.res, nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			s.bad(bad.StartLine, "%v: check the quotes", bad.Err)
			continue
		} else if err != nil {
			return nil, fmt.Errorf("read worksheet: %w", err)
		}
		line, _ := in.FieldPos(0)
		s.row(line, fields)
	}
}

// delimiter is the one of the first line: spreadsheets of many countries write
// semicolons, some write tabs.
func delimiter(text []byte) rune {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	best, most := ',', bytes.Count(first, []byte(","))
	for _, c := range ";\t" {
		if n := bytes.Count(first, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

// sheet is a worksheet that is being read.
type sheet struct {
	how   Reading
	at    map[string]int
	width int
	res   *Result
	seen  map[string]int // device and attribute -> line
}

func (s *sheet) bad(line int, format string, args ...any) {
	s.res.Bad = append(s.res.Bad, fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...)))
}

func (s *sheet) row(line int, fields []string) {
	get := func(name string) string {
		if i, ok := s.at[name]; ok && i < len(fields) {
			return strings.TrimSpace(unguard(fields[i]))
		}
		return ""
	}
	value := get("value")
	switch {
	case value == "" && len(fields) <= s.width:
		s.res.Empty++
		return
	case len(fields) != s.width:
		s.bad(line, "has %d cells, the first line %d: a cell with a delimiter in it needs quotes", len(fields), s.width)
		return
	}
	id, err := proto.ParseID(strings.ToLower(get("device_id")))
	if err != nil {
		s.bad(line, "device_id is no id of 32 hex digits: leave the column as it was written")
		return
	}
	dev := s.how.Device(id)
	if dev == nil {
		s.bad(line, "device %s is not known: write the worksheet anew, it may have been merged", id)
		return
	}
	attribute := strings.ToLower(get("attribute"))
	key := dev.DeviceID.String() + attribute
	if before, twice := s.seen[key]; twice {
		s.bad(line, "line %d has a value of %s of the same device already: leave one of them", before, attribute)
		return
	}
	by := get("by")
	if by == "" {
		by = s.how.By
	}
	e := s.how.New(dev.DeviceID, proto.EditSet, by, get("note"))
	e.Attribute, e.Value = attribute, value
	if now := dev.Present(attribute); now != "" && s.how.Same(attribute, now, value) && !conflicts(dev, attribute) {
		e.Action = proto.EditConfirm
	}
	if err := s.how.Check(e); err != nil {
		s.bad(line, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	s.seen[key] = line
	s.res.Edits = append(s.res.Edits, e)
}

func conflicts(d *proto.Device, attribute string) bool {
	return slices.ContainsFunc(d.Conflicts, func(c proto.Conflict) bool { return c.Attribute == attribute })
}
