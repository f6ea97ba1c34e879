package reference

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
)

// Settings is the page of the configuration; tree is the repository, whose
// comments say what a setting means where this package does not.
func Settings(tree fs.FS) (string, error) {
	b := page("Configuration", `One YAML file (`+"`--config FILE`, else `./wardflow.yaml`"+`), the environment over it, `+"`--set PATH=VALUE`"+` over both. The variable of a
setting is its path in capitals: `+"`kafka.sasl.user`"+` is `+"`WARDFLOW_KAFKA_SASL_USER`"+`. Unknown settings and variables are errors.
`+"`wardflow config print`"+` shows what is in force and where it comes from, `+"`wardflow config check FILE`"+` everything that is wrong.
Passwords come by a file or a variable, never in the configuration file, and are printed as `+"`(redacted)`"+`.`)
	comments, err := fieldComments(tree)
	if err != nil {
		return "", err
	}
	defaults := config.Default()
	section := "-"
	var unexplained []error
	told := map[string]bool{}
	for _, f := range config.Fields() {
		meaning := meanings[f.Path]
		if meaning == "" {
			meaning = comments[f.Path]
		}
		if meaning == "" {
			unexplained = append(unexplained, fmt.Errorf("setting %s: say what it means, in a comment beside its field or in %s", f.Path, "internal/reference/meanings.go"))
		}
		told[f.Path] = true
		top, _, below := strings.Cut(f.Path, ".")
		if !below {
			top = ""
		}
		if f.Path == "policy" {
			continue
		}
		if top != section {
			section = top
			title := "Of this machine"
			if top != "" {
				title = top
			}
			fmt.Fprintf(b, "\n## %s\n\n", title)
			if intro := sections[top]; intro != "" {
				fmt.Fprintf(b, "%s\n\n", intro)
			}
			head(b, "setting", "default", "kind", "meaning")
		}
		kind := strings.TrimPrefix(f.Type, "a ")
		if f.Secret {
			kind += ", secret: by variable only"
		}
		row(b, code(f.Path), code(valueText(defaults.Value(f.Path))), kind, cell(sentence(meaning)))
	}
	for path := range meanings {
		if !told[path] {
			unexplained = append(unexplained, fmt.Errorf("%s is explained, and is no setting", path))
		}
	}
	if err := errors.Join(unexplained...); err != nil {
		return "", err
	}
	policies(b)
	return b.String(), nil
}

func policies(b *strings.Builder) {
	fmt.Fprintf(b, "\n## policy\n\n%s\n\n", sections["policy"])
	head(b, "setting", "meaning")
	t := reflect.TypeFor[config.Policy]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		row(b, code("policy.SITE."+name), cell(policyMeanings[name]))
	}
}

// valueText is a default as it stands in the file.
func valueText(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case time.Duration:
		return x.String()
	case []string:
		return strings.Join(x, ", ")
	}
	r := reflect.ValueOf(v)
	if !r.IsValid() || (r.Kind() == reflect.Map || r.Kind() == reflect.Slice) && r.Len() == 0 {
		return ""
	}
	return fmt.Sprint(v)
}

// sentence begins a comment as a sentence does.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// fieldComments gives the comment beside the field of each setting.
func fieldComments(tree fs.FS) (map[string]string, error) {
	out := map[string]string{}
	sources := map[string]*source{}
	var walk func(t reflect.Type, prefix string) error
	walk = func(t reflect.Type, prefix string) error {
		dir := strings.TrimPrefix(t.PkgPath(), "github.com/wardflow/wardflow/")
		if sources[dir] == nil {
			s, err := readSource(tree, dir)
			if err != nil {
				return err
			}
			sources[dir] = s
		}
		comments := map[string]string{}
		if m := sources[dir].structs[t.Name()]; m != nil {
			for _, f := range m.fields {
				comments[f.name] = f.comment
			}
		}
		for i := range t.NumField() {
			f := t.Field(i)
			name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case rest == "inline":
				if err := walk(f.Type, prefix); err != nil {
					return err
				}
			case f.Type.Kind() == reflect.Struct:
				if err := walk(f.Type, prefix+name+"."); err != nil {
					return err
				}
			default:
				out[prefix+name] = comments[name]
			}
		}
		return nil
	}
	if err := walk(reflect.TypeFor[config.Config](), ""); err != nil {
		return nil, err
	}
	return out, nil
}
