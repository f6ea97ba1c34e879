package bacnet

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

//go:embed names.txt
var namesText string

//go:embed vendors.txt
var vendorsText string

// names are the enumerations' words by kind and number.
type names struct {
	words   map[string]map[uint32]string
	vendors map[uint32]string
}

// book is read when the first BACnet device is seen.
var book = sync.OnceValue(func() *names {
	n := &names{words: map[string]map[uint32]string{}, vendors: map[uint32]string{}}
	for line := range strings.Lines(namesText) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if id, word, ok := numbered(rest); ok {
			if n.words[kind] == nil {
				n.words[kind] = map[uint32]string{}
			}
			n.words[kind][id] = word
		}
	}
	for line := range strings.Lines(vendorsText) {
		if id, maker, ok := numbered(strings.TrimSpace(line)); ok {
			n.vendors[id] = maker
		}
	}
	return n
})

func numbered(s string) (id uint32, word string, ok bool) {
	number, word, ok := strings.Cut(s, " ")
	n, err := strconv.ParseUint(number, 10, 32)
	return uint32(n), word, ok && err == nil
}

// word is the name of a number of an enumeration, or the number.
func word(kind string, n uint32) string {
	if s := book().words[kind][n]; s != "" {
		return s
	}
	return strconv.FormatUint(uint64(n), 10)
}

// vendor is the organisation that a vendor identifier was given to, "" if unknown.
func vendor(n uint32) string { return book().vendors[n] }
