package config

import (
	"fmt"
	"io"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// Redacted stands for a secret that is set.
const Redacted = "(redacted)"

// Print writes the effective configuration as YAML. Secrets are redacted; each
// setting that is not the default is followed by where it came from.
func (l *Loaded) Print(w io.Writer) error {
	shown := l.Config
	v := reflect.ValueOf(&shown).Elem()
	for _, f := range Fields() {
		if s := v.FieldByIndex(f.index); f.Secret && s.Kind() == reflect.String && s.String() != "" {
			s.SetString(Redacted)
		}
	}
	var doc yaml.Node
	if err := doc.Encode(shown); err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	l.annotate(&doc, "")
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return nil
}

func (l *Loaded) annotate(n *yaml.Node, prefix string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		path := prefix + k.Value
		if from := l.origin[path]; from != "" {
			if v.Kind == yaml.ScalarNode || len(v.Content) == 0 {
				v.LineComment = from
			} else {
				k.LineComment = from
			}
		}
		if v.Kind == yaml.MappingNode {
			l.annotate(v, path+".")
		}
	}
}
