package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"strconv"
	"strings"
)

// source is what a package says in comments.
type source struct {
	structs map[string]*message
	consts  map[string]string // value of a text constant -> comment beside it
}

// message is a struct that is sent as JSON or msgpack.
type message struct {
	doc    string
	fields []member
}

type member struct{ name, typ, comment string }

// readSource reads the Go files of a folder.
func readSource(tree fs.FS, dir string) (*source, error) {
	names, err := fs.Glob(tree, dir+"/*.go")
	if err != nil {
		return nil, fmt.Errorf("find sources: %w", err)
	}
	s := &source{structs: map[string]*message{}, consts: map[string]string{}}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, fmt.Errorf("read source: %w", err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read source: %w", err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				s.declarations(g)
			}
		}
	}
	return s, nil
}

func (s *source) declarations(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch x := spec.(type) {
		case *ast.ValueSpec:
			if len(x.Values) == 1 {
				if l, ok := x.Values[0].(*ast.BasicLit); ok && l.Kind == token.STRING {
					if v, err := strconv.Unquote(l.Value); err == nil {
						s.consts[v] = oneLine(x.Comment.Text())
					}
				}
			}
		case *ast.TypeSpec:
			if st, ok := x.Type.(*ast.StructType); ok {
				doc := x.Doc
				if doc == nil {
					doc = g.Doc
				}
				s.structs[x.Name.Name] = &message{doc: oneLine(doc.Text()), fields: members(st)}
			}
		}
	}
}

// members are the exported fields, by the name in JSON or YAML, else in Go.
func members(st *ast.StructType) []member {
	var out []member
	for _, f := range st.Fields.List {
		comment := oneLine(f.Comment.Text())
		if comment == "" {
			comment = oneLine(f.Doc.Text())
		}
		for _, n := range f.Names {
			if !n.IsExported() {
				continue
			}
			name := n.Name
			if f.Tag != nil {
				if tag, err := strconv.Unquote(f.Tag.Value); err == nil {
					for _, key := range []string{"json", "yaml"} {
						if t, _, _ := strings.Cut(reflect.StructTag(tag).Get(key), ","); t != "" {
							name = t
						}
					}
				}
			}
			if name != "-" {
				out = append(out, member{name, typeText(f.Type), comment})
			}
		}
	}
	return out
}

func typeText(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return typeText(x.X) + "." + x.Sel.Name
	case *ast.StarExpr:
		return typeText(x.X) + "?"
	case *ast.ArrayType:
		if x.Len == nil {
			return "[]" + typeText(x.Elt)
		}
		return "[n]" + typeText(x.Elt)
	case *ast.MapType:
		return "map[" + typeText(x.Key) + "]" + typeText(x.Value)
	}
	return "?"
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
