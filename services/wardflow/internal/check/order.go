package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

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
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := read(d, 0)
	if err != nil {
		return v, err
	}
	if v.kind != '{' {
		return v, errors.New("it is another kind of value")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, errors.New("something follows the object")
	}
	return v, nil
}

const maxDepth = 100

func read(d *json.Decoder, depth int) (value, error) {
	if depth > maxDepth {
		return value{}, errors.New("nested too deeply")
	}
	t, err := d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return value{}, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return value{scalar: t}, nil
	}
	v := value{kind: byte(delim)}
	for d.More() {
		if v.kind == '{' {
			k, err := d.Token()
			if err != nil {
				return v, err
			}
			name, _ := k.(string)
			v.keys = append(v.keys, name)
		}
		x, err := read(d, depth+1)
		if err != nil {
			return v, err
		}
		v.vals = append(v.vals, x)
	}
	_, err = d.Token()
	return v, err
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
			out = append(out, o.items.check(x, at+"["+strconv.Itoa(i)+"]")...)
		}
	case v.kind == '{':
		out = append(out, o.keys(v, at)...)
		for i, k := range v.keys {
			out = append(out, o.props[k].check(v.vals[i], strings.TrimPrefix(at+"."+k, "."))...)
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
