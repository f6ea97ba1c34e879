package lines

import (
	"maps"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// maxTold is how many logins, and other things, of a connection are told.
const maxTold = 8

// Session is what was done in a connection: commands, and logins, of which each is
// told once for each way in which it ends.
type Session struct {
	Client   dissector.Side
	TLS      bool // it was turned into TLS
	commands map[string]int
	logins   int
	failed   int
	told     []string
}

// Count counts a command of a list, or "other".
func (s *Session) Count(name string) {
	if s.commands == nil {
		s.commands = map[string]int{}
	}
	s.commands[name]++
}

// News reports whether something was not told yet, and still may be.
func (s *Session) News(key string) bool {
	if slices.Contains(s.told, key) || len(s.told) == maxTold {
		return false
	}
	s.told = append(s.told, key)
	return true
}

// Login counts a login, and tells of one whose key is new: set sets what it was, the
// outcome is success, failure or unknown.
func (s *Session) Login(c *dissector.Context, key, outcome string, set func(*proto.Attributes)) {
	s.logins++
	if outcome == "failure" {
		s.failed++
	}
	if !s.News(key + outcome) {
		return
	}
	f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: s.Client}}
	f.Attributes.Set("role", "client")
	set(&f.Attributes)
	f.Attributes.Set("outcome", outcome)
	c.Emit(&f)
}

// Logins is how many there were.
func (s *Session) Logins() int { return s.logins }

// Sum sets how many logins there were, how many failed, and whether TLS followed.
func (s *Session) Sum(a *proto.Attributes) {
	if s.logins > 0 {
		a.Set("logins", strconv.Itoa(s.logins))
		a.Set("logins_failed", strconv.Itoa(s.failed))
	}
	if s.TLS {
		a.Set("upgraded", "tls")
	}
}

// Tell sums the connection up, where there were commands.
func (s *Session) Tell(c *dissector.Context) {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.commands)) {
		list = append(list, name+":"+strconv.Itoa(s.commands[name]))
	}
	s.TellCommands(c, list)
}

// TellCommands is Tell for who counts commands himself.
func (s *Session) TellCommands(c *dissector.Context, list []string) {
	if len(list) == 0 {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.Client}}
	f.Attributes.Set("role", "client")
	f.Attributes.SetList("commands", list)
	s.Sum(&f.Attributes)
	c.Emit(&f)
}

// Printable holds for text of any character set, without control characters.
func Printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' && x != '\t' || x == 0x7f {
			return false
		}
	}
	return true
}
