package main

import (
	endian "encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

const attachedHospital = `
sites: [{site: ward-a, home: [10.0.0.0/24], buildings: [{building: Main, floors: [{floor: "3", departments: [{department: ICU, rooms: [A, B]}]}]}]}]
switch_ports: [{switch: sw-3, port: Gi1/0/7, department: ICU, room: A}, {switch: sw-4, port: Gi1/0/2, department: ICU, room: B}]
`

// element is one of BER, shorter than 256 bytes.
func element(tag byte, parts ...[]byte) []byte {
	v := slices.Concat(parts...)
	if len(v) > 127 {
		return append([]byte{tag, 0x81, byte(len(v))}, v...)
	}
	return append([]byte{tag, byte(len(v))}, v...)
}

// objectOf is an object identifier under 1.3.6.1.2.1, with its value.
func objectOf(id string, value []byte) []byte {
	b := []byte{0x2b, 6, 1, 2, 1}
	for s := range strings.SplitSeq(id, ".") {
		n, err := strconv.Atoi(s)
		if err != nil {
			panic(err)
		}
		if n > 16383 {
			b = append(b, byte(n>>14)|0x80)
		}
		if n > 127 {
			b = append(b, byte(n>>7)|0x80)
		}
		b = append(b, byte(n)&0x7f)
	}
	return element(0x30, element(6, b), value)
}

func number(n uint16) []byte { return element(2, endian.BigEndian.AppendUint16(nil, n)) }

// answerOf is a response of version 2c.
func answerOf(binds ...[]byte) []byte {
	pdu := element(0xa2, number(1), number(0), number(0), element(0x30, binds...))
	return element(0x30, element(2, []byte{1}), element(4, []byte("CanaryCommunity")), pdu)
}

// captureOf writes a capture of UDP packets between hosts of 10.0.0.0/24, whose MACs end
// in the same number.
type captureOf struct{ b []byte }

func (c *captureOf) udp(at time.Duration, src, dst byte, ports [2]uint16, payload []byte) {
	mac := func(n byte) []byte { return []byte{0, 0x1b, 0x21, 0xaa, 0xbb, n} }
	f := append(append(slices.Concat(mac(dst), mac(src)), 8, 0, 0x45, 0), 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, src, 10, 0, 0, dst)
	endian.BigEndian.PutUint16(f[16:], uint16(28+len(payload)))
	f = endian.BigEndian.AppendUint16(endian.BigEndian.AppendUint16(f, ports[0]), ports[1])
	f = append(endian.BigEndian.AppendUint16(f, uint16(8+len(payload))), 0, 0)
	f = append(f, payload...)
	t := proto.TimeOf(time.Date(2026, 11, 17, 8, 0, 0, 0, time.UTC)).Add(at)
	le := endian.LittleEndian
	if c.b == nil {
		c.b = append(le.AppendUint32(nil, 0xa1b23c4d), 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		c.b = le.AppendUint32(le.AppendUint32(c.b, 65535), 1)
	}
	c.b = le.AppendUint32(le.AppendUint32(c.b, uint32(t/1e9)), uint32(t%1e9))
	c.b = append(le.AppendUint32(le.AppendUint32(c.b, uint32(len(f))), uint32(len(f))), f...)
}

// A manager walks two switches, and one of them logs a login: the pump is where its switch
// says, not behind the uplink of the other; then it moves, and its place with it.
func TestAttachedByTablesAndLogs(t *testing.T) {
	const pump, bed, manager, access, core, other = 9, 8, 3, 2, 4, 5
	var c captureOf
	snmp := [2]uint16{161, 40000}
	alive := func(at time.Duration) {
		for _, who := range []byte{pump, bed} {
			c.udp(at, who, manager, [2]uint16{123, 123}, append([]byte{0x23}, make([]byte, 47)...))
		}
	}
	alive(0)
	fdb := func(who byte, port uint16) []byte {
		return objectOf("17.7.1.2.2.1.2.7.0.27.33.170.187."+strconv.Itoa(int(who)), number(port))
	}
	c.udp(time.Minute, access, manager, snmp, answerOf(objectOf("1.5.0", element(4, []byte("sw-3")))))
	c.udp(time.Minute+time.Second, access, manager, snmp, answerOf(fdb(pump, 7), fdb(bed, 8)))
	c.udp(time.Minute+2*time.Second, access, manager, [2]uint16{161, 40001}, answerOf(objectOf("17.1.4.1.2.7", number(10107)), objectOf("31.1.1.1.1.10107", element(4, []byte("Gi1/0/7"))),
		objectOf("2.2.1.2.10107", element(4, []byte("GigabitEthernet1/0/7"))), objectOf("17.7.1.4.2.1.3.0.41", element(0x42, []byte{7}))))
	c.udp(5*time.Minute, core, manager, snmp, answerOf(objectOf("1.5.0", element(4, []byte("core")))))
	c.udp(5*time.Minute+time.Second, core, manager, snmp, answerOf(fdb(pump, 1), fdb(bed, 1), fdb(101, 1), fdb(102, 1), fdb(103, 1)))
	alive(30 * time.Minute)
	first := slices.Clone(c.b)
	c.udp(time.Hour, other, manager, [2]uint16{50000, 514}, []byte("<189>41: sw-4: Nov 17 09:00:00.001: %DOT1X-5-SUCCESS: Authentication successful for client (001b.21aa.bb09) on Interface GigabitEthernet1/0/2 AuditSessionID C0A8A84B Username CanaryUser"))
	alive(90 * time.Minute)
	hospital := tempFile(t, "hospital.yaml", attachedHospital)
	for _, x := range []struct {
		capture           []byte
		devices           int // those that were seen; a table makes none
		pump, place, says string
	}{
		{first, 4, "sw-3 Gi1/0/7 41 snmp", "Main / 3 / ICU / A", "forwarding=00:1b:21:aa:bb:09 port=7 fdb=7"},
		{c.b, 5, "sw-4 GigabitEthernet1/0/2  syslog", "Main / 3 / ICU / B", "port=GigabitEthernet1/0/2"},
	} {
		file, dir := filepath.Join(t.TempDir(), "day.pcap"), filepath.Join(t.TempDir(), "out")
		if err := os.WriteFile(file, x.capture, 0o600); err != nil {
			t.Fatal(err)
		}
		env := []string{"WARDFLOW_DATA_DIR=" + t.TempDir()}
		if r := runCLI(t, env, "", "replay", file, "--site", "ward-a", "--out", dir, "--context", hospital); r.code != 0 {
			t.Fatalf("replay: %+v", r)
		}
		text, err := os.ReadFile(filepath.Join(dir, "devices.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			var d proto.Device
			if err := json.Unmarshal([]byte(line), &d); err != nil {
				t.Fatal(err)
			}
			n++
			if !slices.Contains(d.IPs, netip.AddrFrom4([4]byte{10, 0, 0, pump}).String()) {
				continue
			}
			a := d.Attachments[len(d.Attachments)-1]
			if got := strings.Join([]string{a.Switch, a.Port, a.VLAN, a.Source}, " "); got != x.pump || d.Place == nil || d.Place.Path() != x.place {
				t.Errorf("the pump is at %q, %+v, want %q, %s", got, d.Place, x.pump, x.place)
			}
		}
		if n != x.devices {
			t.Errorf("%d devices, want %d", n, x.devices)
		}
		for attribute, want := range map[string]string{"attachment": x.says, "place": x.place} {
			if r := runCLI(t, env, "", "device", "why", "10.0.0.9", attribute, "--from", dir); r.code != 0 || !strings.Contains(r.out, want) || strings.Contains(r.out, "anary") {
				t.Errorf("why %s: %+v, want %s", attribute, r, want)
			}
		}
	}
}
