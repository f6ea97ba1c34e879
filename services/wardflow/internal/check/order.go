package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

var printer = message.NewPrinter(language.English)

// value is a JSON value whose objects remember the order of their keys.
type value struct {
	keys   []string // of an object
	vals   []value  // of an object or array
	scalar any      // string, json.Number, bool, nil
	kind   byte     // '{', '[' or 0
}

// parse reads one JSON object and nothing after it.
func parse(text []byte) (value, error) {
	if !json.Valid(text) {
		var any json.RawMessage
		if err := json.Unmarshal(text, &any); err != nil {
			return value{}, err
		}
		return value{}, errors.New("it is not valid")
	}
	r := reader{text: text}
	v := r.value()
	if v.kind != '{' {
		return v, errors.New("it is another kind of value")
	}
	return v, nil
}

// reader reads JSON that is known to be valid, with the order of its keys, which
// encoding/json gives token by token at ten times the cost. encoding/json bounds
// the depth of what is valid.
type reader struct {
	text []byte
	at   int
}

// next gives the next byte that is no space.
func (r *reader) next() byte {
	for {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			r.at++
		default:
			return c
		}
	}
}

func (r *reader) value() value {
	switch c := r.next(); c {
	case '{', '[':
		r.at++
		v := value{kind: c}
		for end := c + 2; r.next() != end; { // } and ] come two after { and [
			if c == '{' {
				v.keys = append(v.keys, r.string())
			}
			v.vals = append(v.vals, r.value())
		}
		r.at++
		return v
	case '"':
		return value{scalar: r.string()}
	}
	from := r.at
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n,]}", r.text[r.at]) < 0 {
		r.at++
	}
	switch word := string(r.text[from:r.at]); word {
	case "null":
		return value{}
	case "true", "false":
		return value{scalar: word == "true"}
	default:
		return value{scalar: json.Number(word)}
	}
}

func (r *reader) string() string {
	r.next()
	from, plain := r.at, true
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			plain = false
			r.at++
		}
	}
	r.at++
	if plain && utf8.Valid(r.text[from:r.at]) {
		return string(r.text[from+1 : r.at-1])
	}
	var s string
	if err := json.Unmarshal(r.text[from:r.at], &s); err != nil { // it is valid
		return ""
	}
	return s
}

// plain is the value as encoding/json would give it.
func (v value) plain() any {
	switch v.kind {
	case '{':
		m := make(map[string]any, len(v.keys))
		for i, k := range v.keys {
			m[k] = v.vals[i].plain()
		}
		return m
	case '[':
		list := make([]any, len(v.vals))
		for i, x := range v.vals {
			list[i] = x.plain()
		}
		return list
	}
	return v.scalar
}

// get is the scalar under a key, nil when there is none.
func (v value) get(key string) any {
	for i, k := range v.keys {
		if k == key {
			return v.vals[i].scalar
		}
	}
	return nil
}

// order is the order of keys that a schema asks for, and those of what lies below.
type order struct {
	required []string
	props    map[string]*order
	items    *order
}

// orderOf reads "required", "properties", "items", "$ref" and "allOf" of a schema.
func orderOf(s, root map[string]any) *order {
	if ref, ok := s["$ref"].(string); ok {
		defs, _ := root["$defs"].(map[string]any)
		target, _ := defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		return orderOf(target, root)
	}
	if all, ok := s["allOf"].([]any); ok && len(all) > 0 {
		if first, ok := all[0].(map[string]any); ok {
			return orderOf(first, root)
		}
	}
	o := &order{required: texts(s["required"]), props: map[string]*order{}}
	if props, ok := s["properties"].(map[string]any); ok {
		for k, p := range props {
			if sub, ok := p.(map[string]any); ok {
				o.props[k] = orderOf(sub, root)
			}
		}
	}
	if items, ok := s["items"].(map[string]any); ok {
		o.items = orderOf(items, root)
	}
	return o
}

// check tells which keys are not where they belong; missing ones are the
// schema's to report.
func (o *order) check(v value, at string) []string {
	var out []string
	switch {
	case o == nil:
	case v.kind == '[':
		for i, x := range v.vals {
			if x.kind == 0 {
				continue
			}
			out = append(out, o.items.check(x, at+"["+strconv.Itoa(i)+"]")...)
		}
	case v.kind == '{':
		out = append(out, o.keys(v, at)...)
		for i, k := range v.keys {
			if below := o.props[k]; below != nil && v.vals[i].kind != 0 {
				out = append(out, below.check(v.vals[i], strings.TrimPrefix(at+"."+k, "."))...)
			}
		}
	}
	return out
}

func (o *order) keys(v value, at string) []string {
	in := ""
	if at != "" {
		in = " of " + at
	}
	var out []string
	place := map[string]int{}
	for i, k := range v.keys {
		if _, twice := place[k]; twice {
			out = append(out, fmt.Sprintf("key %s%s is there twice", k, in))
		}
		place[k] = i
	}
	next := 0
	for _, k := range o.required {
		i, ok := place[k]
		if !ok {
			continue
		}
		if i != next {
			return append(out, fmt.Sprintf("key %s%s is number %d, not %d: keys come in the order of the schema, further ones after them", k, in, i+1, next+1))
		}
		next++
	}
	return out
}

func texts(list any) []string {
	all, _ := list.([]any)
	var out []string
	for _, x := range all {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
