package config

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the name of every variable that sets something.
const EnvPrefix = "WARDFLOW_"

// Field is one setting.
type Field struct {
	Path   string // kafka.sasl.user
	Env    string // WARDFLOW_KAFKA_SASL_USER
	Type   string // for people: text, whole number, duration, ...
	Secret bool
	index  []int
}

// Fields lists every setting in the order of the file. The name of a variable is
// looked up in this list and never taken apart, because keys have underscores
// themselves.
func Fields() []Field { return fieldsOf(reflect.TypeFor[Config](), "", nil) }

func fieldsOf(t reflect.Type, prefix string, index []int) []Field {
	var out []Field
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		name, inline := yamlName(f)
		switch {
		case name == "-": // no setting
		case inline:
			out = append(out, fieldsOf(f.Type, prefix, at)...)
		case f.Type.Kind() == reflect.Struct:
			out = append(out, fieldsOf(f.Type, prefix+name+".", at)...)
		default:
			path := prefix + name
			out = append(out, Field{
				Path: path, Env: EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_")),
				Type: typeName(f.Type), Secret: isSecret(name), index: at,
			})
		}
	}
	return out
}

func yamlName(f reflect.StructField) (name string, inline bool) {
	name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name, rest == "inline"
}

// isSecret goes by the key's name, so that a secret that another package adds
// is not printed by oversight.
func isSecret(name string) bool {
	for _, word := range []string{"password", "secret", "token"} {
		if name == word || strings.HasSuffix(name, "_"+word) {
			return true
		}
	}
	return false
}

func typeName(t reflect.Type) string {
	if t.PkgPath() == "time" {
		return "a duration such as 90s or 5m"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of texts"
	case reflect.Map:
		return "a mapping"
	}
	return "a text"
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// nearest is the candidate that a misspelt word most likely means, or "".
func nearest(word string, candidates []string) string {
	best, least := "", len(word)/3+2
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
