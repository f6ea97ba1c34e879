package geo

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The bounds of a file: IPtoASN's has some 700,000 lines.
const (
	maxRanges = 8 << 20
	maxLine   = 4 << 10
	maxName   = 128
)

// Open reads a file in IPtoASN's format, as it is or packed with gzip: first address, last
// address, AS number, country, AS name, with tabs between. The error says in which line
// what is wrong.
func Open(path string) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the table of addresses: %w", err)
	}
	defer func() { _ = f.Close() }()
	t, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Read reads what Open does.
func Read(r io.Reader) (*Table, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	t := &builder{known: map[Place]uint32{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, maxLine), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := t.line(bytes.TrimRight(lines.Bytes(), "\r")); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("is longer than %d bytes; want IPtoASN's ip2asn-combined.tsv", maxLine)
		}
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return t.done()
}

type builder struct {
	Table
	known map[Place]uint32
	begun bool // a line that is no comment has come
}

// line takes one line in.
func (b *builder) line(text []byte) error {
	if len(text) == 0 || text[0] == '#' {
		if !b.begun && b.about == "" {
			b.about = strings.TrimSpace(strings.TrimLeft(string(text), "#"))
		}
		return nil
	}
	b.begun = true
	var field [5][]byte
	rest, found := text, true
	for i := range field {
		if !found {
			return fmt.Errorf("has %d columns, with tabs between; want first address, last address, AS number, country, AS name (IPtoASN's ip2asn-combined.tsv)", i)
		}
		if i == 4 {
			field[4] = rest
			break
		}
		field[i], rest, found = bytes.Cut(rest, []byte{'\t'})
	}
	first, err := netip.ParseAddr(string(field[0]))
	if err != nil {
		return fmt.Errorf("first address %.64q is no IP address", field[0])
	}
	last, err := netip.ParseAddr(string(field[1]))
	if err != nil {
		return fmt.Errorf("last address %.64q is no IP address", field[1])
	}
	if first.Is4() != last.Is4() || last.Less(first) || first.Zone() != "" || last.Zone() != "" {
		return fmt.Errorf("%s to %s is no range: want two addresses of one kind, the lower one first", first, last)
	}
	asn, err := strconv.ParseUint(string(field[2]), 10, 32)
	if err != nil {
		return fmt.Errorf("AS number %.32q is no number from 0 to 4294967295", field[2])
	}
	country, err := countryOf(field[3])
	if err != nil {
		return err
	}
	p := Place{Country: country, ASN: uint32(asn)}
	if asn == 0 && country == "" {
		return nil // not routed
	}
	if asn != 0 {
		p.Name = nameOf(field[4])
	}
	return b.add(first, last, p)
}

// countryOf reads a country's code; the words for none are IPtoASN's, and "".
func countryOf(text []byte) (string, error) {
	switch s := string(text); {
	case s == "" || s == "None" || s == "Unknown" || s == "-" || s == "ZZ":
		return "", nil
	case len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z':
		return s, nil
	}
	return "", fmt.Errorf("country %.32q is no two capital letters (ISO 3166-1 alpha-2), nor None", text)
}

// nameOf keeps of a name what may be printed.
func nameOf(text []byte) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(text), ""))
	for len(s) > maxName {
		s = s[:len(s)-1]
	}
	return strings.TrimSpace(strings.ToValidUTF8(s, ""))
}

func (b *builder) add(first, last netip.Addr, p Place) error {
	if b.Len() >= maxRanges {
		return fmt.Errorf("is one of more than %d ranges", maxRanges)
	}
	at, ok := b.known[p]
	if !ok {
		at = uint32(len(b.places))
		b.known[p] = at
		b.places = append(b.places, p)
	}
	if first.Is4() {
		b.four = append(b.four, range4{number4(first), number4(last), at})
	} else {
		b.six = append(b.six, range6{number6(first), number6(last), at})
	}
	return nil
}

// done sorts the ranges and looks for such as overlap.
func (b *builder) done() (*Table, error) {
	if b.Len() == 0 {
		return nil, errors.New("has no ranges of addresses; want IPtoASN's ip2asn-combined.tsv, as it is or with .gz")
	}
	slices.SortFunc(b.four, func(x, y range4) int { return cmp.Compare(x.first, y.first) })
	slices.SortFunc(b.six, func(x, y range6) int {
		return cmp.Or(cmp.Compare(x.first.high, y.first.high), cmp.Compare(x.first.low, y.first.low))
	})
	for i := 1; i < len(b.four); i++ {
		if b.four[i].first <= b.four[i-1].last {
			return nil, fmt.Errorf("two ranges overlap at %s", address4(b.four[i].first))
		}
	}
	for i := 1; i < len(b.six); i++ {
		if !b.six[i-1].last.less(b.six[i].first) {
			return nil, fmt.Errorf("two ranges overlap at %s", address6(b.six[i].first))
		}
	}
	b.four, b.six, b.places = slices.Clip(b.four), slices.Clip(b.six), slices.Clip(b.places)
	t := b.Table
	return &t, nil
}

func number4(a netip.Addr) uint32 { v := a.As4(); return binary.BigEndian.Uint32(v[:]) }

func number6(a netip.Addr) wide {
	v := a.As16()
	return wide{binary.BigEndian.Uint64(v[:8]), binary.BigEndian.Uint64(v[8:])}
}

func address4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func address6(w wide) netip.Addr {
	var v [16]byte
	binary.BigEndian.PutUint64(v[:8], w.high)
	binary.BigEndian.PutUint64(v[8:], w.low)
	return netip.AddrFrom16(v)
}
