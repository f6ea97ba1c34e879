package hospital

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// decode reads a node into a struct, a slice or a map. Keys that it does not have are
// problems, which name those that it has; fields called Line get the line of theirs.
func (r *reader) decode(n *yaml.Node, into any) {
	before := len(r.errs)
	r.keys(n, reflect.TypeOf(into).Elem())
	if len(r.errs) > before {
		return
	}
	if err := n.Decode(into); err != nil {
		r.yaml(err)
		return
	}
	lines(n, reflect.ValueOf(into).Elem())
}

var nodeType = reflect.TypeFor[yaml.Node]()

// keys checks that every key of a node has a field, and none is there twice.
func (r *reader) keys(n *yaml.Node, t reflect.Type) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nodeType:
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, x := range n.Content {
			r.keys(x, t.Elem())
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			r.keys(n.Content[i], t.Elem())
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		known := fields(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			at := slices.IndexFunc(known, func(f field) bool { return f.name == k.Value })
			if at < 0 {
				r.bad(k.Line, "unknown key %q: want one of %s", k.Value, names(known))
				continue
			}
			r.keys(n.Content[i+1], known[at].typ)
		}
	}
}

type field struct {
	name string
	typ  reflect.Type
	at   []int
}

// fieldsOf remembers them by type: a roster has many lines of one.
var fieldsOf sync.Map

// fields are those that a mapping may have, with those of inlined structs.
func fields(t reflect.Type) []field {
	if list, known := fieldsOf.Load(t); known {
		if list, ok := list.([]field); ok {
			return list
		}
	}
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			for _, x := range fields(f.Type) {
				x.at = append([]int{i}, x.at...)
				list = append(list, x)
			}
		case name != "" && name != "-":
			list = append(list, field{name, f.Type, []int{i}})
		}
	}
	fieldsOf.Store(t, list)
	return list
}

func names(list []field) string {
	var all []string
	for _, f := range list {
		all = append(all, f.name)
	}
	return strings.Join(all, ", ")
}

// lines tells each struct that has a field Line the line of its node.
func lines(n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case v.Type() == nodeType:
	case v.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i := range min(v.Len(), len(n.Content)) {
			lines(n.Content[i], v.Index(i))
		}
	case v.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		if l := v.FieldByName("Line"); l.IsValid() && l.CanSet() {
			l.SetInt(int64(n.Line))
		}
		known := fields(v.Type())
		for i := 0; i+1 < len(n.Content); i += 2 {
			at := slices.IndexFunc(known, func(f field) bool { return f.name == n.Content[i].Value })
			if at >= 0 {
				lines(n.Content[i+1], v.FieldByIndex(known[at].at))
			}
		}
	}
}

// Strict reads a part of a context file, as Parse reads the rest.
func Strict(name string, n *yaml.Node, into any) error {
	if n.IsZero() {
		return nil
	}
	r := &reader{name: name}
	r.decode(n, into)
	return r.err()
}
