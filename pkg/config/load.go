package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Source says where settings come from; the later ones win.
type Source struct {
	File    string   // "" for none
	Environ []string // NAME=VALUE, as of os.Environ
	Set     []string // PATH=VALUE, from flags
}

// Loaded is a configuration, and where each setting that is not the default came from.
type Loaded struct {
	Config
	origin map[string]string // path: file:line, variable or flag
}

// Load reads a configuration and validates it. The error is Problems: all there
// are, in the order of file, environment, flags, then the values as a whole. The
// configuration comes back even then, for being printed.
func Load(src Source) (*Loaded, error) {
	l := &Loaded{Config: Default(), origin: map[string]string{}}
	var p Problems
	if src.File != "" {
		l.readFile(&p, src.File)
	}
	l.readEnviron(&p, src.Environ)
	for _, s := range src.Set {
		l.readFlag(&p, s)
	}
	failed := map[string]bool{}
	for _, x := range p {
		failed[x.Path] = true
	}
	for _, x := range l.Validate() {
		if failed[x.Path] {
			continue // it has its default: what is wrong with it has been said
		}
		x.Where = l.where(x.Path)
		p = append(p, x)
	}
	if len(p) > 0 {
		return l, p
	}
	return l, nil
}

// Where tells where a setting comes from: file:line, variable or flag; "" for a default.
func (l *Loaded) Where(path string) string { return l.where(path) }

// where finds the origin of a path as it stands in a problem: the path itself,
// or the first setting of several, without the index of a list.
func (l *Loaded) where(path string) string {
	path, _, _ = strings.Cut(path, ", ")
	if at := l.origin[path]; at != "" {
		return at
	}
	path, _, _ = strings.Cut(path, "[")
	for ; path != ""; path = path[:max(strings.LastIndexByte(path, '.'), 0)] {
		if at := l.origin[path]; at != "" {
			return at
		}
	}
	return ""
}

// came notes the origin of a setting, and forgets that of its former items.
func (l *Loaded) came(path, from string) {
	for i := 0; l.origin[indexed(path, i)] != ""; i++ {
		delete(l.origin, indexed(path, i))
	}
	l.origin[path] = from
}

func (l *Loaded) readFile(p *Problems, file string) {
	f, err := os.Open(file)
	if err != nil {
		p.add("", "", "read configuration: %v", err)
		return
	}
	defer func() { _ = f.Close() }()
	dec := yaml.NewDecoder(f)
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file sets nothing
			p.add("", file, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		p.add("", file, "has more than one YAML document; put everything into one")
	}
	w := walker{l: l, p: p, file: file}
	w.structure(doc.Content[0], reflect.ValueOf(&l.Config).Elem(), "")
}

// walker goes through a YAML tree beside the structs that it fills.
type walker struct {
	l    *Loaded
	p    *Problems
	file string // "" when the text came from a variable or flag
	from string // that variable or flag
}

func (w *walker) at(n *yaml.Node) string {
	if w.file == "" {
		return w.from
	}
	return fmt.Sprintf("%s:%d", w.file, n.Line)
}

// structure fills the struct v from the mapping n.
func (w *walker) structure(n *yaml.Node, v reflect.Value, prefix string) {
	n = resolve(n)
	if n.Tag == "!!null" {
		return // a section with nothing in it
	}
	if n.Kind != yaml.MappingNode {
		w.p.add(strings.TrimSuffix(prefix, "."), w.at(n), "want a mapping of settings, got %s", kindOf(n))
		return
	}
	fields := map[string]reflect.Value{}
	named(v, fields)
	w.mapping(n, prefix, func(key string, k, val *yaml.Node) {
		f, ok := fields[key]
		if !ok {
			hint := ""
			if c := nearest(key, sortedKeys(fields)); c != "" {
				hint = fmt.Sprintf("; did you mean %s?", c)
			}
			w.p.add(prefix+key, w.at(k), "is no setting%s", hint)
			return
		}
		w.value(val, f, prefix+key, key)
	})
}

// mapping calls f for each key of n, once.
func (w *walker) mapping(n *yaml.Node, prefix string, f func(key string, k, val *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if first := seen[k.Value]; first != 0 {
			w.p.add(prefix+k.Value, w.at(k), "is set twice; first in line %d", first)
			continue
		}
		seen[k.Value] = k.Line
		f(k.Value, k, n.Content[i+1])
	}
}

func (w *walker) value(n *yaml.Node, f reflect.Value, path, key string) {
	n = resolve(n)
	switch {
	case f.Kind() == reflect.Struct:
		w.structure(n, f, path+".")
		return
	case f.Kind() == reflect.Map && f.Type().Elem().Kind() == reflect.Struct:
		w.structures(n, f, path)
		return
	case n.Tag == "!!null":
		return
	}
	if isSecret(key) && n.Value != "" && w.file != "" {
		w.p.add(path, w.at(n), "secrets do not belong into the configuration file; use %s_file, or the variable %s", path, EnvPrefix+strings.ToUpper(strings.ReplaceAll(path, ".", "_")))
	}
	fresh := reflect.New(f.Type())
	if err := n.Decode(fresh.Interface()); err != nil {
		got := kindOf(n)
		if n.Kind == yaml.ScalarNode && !isSecret(key) {
			got = fmt.Sprintf("%q", n.Value)
		}
		w.p.add(path, w.at(n), "want %s, got %s", typeName(f.Type()), got)
		return
	}
	f.Set(fresh.Elem())
	w.l.came(path, w.at(n))
	for i, item := range n.Content {
		if n.Kind == yaml.SequenceNode {
			w.l.origin[indexed(path, i)] = w.at(item)
		}
	}
}

