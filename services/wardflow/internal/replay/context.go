package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/proto"
)

// Context is the file of --context, YAML:
//
//	sites:                        # home networks by site
//	  - site: ward-a
//	    home: [10.41.8.0/24]
//	subnets:                      # what else is inside, and where
//	  - cidr: 10.41.9.0/24
//	    site: ward-a              # "" for every site
//	    vlan: 9
//	    name: Radiology
//	policy:                       # by site, as in the configuration
//	  ward-a:
//	    learning_period_s: 86400
//	    silence_min_s: 1800
//	    port_scan_ports: 20
//	    risk_half_life_s: 604800
//	    trusted_externals: [192.0.2.0/24]
//	roster: ...                   # roster, business, controls and framework are
//	business: ...                 # taken as they are; no service uses them yet
//	controls: ...
//	framework: ...
//
// Home networks add to those of --home, or to the default. Other keys are errors.
type Context struct {
	Sites     []ContextSite            `yaml:"sites"`
	Subnets   []ContextSubnet          `yaml:"subnets"`
	Policy    map[string]config.Policy `yaml:"policy"`
	Roster    yaml.Node                `yaml:"roster"`
	Business  yaml.Node                `yaml:"business"`
	Controls  yaml.Node                `yaml:"controls"`
	Framework yaml.Node                `yaml:"framework"`
}

// ContextSite names the home networks of a site.
type ContextSite struct {
	Site string   `yaml:"site"`
	Home []string `yaml:"home"`
}

// ContextSubnet is one network.
type ContextSubnet struct {
	CIDR string     `yaml:"cidr"`
	Site string     `yaml:"site"`
	VLAN proto.VLAN `yaml:"vlan"`
	Name string     `yaml:"name"`
}

// LoadContext reads a context file; the error tells everything that is wrong.
func LoadContext(path string) (*Context, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read context: %w", err)
	}
	c := new(Context)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read context %s: %w", path, err)
	}
	if p := c.validate(); len(p) > 0 {
		return nil, fmt.Errorf("context %s:\n%w", path, p)
	}
	return c, nil
}

func (c *Context) validate() config.Problems {
	var p config.Problems
	for i, s := range c.Sites {
		at := fmt.Sprintf("sites[%d]", i)
		p = append(p, config.ValidateSite(at+".site", s.Site)...)
		p = append(p, config.ValidateCIDRs(at+".home", s.Home)...)
	}
	for i, s := range c.Subnets {
		for _, x := range config.ValidateCIDRs("", []string{s.CIDR}) {
			x.Path = fmt.Sprintf("subnets[%d].cidr", i)
			p = append(p, x)
		}
	}
	for _, site := range c.sites() {
		p = append(p, config.ValidateSite("policy", site)...)
		p = append(p, config.ValidatePolicy("policy."+site, c.Policy[site])...)
	}
	return p
}

// SetPolicy adds the policy of a site.
func (c *Context) SetPolicy(site string, p config.Policy) {
	if c.Policy == nil {
		c.Policy = map[string]config.Policy{}
	}
	c.Policy[site] = p
}

func (c *Context) sites() []string { return slices.Sorted(maps.Keys(c.Policy)) }

// Home lists the site's networks.
func (c *Context) Home(site string) []netip.Prefix {
	var list []netip.Prefix
	add := func(s string) {
		if x, err := netip.ParsePrefix(s); err == nil && !slices.Contains(list, x) { // validated before
			list = append(list, x)
		}
	}
	for _, s := range c.Sites {
		if s.Site == site {
			for _, h := range s.Home {
				add(h)
			}
		}
	}
	for _, s := range c.Subnets {
		if s.Site == site || s.Site == "" {
			add(s.CIDR)
		}
	}
	return list
}

// Protos lists the policies.
func (c *Context) Protos() ([]proto.Policy, error) {
	var list []proto.Policy
	for _, site := range c.sites() {
		v := c.Policy[site]
		p, err := v.Proto(site)
		if err != nil {
			return nil, fmt.Errorf("policy of site %s: %w", site, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// Unused names the parts that are there and that no service uses yet.
func (c *Context) Unused() []string {
	var list []string
	for _, x := range []struct {
		name string
		node *yaml.Node
	}{{"roster", &c.Roster}, {"business", &c.Business}, {"controls", &c.Controls}, {"framework", &c.Framework}} {
		if !x.node.IsZero() {
			list = append(list, x.name)
		}
	}
	return list
}
