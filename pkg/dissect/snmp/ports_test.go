package snmp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

// portLines are what is told of ports.
func portLines(r *dissecttest.Result) (list []string) {
	for _, s := range lines(r) {
		if rest, is := strings.CutPrefix(s, "ports "); is {
			list = append(list, rest)
		}
	}
	return list
}

// macIndex is 00:1b:21:aa:bb:cc as numbers of an index.
const macIndex = "0.27.33.170.187.204"

func octets(b ...byte) []byte { return tlv(4, b) }

// Tables are laid out as BRIDGE-MIB (RFC 4188), Q-BRIDGE-MIB (RFC 4363), IF-MIB (RFC 2863),
// LLDP-MIB (802.1AB-2005), CISCO-CDP-MIB and CISCO-MAC-NOTIFICATION-MIB have them.
func TestPorts(t *testing.T) {
	const (
		fdb  = "1.3.6.1.2.1.17.4.3.1."
		qfdb = "1.3.6.1.2.1.17.7.1.2.2.1.2."
		loc  = "1.0.8802.1.1.2.1.3.7.1."
		rem  = "1.0.8802.1.1.2.1.4.1.1."
		cdp  = "1.3.6.1.4.1.9.9.23.1.2.1.1."
		seen = "1.3.6.1.4.1.9.9.215.1.1.8.1.2.4"
	)
	answer := func(binds ...[]byte) said { return said{1, v2("secret", pdu(response, 0, binds...))} }
	gauge := func(n byte) []byte { return tlv(0x42, []byte{n}) }
	telephone := []said{
		answer(bind(rem+"4.900.7.1", num(4)), bind(rem+"4.900.24.2", num(4))),
		answer(bind(rem+"5.900.7.1", octets(0, 0x1b, 0x21, 0xaa, 0xbb, 0xcc)), bind(rem+"5.900.24.2", octets(0, 0x1b, 0x21, 1, 2, 3))),
		answer(bind(rem+"12.900.7.1", octets(0x24)), bind(rem+"12.900.24.2", octets(0x28, 0))),
	}
	for name, tc := range map[string]struct {
		list []said
		want []string
	}{
		"forwarding, ports, names": {
			[]said{
				answer(bind(fdb+"1."+macIndex, octets(0, 0x1b, 0x21, 0xaa, 0xbb, 0xcc)), bind(fdb+"2."+macIndex, num(7)), bind(fdb+"3."+macIndex, num(3)), bind(fdb+"2.0.27.33.1.2.3", num(300))),
				answer(bind("1.3.6.1.2.1.17.1.4.1.2.7", num(10107)), bind("1.3.6.1.2.1.31.1.1.1.1.10107", str("Gi1/0/7")), bind("1.3.6.1.2.1.2.2.1.2.10107", str("GigabitEthernet1/0/7"))),
			},
			[]string{
				`0 {"forwarding":["00:1b:21:aa:bb:cc port=7","00:1b:21:01:02:03 port=300"],"role":"server"}`,
				`0 {"bridge_ports":["7 interface=10107"],"interfaces":["10107 name=Gi1/0/7","10107 description=GigabitEthernet1/0/7"],"role":"server"}`,
			},
		},
		"databases and their VLANs": {
			[]said{answer(bind(qfdb+"3."+macIndex, num(7)), bind("1.3.6.1.2.1.17.7.1.4.2.1.3.0.41", gauge(3)))},
			[]string{`0 {"forwarding":["00:1b:21:aa:bb:cc port=7 fdb=3"],"role":"server","vlans":["41 fdb=3"]}`},
		},
		"version 3 in clear": {
			[]said{{1, v3(1, "\x80\x00\x0a\x4c\x01\x0a\x01\x02\x04", 1, "nurse", strings.Repeat("x", 12), scoped("", pdu(response, 0, bind(fdb+"2."+macIndex, num(7)))))}},
			[]string{`0 {"forwarding":["00:1b:21:aa:bb:cc port=7"],"role":"server"}`},
		},
		"LLDP, column by column": {
			telephone,
			[]string{
				`0 {"neighbours":["lldp port=7 mac=00:1b:21:aa:bb:cc","lldp port=24 mac=00:1b:21:01:02:03"],"role":"server"}`,
				`0 {"neighbours":["lldp port=7 mac=00:1b:21:aa:bb:cc capabilities=bridge,telephone","lldp port=24 mac=00:1b:21:01:02:03 capabilities=bridge,router"],"role":"server"}`,
			},
		},
		"LLDP, the port's MAC goes before the chassis'": {
			[]said{answer(bind(rem+"4.0.7.1", num(4)), bind(rem+"5.0.7.1", octets(0, 0x1b, 0x21, 1, 1, 1)), bind(rem+"6.0.7.1", num(3)), bind(rem+"7.0.7.1", octets(0, 0x1b, 0x21, 0xaa, 0xbb, 0xcc)), bind(rem+"12.0.7.1", octets(0)))},
			[]string{`0 {"neighbours":["lldp port=7 mac=00:1b:21:aa:bb:cc capabilities=none"],"role":"server"}`},
		},
		"LLDP, a chassis that is no MAC": {
			[]said{answer(bind(rem+"4.0.7.1", num(7)), bind(rem+"5.0.7.1", str("sixsix")), bind(rem+"9.0.7.1", str("name of nobody")), bind(rem+"12.0.7.1", octets(0x01)))},
			[]string{`0 {"neighbours":["lldp port=7 capabilities=station"],"role":"server"}`},
		},
		"LLDP's own ports": {
			[]said{answer(bind(loc+"2.7", num(5)), bind(loc+"3.7", str("Gi1/0/7")), bind(loc+"2.8", num(1)), bind(loc+"3.8", str("Miller's room")), bind(loc+"4.8", str("port 8")), bind(loc+"2.9", num(3)), bind(loc+"3.9", octets(1, 2, 3, 4, 5, 6)))},
			[]string{`0 {"lldp_ports":["7 name=Gi1/0/7","8 name=port 8"],"role":"server"}`},
		},
		"CDP": {
			[]said{answer(bind(cdp+"6.10107.3", str("SEP001B21AABBCC")), bind(cdp+"6.10124.4", str("core.hosp.example")), bind(cdp+"7.10124.4", str("GigabitEthernet0/1")), bind(cdp+"9.10107.3", octets(0, 0, 4, 0x90)), bind(cdp+"9.10124.4", octets(0, 0, 0, 0x29)))},
			[]string{`0 {"neighbours":["cdp port=10107 mac=00:1b:21:aa:bb:cc capabilities=host,telephone","cdp port=10124 capabilities=router,switch,igmp"],"role":"server"}`},
		},
		"learnt and removed": {
			[]said{{1, v2("secret", pdu(trap, 0, bind("1.3.6.1.6.3.1.1.4.1.0", oid("1.3.6.1.4.1.9.9.215.2.0.1")), bind(seen, octets(
				1, 0, 41, 0, 0x1b, 0x21, 0xaa, 0xbb, 0xcc, 0, 7, 2, 0, 41, 0, 0x1b, 0x21, 1, 2, 3, 0, 8, 0, 1, 0, 41))))}},
			[]string{`0 {"forwarding":["00:1b:21:aa:bb:cc port=7 vlan=41"],"role":"server"}`},
		},
		"learnt elsewhere, and what is nobody": {
			[]said{answer(bind(fdb+"2."+macIndex, num(0)), bind(fdb+"2.1.0.94.0.0.1", num(7)), bind(fdb+"2.0.0.0.0.0.0", num(7)), bind(fdb+"2.0.27.33.1.2", num(7)), bind(fdb+"2.0.27.33.1.2.300", num(7)), bind(fdb+"2."+macIndex, num(-1)),
				bind(qfdb+"3", num(7)), bind(seen, octets(1, 0, 41, 0)), bind("1.3.6.1.2.1.17.1.4.1.2.7.7", num(1)), bind(cdp+"6.7", str("SEP001B21AABBCC")), bind(rem+"12.7", octets(1)))},
			nil,
		},
		"a damaged variable costs itself": {
			[]said{answer(bind(fdb+"2.0.27.33.1.2.3", num(3)), tlv(0x30, oid(fdb+"2.0.27.33.1.2.4"), []byte{2, 9, 1}), tlv(0x30), bind(fdb+"2."+macIndex, num(7)))},
			[]string{`0 {"forwarding":["00:1b:21:01:02:03 port=3","00:1b:21:aa:bb:cc port=7"],"role":"server"}`},
		},
		"the manager asks": {[]said{{0, v2("secret", pdu(getBulk, 0, bind(fdb+"2."+macIndex, num(7))))}}, nil},
	} {
		r := play(agent, tc.list...)
		if got := portLines(r); !slices.Equal(got, tc.want) || len(r.Panics) > 0 || strings.Contains(string(r.Everything()), "obody") || strings.Contains(string(r.Everything()), "Miller") {
			t.Errorf("%s: got\n%s\nwant\n%s\n%v", name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"), r.Panics)
		}
	}
}

// The same walk is told again after a while, not at once; and no flow keeps all there is.
func TestPortsToldAgain(t *testing.T) {
	row := func(mac, port byte) []byte {
		return v2("secret", pdu(response, 0, bind("1.3.6.1.2.1.17.4.3.1.2.0.27.33.1.2."+string('0'+rune(mac)), num(int64(port)))))
	}
	var packets []packet.Headers
	for _, x := range []struct {
		minute    int
		mac, port byte
	}{{0, 1, 7}, {1, 1, 7}, {2, 1, 8}, {3, 1, 7}, {9, 1, 7}} {
		h := dissecttest.Datagram(1, agent, row(x.mac, x.port))
		h.Time = h.Time.Add(time.Duration(x.minute) * time.Minute)
		packets = append(packets, h)
	}
	if got := portLines(dissecttest.Play(dissect.Config{}, packets)); len(got) != 3 || !strings.Contains(got[1], "port=8") || !strings.Contains(got[2], "port=7") {
		t.Errorf("%q", got)
	}
}
