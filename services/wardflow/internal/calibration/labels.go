// Package calibration asks whether what is shown with a confidence is right as often
// as the confidence says.
//
// A file of labels says of hosts in captures what they are, and how that is known;
// each capture is replayed, and what the folds tell of the host is compared. Labels
// are made by people, before looking at what Wardflow says. What packets mean is
// decided elsewhere: here they are only counted.
package calibration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/proto"
)

// Labels is a file of labels.
type Labels struct {
	Name     string    `yaml:"labels"`
	About    string    `yaml:"about"`
	Captures []Capture `yaml:"captures"`

	file string
}

// Capture is a capture file, and the hosts in it that are known.
type Capture struct {
	File  string `yaml:"file"` // below the folder of captures; a pattern such as Aria/*.pcap stands for several
	Known string `yaml:"known"`
	Hosts []Host `yaml:"hosts"`
}

// Host is one host of a capture: one of MAC, IP and Serial finds it.
type Host struct {
	MAC    string `yaml:"mac"`
	IP     string `yaml:"ip"`
	Serial string `yaml:"serial"` // of a device behind another, which has no address of its own

	Known string            `yaml:"known"` // how what follows is known; that of the capture where empty
	Is    map[string]Values `yaml:"is"`    // attribute -> the values that are right
}

// Values is a word or a list of words, each of which is right.
type Values []string

// UnmarshalYAML takes both.
func (v *Values) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*v = Values{n.Value}
		return nil
	}
	return n.Decode((*[]string)(v))
}

// Attributes are those that can be labelled: the facts of a device, and its host names,
// which have no confidence.
var Attributes = []string{
	"category", "type", "manufacturer", "model", "os", "os_version", "hardware_version", "software_version", "serial", "location", hostname,
}

const hostname = "hostname"

// ReadLabels reads a file of labels and says all that is wrong with it.
func ReadLabels(file string) (*Labels, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read labels: %w", err)
	}
	l := &Labels{file: file}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(l); err != nil {
		return nil, fmt.Errorf("read labels: %s: %w", file, err)
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("read labels: %s: %w", file, err)
	}
	return l, nil
}

func (l *Labels) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if l.Name == "" {
		bad("labels: is missing: name the set")
	}
	if len(l.Captures) == 0 {
		bad("captures: there is none")
	}
	seen := map[string]bool{}
	for i := range l.Captures {
		c := &l.Captures[i]
		if _, err := path.Match(c.File, ""); err != nil || c.File == "" || !filepath.IsLocal(c.File) {
			bad("captures[%d]: file %q: want the path of a capture below the folder of captures, or a pattern such as Aria/*.pcap", i, c.File)
		}
		for j := range c.Hosts {
			h := &c.Hosts[j]
			where := fmt.Sprintf("%s, host %d", c.File, j+1)
			if h.Known == "" {
				h.Known = c.Known
			}
			for _, err := range h.check() {
				bad("%s: %w", where, err)
			}
			if key := c.File + " " + h.Name(); seen[key] {
				bad("%s: %s is labelled twice", where, h.Name())
			} else {
				seen[key] = true
			}
		}
	}
	return errors.Join(errs...)
}

func (h *Host) check() (errs []error) {
	n := 0
	for _, s := range []string{h.MAC, h.IP, h.Serial} {
		if s != "" {
			n++
		}
	}
	if n != 1 {
		errs = append(errs, errors.New("want one of mac, ip and serial"))
	}
	h.MAC = strings.ToLower(h.MAC)
	if h.Known == "" {
		errs = append(errs, errors.New("known is missing: how does one know?"))
	}
	if len(h.Is) == 0 {
		errs = append(errs, errors.New("is: there is no value"))
	}
	for attribute, values := range h.Is {
		if !slices.Contains(Attributes, attribute) {
			errs = append(errs, fmt.Errorf("%q is none of %s", attribute, strings.Join(Attributes, ", ")))
		}
		if len(values) == 0 || slices.Contains(values, "") {
			errs = append(errs, fmt.Errorf("%s has no value", attribute))
		}
	}
	return errs
}

// Name is what the host is called in messages.
func (h *Host) Name() string { return h.MAC + h.IP + h.Serial }

// find gives the device that the host is, nil where there is none.
func (h *Host) find(devices []*proto.Device) *proto.Device {
	for _, d := range devices {
		switch {
		case h.MAC != "" && slices.Contains(d.MACs, h.MAC),
			h.IP != "" && slices.Contains(d.IPs, h.IP),
			h.Serial != "" && d.Serial != nil && d.Serial.Value == h.Serial:
			return d
		}
	}
	return nil
}

// expand gives the captures below dir that a pattern stands for, sorted.
func expand(dir, pattern string) ([]string, error) {
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no such capture below %s", pattern, dir)
	}
	return list, nil
}
