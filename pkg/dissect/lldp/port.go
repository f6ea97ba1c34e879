package lldp

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// portWords are the words that texts about ports are made of, without case. A
// text with any other word that has no digit may be about a person ("Dr Miller's
// room") and does not leave.
var portWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`
		port interface if slot module unit stack chassis bay channel lag trunk bond team aggregate lane
		ethernet eth fast gigabit gig ge fe te xe et ten tengigabit twentyfive forty hundred gige fastethernet gigabitethernet
		tengigabitethernet twentyfivegige fortygigabitethernet hundredgige five fivegigabitethernet two twogigabitethernet
		copper fiber fibre optical sfp utp rj combo base mgmt management console oob service
		wan lan wlan wifi uplink downlink link crosslink interconnect backbone core access distribution edge transit peer from to
		sw switch router rtr firewall fw ap accesspoint gw gateway bridge vlan voice data phone telephone pc printer camera server host
		internal external inside outside public dmz main aux auxiliary primary secondary left right front rear top bottom
		north south east west ward floor room bed building bldg level wing closet rack riser outlet jack wall socket panel patch
		in of the on and no nr number local physical virtual loopback lo null default unused reserved free spare
		intel realtek broadcom marvell network adapter connection controller card pci pcie express family chip onboard lom dual quad
		a b c d e f g h m n p r s t u v w x y z`) {
		m[w] = true
	}
	return m
}()

// PortName reports that a text names a port and nothing else: then it may leave,
// here and where relays of DHCP say from which port a client comes.
func PortName(s string) bool { return portName(s) }

func portName(s string) bool {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && r < 0x80
	})
	for _, w := range words {
		if !portWords[w] && !strings.ContainsAny(w, "0123456789") {
			return false
		}
	}
	return len(words) > 0
}

// portDescription keeps the description of a port where it names the port
// ("GigabitEthernet0/13"); on many switches it is what an administrator typed.
func (n *announcement) portDescription(v []byte) {
	s := dissector.Text(v, maxText)
	if s != "" && !portName(s) {
		n.c.Count("lldp_text_withheld")
		return
	}
	n.a.Set("port_description", s)
}
