package hospital

import (
	"net/netip"
	"strings"
)

// portKinds are the long names of interfaces, and the short ones in which the same
// system's tables and logs have them: GigabitEthernet1/0/7 is Gi1/0/7. The longest first.
var portKinds = [...][2]string{
	{"twentyfivegigabitethernet", "twe"},
	{"twentyfivegige", "twe"},
	{"fortygigabitethernet", "fo"},
	{"hundredgigabitethernet", "hu"},
	{"tengigabitethernet", "te"},
	{"fivegigabitethernet", "fi"},
	{"twogigabitethernet", "tw"},
	{"gigabitethernet", "gi"},
	{"fastethernet", "fa"},
	{"hundredgige", "hu"},
	{"fortygige", "fo"},
	{"ethernet", "et"},
	{"port-channel", "po"},
}

// foldPort is a port's name as it is compared: without case, in the short form.
func foldPort(s string) string {
	s = fold(s)
	for _, k := range portKinds {
		if number, is := strings.CutPrefix(s, k[0]); is && number != "" {
			if number = strings.TrimSpace(number); number != "" && number[0] >= '0' && number[0] <= '9' {
				return k[1] + number
			}
		}
	}
	return s
}

// port finds where a port of a switch is, else the switch: by the name that the switch is
// told with, else by that without its domain.
func (c *Context) port(site, name, port string) (at Place, found bool) {
	names := []string{name}
	if short, _, cut := strings.Cut(name, "."); cut {
		if _, err := netip.ParseAddr(name); err != nil {
			names = append(names, short)
		}
	}
	for _, p := range []string{port, ""} {
		for _, n := range names {
			if at, found = c.ports[site][[2]string{n, p}]; found {
				return at, true
			}
		}
	}
	return at, false
}
