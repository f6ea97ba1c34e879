package hospital

import (
	_ "embed"
	"regexp"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/proto"
)

// End is when the support of what it matches ends. Keys that are empty match all, *
// stands for any text, the case does not matter; a version also matches those that
// go on behind a dot, as 17.9 does 17.9.4.
type End struct {
	What            string `yaml:"what"`
	Manufacturer    string `yaml:"manufacturer"`
	Model           string `yaml:"model"`
	OS              string `yaml:"os"`
	OSVersion       string `yaml:"os_version"`
	HardwareVersion string `yaml:"hardware_version"`
	SoftwareVersion string `yaml:"software_version"`
	Type            string `yaml:"type"`
	Date            string `yaml:"date"`
	Source          string `yaml:"source"`
	Line            int    `yaml:"-"`

	is []condition
}

type condition struct {
	attribute string
	is        *regexp.Regexp
}

//go:embed support.yaml
var supportFile []byte

// known are the ends of support that come with the program.
var known = sync.OnceValue(func() []End {
	r := &reader{name: "support.yaml"}
	var root yaml.Node
	var list []End
	if err := yaml.Unmarshal(supportFile, &root); err != nil {
		panic(err) // the file is part of the program; a test reads it
	}
	r.decode(root.Content[0], &list)
	list = r.support(list)
	if err := r.err(); err != nil {
		panic(err)
	}
	return list
})

// support checks entries and gives those that are good.
func (r *reader) support(list []End) []End {
	var good []End
	for i := range list {
		e := list[i]
		before := len(r.errs)
		for _, c := range []struct {
			attribute, want string
			version         bool
		}{
			{"manufacturer", e.Manufacturer, false},
			{"model", e.Model, false},
			{"os", e.OS, false},
			{"type", e.Type, false},
			{"os_version", e.OSVersion, true},
			{"hardware_version", e.HardwareVersion, true},
			{"software_version", e.SoftwareVersion, true},
		} {
			if c.want != "" {
				e.is = append(e.is, condition{c.attribute, glob(c.want, c.version)})
			}
		}
		if len(e.is) == 0 {
			r.bad(e.Line, "support: matches every device: want some of manufacturer, model, os, os_version, hardware_version, software_version, type")
		}
		if !isDay(e.Date) {
			r.bad(e.Line, "support: date: %q is no day such as 2026-11-17", e.Date)
		}
		if e.Source == "" {
			r.bad(e.Line, "support: names no source: say who published the date")
		}
		if len(r.errs) == before {
			good = append(good, e)
		}
	}
	return good
}

func glob(s string, version bool) *regexp.Regexp {
	parts := strings.Split(s, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	end := ""
	if version {
		end = `(?:\..*)?`
	}
	return regexp.MustCompile("(?is)^" + strings.Join(parts, ".*") + end + "$")
}

// minSupport is the confidence from which on a fact says that support has ended.
const minSupport = 0.5

// matches says whether the end is the device's, and what of the device it is about.
func (e *End) matches(d *proto.Device) (string, bool) {
	var what []string
	for _, c := range e.is {
		f := d.Fact(c.attribute)
		if f == nil || f.Confidence < minSupport || !c.is.MatchString(f.Value) {
			return "", false
		}
		what = append(what, f.Value)
	}
	if e.What != "" {
		return e.What, true
	}
	return strings.Join(what, " "), true
}

// Support says when a device's support ends: the earliest day that applies, of the
// file or of those that come with the program. An entry of the file takes the place
// of the program's for the same system.
func (c *Context) Support(d *proto.Device) *proto.EndOfSupport {
	var key strings.Builder
	for _, name := range supportFacts {
		if f := d.Fact(name); f != nil && f.Confidence >= minSupport {
			key.WriteString(f.Value)
		}
		key.WriteByte(0)
	}
	c.supported.mu.Lock()
	defer c.supported.mu.Unlock()
	best, asked := c.supported.known[key.String()]
	if asked {
		return best
	}
	best, ofOS := earliest(nil, c.ends, d, false)
	best, _ = earliest(best, known(), d, ofOS)
	if c.supported.known == nil || len(c.supported.known) >= maxRemembered {
		c.supported.known = map[string]*proto.EndOfSupport{}
	}
	c.supported.known[key.String()] = best
	return best
}

// supportFacts are those that ends of support depend on.
var supportFacts = []string{"manufacturer", "model", "os", "os_version", "hardware_version", "software_version", "type"}

// supported remembers what was asked before: of many devices the same is known.
type supported struct {
	mu    sync.Mutex
	known map[string]*proto.EndOfSupport
}

// earliest looks through entries; with ofOS those of an operating system are left out.
func earliest(best *proto.EndOfSupport, list []End, d *proto.Device, ofOS bool) (*proto.EndOfSupport, bool) {
	found := false
	for i := range list {
		e := &list[i]
		if ofOS && e.OS != "" {
			continue
		}
		what, is := e.matches(d)
		if !is {
			continue
		}
		found = found || e.OS != ""
		if best == nil || e.Date < best.Date {
			best = &proto.EndOfSupport{Date: e.Date, What: what, Source: e.Source}
		}
	}
	return best, found
}
