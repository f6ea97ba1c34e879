package hospital

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/proto"
)

// MaxFile bounds a context file: what it says is kept in the state of each partition.
const MaxFile = 16 << 20

// Place is where something is; levels that are not known are empty.
type Place struct {
	Site       string `yaml:"site" json:"site"`
	Building   string `yaml:"building" json:"building"`
	Floor      string `yaml:"floor" json:"floor"`
	Department string `yaml:"department" json:"department"`
	Room       string `yaml:"room" json:"room"`
}

// File is a context file as it is written.
type File struct {
	Sites        []Site        `yaml:"sites"`
	Subnets      []Subnet      `yaml:"subnets"`
	VLANs        []VLAN        `yaml:"vlans"`
	SwitchPorts  []SwitchPort  `yaml:"switch_ports"`
	AccessPoints []AccessPoint `yaml:"access_points"`
	Locations    []Location    `yaml:"locations"`
	Support      []End         `yaml:"support"`
	Roster       yaml.Node     `yaml:"roster"`
	Policy       yaml.Node     `yaml:"policy"`
	Business     yaml.Node     `yaml:"business"`
	Controls     yaml.Node     `yaml:"controls"`
	Framework    yaml.Node     `yaml:"framework"`
}

// Site is a site with its home networks and buildings.
type Site struct {
	Site      string     `yaml:"site"`
	Name      string     `yaml:"name"`
	Home      []string   `yaml:"home"`
	Buildings []Building `yaml:"buildings"`
	Line      int        `yaml:"-"`
}

// Building is a building of a site.
type Building struct {
	Building string  `yaml:"building"`
	Floors   []Floor `yaml:"floors"`
	Line     int     `yaml:"-"`
}

// Floor is a floor of a building.
type Floor struct {
	Floor       string       `yaml:"floor"`
	Departments []Department `yaml:"departments"`
	Rooms       []string     `yaml:"rooms"`
	Line        int          `yaml:"-"`
}

// Department is what of a department is on a floor.
type Department struct {
	Department string   `yaml:"department"`
	Rooms      []string `yaml:"rooms"`
	Line       int      `yaml:"-"`
}

// Subnet is one network. Without a site it is inside for every site, and nowhere.
type Subnet struct {
	CIDR  string     `yaml:"cidr"`
	VLAN  proto.VLAN `yaml:"vlan"`
	Name  string     `yaml:"name"`
	Place `yaml:",inline"`
	Line  int `yaml:"-"`
}

// VLAN is where the hosts of a VLAN are.
type VLAN struct {
	VLAN  proto.VLAN `yaml:"vlan"`
	Name  string     `yaml:"name"`
	Place `yaml:",inline"`
	Line  int `yaml:"-"`
}

// SwitchPort is where what is plugged into a port is; without a port, into the switch.
type SwitchPort struct {
	Switch string `yaml:"switch"`
	Port   string `yaml:"port"`
	Place  `yaml:",inline"`
	Line   int `yaml:"-"`
}

// AccessPoint is where what is radioed in at an access point is.
type AccessPoint struct {
	AccessPoint string `yaml:"access_point"`
	Place       `yaml:",inline"`
	Line        int `yaml:"-"`
}

// Location says which place a text means that protocols tell. The levels may use the
// groups of Matches, as $1.
type Location struct {
	Is       string `yaml:"is"`
	Matches  string `yaml:"matches"`
	Protocol string `yaml:"protocol"`
	Place    `yaml:",inline"`
	Line     int `yaml:"-"`

	re *regexp.Regexp
}

// Context is a file that was found good, ready to be asked.
type Context struct {
	File     *File
	Entries  []Entry // of the roster, those that are good
	Warnings []error // lines of the roster that are not, with file and line

	places    map[string][]Place // by site, each place of the hierarchy
	subnets   map[string][]subnet
	vlans     map[string]map[proto.VLAN]Place
	ports     map[string]map[[2]string]Place
	points    map[string]map[string]Place
	exact     map[string][]*Location // by text in lower case
	patterns  []*Location
	remember  remembered
	ends      []End
	supported supported
	bySerial  map[string][]*Entry
	byMAC     map[string][]*Entry
	byHost    map[string][]*Entry
	byAddress map[netip.Addr][]*Entry
}

type subnet struct {
	prefix netip.Prefix
	place  Place
}

// Parse reads a context file; name is for errors, which tell everything that is wrong.
func Parse(name string, text []byte) (*Context, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("%s: has %d MB; at most %d are read: split it by site", name, len(text)>>20, MaxFile>>20)
	}
	r := &reader{name: name}
	c := &Context{File: &File{}}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		r.yaml(err)
		return nil, r.err()
	}
	if len(root.Content) > 0 {
		r.decode(root.Content[0], c.File)
	}
	if len(r.errs) > 0 {
		return nil, r.err()
	}
	c.hierarchy(r)
	c.maps(r)
	c.ends = r.support(c.File.Support)
	c.roster(name)
	if len(r.errs) > 0 {
		return nil, r.err()
	}
	return c, nil
}

// reader collects what is wrong.
type reader struct {
	name string
	errs []*problem
}

func (r *reader) bad(line int, format string, args ...any) {
	r.errs = append(r.errs, &problem{r.name, line, fmt.Sprintf(format, args...)})
}

func (r *reader) err() error { return errors.Join(r.sorted()...) }

