package syslog

import (
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const maxTold = 64 // heads of a flow that are told

// tally is what is kept of a flow: which heads were told, and counts.
type tally struct {
	told       []string
	stations   []toldStation
	count      int
	facilities [len(facilities)]int
	severities [len(severities)]int
}

func (t *tally) size() int {
	n := 512 + 32*cap(t.stations)
	for _, s := range t.told {
		n += 16 + len(s)
	}
	return n
}

// message notes one, and tells its head if it is new.
func (t *tally) message(c *dissector.Context, m *message) {
	t.count++
	if m.facility >= 0 {
		t.facilities[m.facility]++
		t.severities[m.severity]++
	}
	key := m.format + " " + m.host + " " + m.app + " " + m.software + " " + m.version
	if m.format == "" || slices.Contains(t.told, key) || len(t.told) == maxTold {
		return
	}
	t.told = append(t.told, key)
	f := dissector.Fact{Kind: "message", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("syslog_version", m.format)
	a.Set("hostname", m.host)
	a.Set("app_name", m.app)
	a.Set("software", m.software)
	a.Set("software_version", m.version)
	c.Emit(&f)
}

// sum tells how many messages of which kind there were.
func (t *tally) sum(c *dissector.Context, side dissector.Side) {
	if t.count == 0 {
		return
	}
	f := dissector.Fact{Kind: "messages", Subject: dissector.Subject{Side: side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("count", strconv.Itoa(t.count))
	f.Attributes.SetList("facilities", counted(facilities[:], t.facilities[:]))
	f.Attributes.SetList("severities", counted(severities[:], t.severities[:]))
	c.Emit(&f)
	t.count = 0
}

func counted(names []string, counts []int) (list []string) {
	for i, n := range counts {
		if n > 0 {
			list = append(list, names[i]+":"+strconv.Itoa(n))
		}
	}
	return list
}