// structures fills a map of structs; entries that are there are changed, not replaced.
func (w *walker) structures(n *yaml.Node, f reflect.Value, path string) {
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		w.p.add(path, w.at(n), "want a mapping by name, got %s", kindOf(n))
		return
	}
	if f.IsNil() {
		f.Set(reflect.MakeMap(f.Type()))
	}
	w.mapping(n, path+".", func(key string, k, val *yaml.Node) {
		v := reflect.New(f.Type().Elem()).Elem()
		if old := f.MapIndex(reflect.ValueOf(key)); old.IsValid() {
			v.Set(old)
		}
		w.l.origin[path+"."+key] = w.at(k)
		w.structure(val, v, path+"."+key+".")
		f.SetMapIndex(reflect.ValueOf(key), v)
	})
}

// named collects a struct's fields by key, those of inline structs too.
func named(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		name, inline := yamlName(v.Type().Field(i))
		if inline {
			named(v.Field(i), into)
			continue
		}
		if name == "-" { // no setting
			continue
		}
		into[name] = v.Field(i)
	}
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// serviceLink matches the variables that Kubernetes makes for a service whose
// name begins with wardflow; they are nobody's settings.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_\d+_(TCP|UDP)(_(ADDR|PORT|PROTO))?)$`)

func (l *Loaded) readEnviron(p *Problems, environ []string) {
	byEnv := map[string]Field{}
	sections := map[string]bool{}
	for _, f := range Fields() {
		byEnv[f.Env] = f
		if section, _, ok := strings.Cut(f.Path, "."); ok {
			sections[EnvPrefix+strings.ToUpper(section)+"_"] = true
		}
	}
	sorted := slices.Sorted(slices.Values(environ))
	for _, kv := range sorted {
		name, value, _ := strings.Cut(kv, "=")
		if f, ok := byEnv[name]; ok {
			l.set(p, f, value, name)
			continue
		}
		for _, s := range sortedKeys(sections) {
			if strings.HasPrefix(name, s) && !serviceLink.MatchString(name) {
				hint := ""
				if c := nearest(name, sortedKeys(byEnv)); c != "" {
					hint = fmt.Sprintf("; did you mean %s?", c)
				}
				p.add("", name, "sets nothing: there is no such setting%s", hint)
			}
		}
	}
}

func (l *Loaded) readFlag(p *Problems, s string) {
	path, value, ok := strings.Cut(s, "=")
	if !ok {
		p.add("", "--set "+s, "want PATH=VALUE, for example kafka.brokers=kafka1:9092,kafka2:9092")
		return
	}
	var paths []string
	for _, f := range Fields() {
		if f.Path == path {
			l.set(p, f, value, "--set "+path)
			return
		}
		paths = append(paths, f.Path)
	}
	if path, ok := strings.CutPrefix(path, "policy."); ok && strings.Contains(path, ".") {
		l.setPolicy(p, path, value)
		return
	}
	hint := ""
	if c := nearest(path, paths); c != "" {
		hint = fmt.Sprintf("; did you mean %s?", c)
	}
	p.add(path, "--set", "is no setting%s", hint)
}

// set takes a value that came as text: a text as it is, a list of texts
// separated by commas, everything else (and a list in brackets) as YAML.
func (l *Loaded) set(p *Problems, f Field, value, from string) {
	v := reflect.ValueOf(&l.Config).Elem().FieldByIndex(f.index)
	switch {
	case v.Kind() == reflect.String:
		v.SetString(value)
		l.came(f.Path, from)
	case v.Kind() == reflect.Slice && !strings.HasPrefix(strings.TrimSpace(value), "["):
		list := []string{}
		for _, s := range strings.Split(value, ",") {
			if s = strings.TrimSpace(s); s != "" {
				list = append(list, s)
			}
		}
		v.Set(reflect.ValueOf(list))
		l.came(f.Path, from)
	default:
		l.setYAML(p, v, f.Path, value, from)
	}
}

func (l *Loaded) setYAML(p *Problems, v reflect.Value, path, value, from string) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) == 0 {
		p.add(path, from, "want %s, got %q", typeName(v.Type()), value)
		return
	}
	w := walker{l: l, p: p, from: from}
	w.value(doc.Content[0], v, path, path[strings.LastIndexByte(path, '.')+1:])
}

// setPolicy sets SITE.KEY; a site's name may have dots, a key has none.
func (l *Loaded) setPolicy(p *Problems, path, value string) {
	i := strings.LastIndexByte(path, '.')
	site, key := path[:i], path[i+1:]
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(value), &n); err != nil || len(n.Content) == 0 {
		p.add("policy."+path, "--set", "cannot read %q", value)
		return
	}
	entry := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key}, n.Content[0]}}
	all := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: site}, entry}}
	w := walker{l: l, p: p, from: "--set policy." + path}
	w.structures(all, reflect.ValueOf(&l.Config).Elem().FieldByName("Policy"), "policy")
}