// sorted are the problems in the order of their lines.
func (r *reader) sorted() []error {
	slices.SortStableFunc(r.errs, func(a, b *problem) int { return cmp.Compare(a.line, b.line) })
	var list []error
	for _, p := range r.errs {
		list = append(list, p)
	}
	return list
}

// problem is something that is wrong, and where.
type problem struct {
	name string
	line int
	text string
}

// Error begins with file and line.
func (p *problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.name, p.line, p.text) }

var yamlLine = regexp.MustCompile(`(?s)^(?:yaml: )?line (\d+): (.*)$`)

// yaml takes the errors of the YAML package in, whose lines are in their text.
func (r *reader) yaml(err error) {
	texts := []string{err.Error()}
	var many *yaml.TypeError
	if errors.As(err, &many) {
		texts = many.Errors
	}
	for _, s := range texts {
		line := 1
		if m := yamlLine.FindStringSubmatch(s); m != nil {
			line, _ = strconv.Atoi(m[1])
			s = m[2]
		}
		r.bad(line, "%s", s)
	}
}

// hierarchy lists the places that there are.
func (c *Context) hierarchy(r *reader) {
	c.places = map[string][]Place{}
	for i := range c.File.Sites {
		s := &c.File.Sites[i]
		switch {
		case s.Site == "":
			r.bad(s.Line, "a site without a name: want site: NAME")
			continue
		case c.places[s.Site] != nil:
			r.bad(s.Line, "site %s is declared twice: put both into one", s.Site)
			continue
		}
		for _, h := range s.Home {
			if p, err := netip.ParsePrefix(h); err != nil {
				r.bad(s.Line, "home: %q is no network such as 10.0.0.0/8", h)
			} else if p != p.Masked() {
				r.bad(s.Line, "home: %s has host bits set: write %s", h, p.Masked())
			}
		}
		w := &walker{r: r, seen: map[Place]bool{}}
		w.add(s.Line, Place{Site: s.Site})
		for j := range s.Buildings {
			w.building(Place{Site: s.Site}, &s.Buildings[j])
		}
		c.places[s.Site] = w.list
	}
}

// walker lists the places of a site.
type walker struct {
	r    *reader
	list []Place
	seen map[Place]bool
}

func (w *walker) add(line int, p Place) {
	if w.seen[p] {
		w.r.bad(line, "%s is declared twice: put both into one", p.Path())
		return
	}
	w.seen[p] = true
	w.list = append(w.list, p)
}

func (w *walker) building(at Place, b *Building) {
	if at.Building = b.Building; b.Building == "" {
		w.r.bad(b.Line, "a building without a name: want building: NAME")
		return
	}
	w.add(b.Line, at)
	for i := range b.Floors {
		f := &b.Floors[i]
		at := at
		if at.Floor = f.Floor; f.Floor == "" {
			w.r.bad(f.Line, "a floor without a name: want floor: NAME")
			continue
		}
		w.add(f.Line, at)
		w.rooms(f.Line, at, f.Rooms)
		for j := range f.Departments {
			d := &f.Departments[j]
			at := at
			if at.Department = d.Department; d.Department == "" {
				w.r.bad(d.Line, "a department without a name: want department: NAME")
				continue
			}
			w.add(d.Line, at)
			w.rooms(d.Line, at, d.Rooms)
		}
	}
}

func (w *walker) rooms(line int, at Place, rooms []string) {
	for _, room := range rooms {
		if room == "" {
			w.r.bad(line, "a room without a name")
			continue
		}
		at.Room = room
		w.add(line, at)
	}
}

// levels of a place, the widest first.
var levels = [...]string{"site", "building", "floor", "department", "room"}

func (p *Place) level(i int) *string {
	return [...]*string{&p.Site, &p.Building, &p.Floor, &p.Department, &p.Room}[i]
}

// Path is the place in words, without its site: "Main / 3 / ICU / 3.01".
func (p Place) Path() string {
	var parts []string
	for i := 1; i < len(levels); i++ {
		if s := *p.level(i); s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return p.Site
	}
	return strings.Join(parts, " / ")
}

// site gives the name of the site of an entry that names none: the only one.
func (c *Context) site(named string) string {
	if named == "" && len(c.File.Sites) == 1 {
		return c.File.Sites[0].Site
	}
	return named
}

// resolve finds the place that some of its levels name, and fills in what follows.
func (c *Context) resolve(p Place) (Place, error) {
	p.Site = c.site(p.Site)
	if p.Site == "" {
		return p, errors.New("names no site: want site: NAME")
	}
	left, known := c.places[p.Site]
	if !known {
		return p, fmt.Errorf("names site %s, which sites does not declare", p.Site)
	}
	for i := 1; i < len(levels); i++ {
		want := *p.level(i)
		if want == "" {
			continue
		}
		var kept []Place
		for _, x := range left {
			if *x.level(i) == want {
				kept = append(kept, x)
			}
		}
		if left = kept; len(left) == 0 {
			within := p
			for j := i; j < len(levels); j++ {
				*within.level(j) = ""
			}
			return p, fmt.Errorf("names %s %s, which %s does not have: declare it under sites, or mend the name", levels[i], want, within.Path())
		}
	}
	for i := 1; i < len(levels); i++ {
		common := *left[0].level(i)
		if *p.level(i) == "" && !slices.ContainsFunc(left, func(x Place) bool { return *x.level(i) != common }) {
			*p.level(i) = common
		}
	}
	return p, nil
}
