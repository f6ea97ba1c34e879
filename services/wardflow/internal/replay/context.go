package replay

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/hospital"
	"github.com/wardflow/wardflow/proto"
)

// Context is the file of --context: that of pkg/hospital, and in it
//
//	policy:                       # by site, as in the configuration
//	  ward-a:
//	    learning_period_s: 86400
//	    silence_min_s: 1800
//	    missing_after_s: 604800
//	    port_scan_ports: 20
//	    risk_half_life_s: 604800
//	    trusted_externals: [192.0.2.0/24]
//	business: ...                 # business, controls and framework are taken as they
//	controls: ...                 # are; no service uses them yet
//	framework: ...
//
// Home networks and subnets add to those of --home, or to the default.
type Context struct {
	*hospital.Context
	Policy map[string]config.Policy
	Text   []byte // as it was read
}

// LoadContext reads a context file; the error tells everything that is wrong.
func LoadContext(path string) (*Context, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read context: %w", err)
	}
	c := &Context{Text: text}
	if c.Context, err = hospital.Parse(path, text); err != nil {
		return nil, err
	}
	if err := hospital.Strict(path, &c.File.Policy, &c.Policy); err != nil {
		return nil, err
	}
	if p := c.validate(); len(p) > 0 {
		return nil, fmt.Errorf("context %s:\n%w", path, p)
	}
	return c, nil
}

// validate checks what the configuration has rules for.
func (c *Context) validate() config.Problems {
	var p config.Problems
	for i, s := range c.File.Sites {
		p = append(p, config.ValidateSite(fmt.Sprintf("sites[%d].site", i), s.Site)...)
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
	if c.Context == nil {
		return nil
	}
	add := func(s string) {
		if x, err := netip.ParsePrefix(s); err == nil && !slices.Contains(list, x) { // validated before
			list = append(list, x)
		}
	}
	for _, s := range c.File.Sites {
		if s.Site == site {
			for _, h := range s.Home {
				add(h)
			}
		}
	}
	for _, s := range c.File.Subnets {
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
	if c.Context == nil {
		return nil
	}
	for _, x := range []struct {
		name string
		node *yaml.Node
	}{{"business", &c.File.Business}, {"controls", &c.File.Controls}, {"framework", &c.File.Framework}} {
		if !x.node.IsZero() {
			list = append(list, x.name)
		}
	}
	return list
}

// Warned tells which lines of the roster are left out, and why; nil for none.
func (c *Context) Warned() error {
	if c.Context == nil {
		return nil
	}
	return errors.Join(c.Warnings...)
}
