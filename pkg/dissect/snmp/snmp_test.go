package snmp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/snmp"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

var (
	agent     = [2]uint16{40000, 161}
	receiver  = [2]uint16{40000, 162}
	elsewhere = [2]uint16{40000, 40001}
)

// said is what a side sends.
type said struct {
	side int
	b    []byte
}

func play(ports [2]uint16, list ...said) *dissecttest.Result {
	var packets []packet.Headers
	for _, s := range list {
		packets = append(packets, dissecttest.Datagram(s.side, ports, s.b))
	}
	return dissecttest.Play(dissect.Config{}, packets)
}

// lines are the facts without their subject's constant parts.
func lines(r *dissecttest.Result) []string {
	var list []string
	for _, f := range r.Facts {
		a, err := f.Attributes.MarshalJSON()
		if err != nil {
			panic(err)
		}
		who := fmt.Sprint(int(f.Subject.Side))
		if f.Subject.IP.IsValid() {
			who += "/" + f.Subject.IP.String()
		}
		list = append(list, f.Kind+" "+who+" "+string(a))
	}
	return list
}

func TestMessages(t *testing.T) {
	const clear = `"account":"default","cleartext_credential":"community",`
	sysObjectID := bind("1.3.6.1.2.1.1.2.0", oid("1.3.6.1.4.1.11.2.3.9.1"))
	for _, tc := range []struct {
		name  string
		ports [2]uint16
		list  []said
		want  []string
	}{
		{
			"the system group", agent,
			[]said{
				{0, v2("public", pdu(get, 0, bind("1.3.6.1.2.1.1.1.0", null)))},
				{1, v2("public", pdu(response, 0,
					bind("1.3.6.1.2.1.1.1.0", str("Cisco Internetwork Operating System Software \r\nIOS (tm) C2900XL Software (C2900XL-C3H2S-M), Version 12.0(5)WC17, RELEASE SOFTWARE (fc1)\r\nCopyright (c) 1986-2007 by cisco Systems, Inc.\r\nCompiled Tue 13-Feb-07 15:04 by nobody")),
					sysObjectID, bind("1.3.6.1.2.1.1.3.0", tlv(0x43, []byte{0, 0x98, 0x96, 0x80})), bind("1.3.6.1.2.1.1.4.0", str("Nobody Somebody, 4711")),
					bind("1.3.6.1.2.1.1.5.0", str("sw-w3-01")), bind("1.3.6.1.2.1.1.6.0", str("Ward 3, closet 2"))))},
			},
			[]string{
				`get 0 {` + clear + `"role":"client","snmp_version":"2c"}`,
				`response 1 {` + clear + `"enterprise":"11","location":"Ward 3, closet 2","object_id":"1.3.6.1.4.1.11.2.3.9.1","role":"server","snmp_version":"2c","system_description":"Cisco Internetwork Operating System Software IOS (tm) C2900XL Software (C2900XL-C3H2S-M), Version 12.0(5)WC17, RELEASE SOFTWARE (fc1)","system_name":"sw-w3-01","uptime_s":"100000"}`,
			},
		},
		{
			"a description with a sign in it", agent,
			[]said{{0, v2("public", pdu(response, 0, bind("1.3.6.1.2.1.1.1.0", str("Linux infra01 6.18.44 #1 SMP @0 x86_64"))))}},
			[]string{`response 0 {` + clear + `"role":"server","snmp_version":"2c","system_description":"Linux infra01 6.18.44 #1 SMP @0 x86_64"}`},
		},
		{
			"a printer", agent,
			[]said{{1, v1("secret", pdu(response, 0,
				bind("1.3.6.1.2.1.25.3.2.1.3.1", str("HP LaserJet 4200")), bind("1.3.6.1.2.1.25.3.5.1.1.1", num(4)), bind("1.3.6.1.2.1.43.5.1.1.17.1", str("CNBX123456")),
				bind("1.3.6.1.2.1.43.10.2.1.4.1.1", tlv(0x41, []byte{0x12, 0x34})), bind("1.3.6.1.4.1.11.2.3.9.1.1.7.0", str("MFG:Hewlett-Packard;CMD:PJL,PCL;MDL:HP LaserJet 4200;CLS:PRINTER;JOBOWNER:nobody;SN:CNBX123456;")),
				bind("1.3.6.1.2.1.2.2.1.6.1", tlv(4, []byte{0, 1, 0xe6, 1, 2, 3})), bind("1.3.6.1.2.1.2.2.1.6.2", tlv(4, []byte{0, 0, 0, 0, 0, 0}))))}},
			[]string{`response 0 {"account":"other","cleartext_credential":"community","device_description":"HP LaserJet 4200","macs":["00:01:e6:01:02:03"],"manufacturer":"Hewlett-Packard","model":"HP LaserJet 4200","page_count":"4660","role":"server","serial":"CNBX123456","snmp_version":"1","state":"printing"}`},
		},
		{
			"the chassis among its parts", agent,
			[]said{{0, v2("public", pdu(response, 0,
				bind("1.3.6.1.2.1.47.1.1.1.1.5.1", num(11)), bind("1.3.6.1.2.1.47.1.1.1.1.5.1001", num(3)), bind("1.3.6.1.2.1.47.1.1.1.1.5.1002", num(6)),
				bind("1.3.6.1.2.1.47.1.1.1.1.11.1", str("S-0001")), bind("1.3.6.1.2.1.47.1.1.1.1.11.1001", str("FOC1408Z61U")), bind("1.3.6.1.2.1.47.1.1.1.1.11.1002", str("PSU-77")),
				bind("1.3.6.1.2.1.47.1.1.1.1.13.1001", str("WS-C3560G-48TS-E")), bind("1.3.6.1.2.1.47.1.1.1.1.12.1001", str("Cisco")), bind("1.3.6.1.2.1.47.1.1.1.1.10.1001", str("12.2(55)SE3")),
				bind("1.3.6.1.2.1.47.1.1.1.1.8.1001", str("V05")), bind("1.3.6.1.2.1.47.1.1.1.1.9.1001", str("12.2(44)")), bind("1.3.6.1.2.1.47.1.1.1.1.14.1001", str("alias of nobody"))))}},
			[]string{`response 0 {` + clear + `"firmware_version":"12.2(44)","hardware_version":"V05","manufacturer":"Cisco","model":"WS-C3560G-48TS-E","role":"server","serial":"FOC1408Z61U","snmp_version":"2c","software_version":"12.2(55)SE3"}`},
		},
		{
			"parts without their classes", agent,
			[]said{{0, v2("public", pdu(response, 0, bind("1.3.6.1.2.1.47.1.1.1.1.11.2", str("PSU-77")), bind("1.3.6.1.2.1.47.1.1.1.1.11.1", str("FOC1408Z61U"))))}},
			[]string{`response 0 {` + clear + `"role":"server","serial":"FOC1408Z61U","snmp_version":"2c"}`},
		},
		{
			"a write", agent,
			[]said{{0, v2("private", pdu(set, 0, bind("1.3.6.1.4.1.318.1.1.1.6.2.1.0", num(2))))}, {0, v2("private", pdu(set, 0, bind("1.3.6.1.2.1.1.5.0", str("written-name"))))}, {1, v2("private", pdu(response, 17))}},
			[]string{
				`set 0 {` + clear + `"enterprise":"318","role":"client","snmp_version":"2c"}`,
				`set 0 {` + clear + `"role":"client","snmp_version":"2c"}`,
				`response 1 {` + clear + `"role":"server","snmp_version":"2c"}`,
				`messages 0 {"errors":["not_writable:1"],"pdus":["set:2","response:1"],"role":"client"}`,
			},
		},
		{
			"version 1's trap, handed on", receiver,
			[]said{{0, v1("public", tlv(trapV1, oid("1.3.6.1.4.1.318"), tlv(0x40, []byte{10, 9, 9, 9}), num(6), num(5), tlv(0x43, []byte{100}), tlv(0x30)))}},
			[]string{`trap 2/10.9.9.9 {` + clear + `"enterprise":"318","object_id":"1.3.6.1.4.1.318","role":"server","snmp_version":"1","specific_trap":"5","trap":"enterprise_specific","uptime_s":"1"}`},
		},
		{
			"version 2's trap", receiver,
			[]said{{0, v2("", pdu(trap, 0, bind("1.3.6.1.2.1.1.3.0", tlv(0x43, []byte{100})), bind("1.3.6.1.6.3.1.1.4.1.0", oid("1.3.6.1.6.3.1.1.5.1")), bind("1.3.6.1.6.3.1.1.4.3.0", oid("1.3.6.1.4.1.9.1.1")), bind("1.3.6.1.6.3.18.1.3.0", tlv(0x40, []byte{10, 9, 9, 9}))))}},
			[]string{`trap 2/10.9.9.9 {"account":"empty","cleartext_credential":"community","enterprise":"9","role":"server","snmp_version":"2c","trap":"cold_start","trap_id":"1.3.6.1.6.3.1.1.5.1","uptime_s":"1"}`},
		},
		{
			"an inform and its receipt", receiver,
			[]said{{0, v2("public", pdu(inform, 0, bind("1.3.6.1.6.3.1.1.4.1.0", oid("1.3.6.1.4.1.318.0.5"))))}, {1, v2("public", pdu(response, 0, bind("1.3.6.1.2.1.1.5.0", str("echo"))))}},
			[]string{
				`inform 0 {` + clear + `"enterprise":"318","role":"server","snmp_version":"2c","trap":"enterprise_specific","trap_id":"1.3.6.1.4.1.318.0.5"}`,
				`response 1 {` + clear + `"role":"client","snmp_version":"2c"}`,
			},
		},
		{
			"version 3, engine of a MAC", agent,
			[]said{
				{0, v3(4, "", 0, "", "", scoped("", pdu(get, 0)))},
				{1, v3(0, "\x80\x00\x00\x0b\x03\x00\x01\xe6\x01\x02\x03", 12, "", "", scoped("\x80\x00\x00\x0b\x03\x00\x01\xe6\x01\x02\x03", pdu(report, 0, bind("1.3.6.1.6.3.15.1.1.4.0", tlv(0x41, []byte{1})))))},
				{0, v3(7, "\x80\x00\x00\x0b\x03\x00\x01\xe6\x01\x02\x03", 12, "nurse", strings.Repeat("x", 24), str("encrypted"))},
				{1, v3(3, "\x80\x00\x00\x0b\x03\x00\x01\xe6\x01\x02\x03", 13, "nurse", strings.Repeat("x", 24), str("encrypted"))},
			},
			[]string{
				`get 0 {"role":"client","security_level":"noauth_nopriv","snmp_version":"3"}`,
				`report 1 {"engine_boots":"12","engine_enterprise":"11","engine_id":"8000000b030001e6010203","engine_mac":"00:01:e6:01:02:03","engine_time_s":"77","role":"server","security_level":"noauth_nopriv","snmp_version":"3"}`,
				`encrypted 0 {"authentication":"hmac_192","role":"client","security_level":"auth_priv","snmp_version":"3"}`,
				`encrypted 1 {"authentication":"hmac_192","engine_boots":"13","engine_enterprise":"11","engine_id":"8000000b030001e6010203","engine_mac":"00:01:e6:01:02:03","engine_time_s":"77","role":"server","security_level":"auth_priv","snmp_version":"3"}`,
				`messages 0 {"pdus":["get:1","report:1","encrypted:2"],"role":"client"}`,
			},
		},
		{
			"a manager names the engine that it asks, and the agent another", agent,
			[]said{
				{0, v3(5, "\x80\x00\x1f\x88\x80\x12\x34\x56\x78", 7, "nurse", strings.Repeat("x", 12), scoped("", pdu(get, 0)))},
				{0, v3(7, "\x80\x00\x1f\x88\x80\x12\x34\x56\x78", 7, "nurse", strings.Repeat("x", 12), str("encrypted"))},
				{1, v3(0, "\x80\x00\x1f\x88\x80\x12\x34\x56\x79", 9, "", "", scoped("", pdu(report, 0)))},
				{0, v3(7, "\x80\x00\x1f\x88\x80\x12\x34\x56\x79", 9, "nurse", strings.Repeat("x", 12), str("encrypted"))},
			},
			[]string{
				`get 0 {"authentication":"hmac_96","role":"client","security_level":"auth_nopriv","snmp_version":"3"}`,
				`engine 1 {"engine_enterprise":"8072","engine_id":"80001f888012345678","role":"server"}`,
				`encrypted 0 {"authentication":"hmac_96","role":"client","security_level":"auth_priv","snmp_version":"3"}`,
				`report 1 {"engine_boots":"9","engine_enterprise":"8072","engine_id":"80001f888012345679","engine_time_s":"77","role":"server","security_level":"noauth_nopriv","snmp_version":"3"}`,
				`messages 0 {"pdus":["get:1","report:1","encrypted:2"],"role":"client"}`,
			},
		},
		{
			"an encrypted inform names its receiver's, a trap its sender's", receiver,
			[]said{
				{0, v3(7, "\x80\x00\x1f\x88\x80\x12\x34\x56\x78", 7, "nurse", strings.Repeat("x", 12), str("encrypted"))},
				{0, v3(3, "\x80\x00\x1f\x88\x80\x12\x34\x56\x79", 0, "nurse", strings.Repeat("x", 12), str("encrypted"))},
			},
			[]string{
				`encrypted 0 {"authentication":"hmac_96","role":"server","security_level":"auth_priv","snmp_version":"3"}`,
				`encrypted 0 {"authentication":"hmac_96","engine_enterprise":"8072","engine_id":"80001f888012345679","role":"server","security_level":"auth_priv","snmp_version":"3"}`,
			},
		},
		{
			"the context alone is no authority", agent,
			[]said{{0, v3(4, "", 0, "", "", scoped("\x80\x00\x1f\x88\x80\x12\x34\x56\x78", pdu(get, 0)))}},
			[]string{`get 0 {"role":"client","security_level":"noauth_nopriv","snmp_version":"3"}`},
		},
		{
			"an engine of an address, in clear", agent,
			[]said{{0, v3(1, "\x80\x00\x0a\x4c\x01\x0a\x01\x02\x04", 1, "nurse", strings.Repeat("x", 12), scoped("", pdu(response, 0, bind("1.3.6.1.2.1.1.5.0", str("mx-1")))))}},
			[]string{`response 0 {"authentication":"hmac_96","engine_boots":"1","engine_enterprise":"2636","engine_id":"80000a4c010a010204","engine_ip":"10.1.2.4","engine_time_s":"77","role":"server","security_level":"auth_nopriv","snmp_version":"3","system_name":"mx-1"}`},
		},
		{
			"said once, and again when it changes", elsewhere,
			[]said{
				{0, v2("x", pdu(response, 0, bind("1.3.6.1.2.1.25.3.5.1.1.1", num(3))))},
				{0, v2("x", pdu(response, 0, bind("1.3.6.1.2.1.25.3.5.1.1.1", num(3))))},
				{0, v2("x", pdu(response, 0, bind("1.3.6.1.2.1.25.3.5.1.1.1", num(4))))},
				{0, v2("x", pdu(response, 0))},
			},
			[]string{
				`response 0 {"account":"other","cleartext_credential":"community","role":"server","snmp_version":"2c","state":"idle"}`,
				`response 0 {"account":"other","cleartext_credential":"community","role":"server","snmp_version":"2c","state":"printing"}`,
				`messages 0 {"pdus":["response:4"],"role":"server"}`,
			},
		},
		{"a question says nothing of the asked", agent, []said{{0, v2("x", pdu(get, 0, bind("1.3.6.1.2.1.1.5.0", str("asked"))))}}, []string{`get 0 {"account":"other","cleartext_credential":"community","role":"client","snmp_version":"2c"}`}},
		{"exceptions", agent, []said{{0, v2("x", pdu(response, 0, bind("1.3.6.1.2.1.1.5.0", []byte{0x81, 0})))}}, []string{`response 0 {"account":"other","cleartext_credential":"community","role":"server","snmp_version":"2c"}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.ports, tc.list...)
			if got := lines(r); !slices.Equal(got, tc.want) || len(r.Panics) > 0 {
				t.Errorf("panics %v, got\n%s\nwant\n%s", r.Panics, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if f := r.Flows[0]; f.Protocol != "snmp" || f.By != proto.ByContent {
				t.Errorf("%s by %s", f.Protocol, f.By)
			}
			if strings.Contains(string(r.Everything()), "obody") || r.Counters["snmp_pdu_malformed"] > 0 {
				t.Errorf("%s", r.Everything())
			}
		})
	}
}

// Without its ports a message must be right to its end; on them a head is enough.
func TestDamaged(t *testing.T) {
	whole := v2("public", pdu(response, 0, bind("1.3.6.1.2.1.1.5.0", str("sw-w3-01"))))
	for _, tc := range []struct {
		name      string
		b         []byte
		home, far string // by
		counted   string
	}{
		{"whole", whole, "content", "content", ""},
		{"bytes behind it", append(slices.Clone(whole), 0, 0), "content", "", ""},
		{"a length that is two too long", append([]byte{0x30, whole[1] + 2}, whole[2:]...), "content", "", "snmp_pdu_malformed"},
		{"a PDU that ends early", v2("public", tlv(response, num(1), num(0))), "content", "", "snmp_pdu_malformed"},
		{"a variable without value", v2("public", pdu(response, 0, tlv(0x30, oid("1.3.6.1")))), "content", "", "snmp_pdu_malformed"},
		{"version 1 with a bulk", v1("public", pdu(getBulk, 0)), "content", "", "snmp_pdu_malformed"},
		{"no PDU", tlv(0x30, num(1), str("public"), str("x")), "port", "", ""},
		{"version 4", tlv(0x30, num(4), str("public"), pdu(get, 0)), "port", "", ""},
		{"LDAP", tlv(0x30, num(1), tlv(0x60, num(3), str("cn=x"), str("y"))), "port", "", ""},
		{"a length beyond the end", append([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, whole[2:]...), "port", "", ""},
		{"a length without end", append([]byte{0x30, 0x80}, whole[2:]...), "port", "", ""},
		{"version 3 without parameters", tlv(0x30, num(3), tlv(0x30, num(1), num(1), str("\x00"), num(3)), str(""), scoped("", pdu(get, 0))), "content", "", "snmp_pdu_malformed"},
		{"version 3, encrypted in clear", v3(0, "", 0, "", "", str("x")), "port", "", ""},
		{"version 2u", tlv(0x30, num(2), str("x"), pdu(get, 0)), "content", "", ""},
		{"an endless object", v2("public", pdu(response, 0, tlv(0x30, tlv(6, []byte{0x2b, 6, 1, 2, 1, 1, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}), str("x")))), "content", "content", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for ports, want := range map[[2]uint16]string{agent: tc.home, elsewhere: tc.far} {
				r := play(ports, said{0, tc.b})
				if by := r.Flows[0].By; by != want || len(r.Panics) > 0 {
					t.Errorf("to %d: by %q, want %q; %v", ports[1], by, want, r.Panics)
				}
				if want == "content" && r.Counters[tc.counted] != 1 && tc.counted != "" {
					t.Errorf("to %d: counted %v", ports[1], r.Counters)
				}
			}
		})
	}
	// A capture that kept the beginning of each frame.
	h := dissecttest.Datagram(0, agent, whole[:len(whole)-4])
	h.PayloadLen = len(whole)
	r := dissecttest.Play(dissect.Config{}, []packet.Headers{h})
	if r.Flows[0].By != proto.ByContent || r.Counters["snmp_cut"] != 1 || len(r.Facts) != 1 {
		t.Errorf("cut: %s", r.Everything())
	}
}

// Communities, user names, contacts, texts that name somebody and values of other
// objects never leave, wherever a message is cut.
func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canaryuser", "CanaryContact", "CanaryPatient", "canary@home", "CanaryEngine"}
	s := canary.New(secrets)
	engine := "\x80\x00\x00\x0b\x04CanaryEngine"
	binds := [][]byte{
		bind("1.3.6.1.2.1.1.4.0", str("CanaryContact")), bind("1.3.6.1.2.1.1.6.0", str("room of Dr Canarella")), bind("1.3.6.1.2.1.1.1.0", str("Canarella's printer")),
		bind("1.3.6.1.2.1.2.2.1.2.1", str("CanaryPatient")), bind("1.3.6.1.2.1.31.1.1.1.18.1", str("CanaryPatient")), bind("1.3.6.1.4.1.11.2.3.9.1.1.7.0", str("MFG:Canarella's;JOB:CanaryPatient;SN:canary@home;")),
		bind("1.3.6.1.2.1.47.1.1.1.1.14.1", str("CanaryPatient")), bind("1.3.6.1.2.1.43.5.1.1.17.1", str("CanaryPatient")), bind("1.3.6.1.6.3.10.2.1.1.0", str(engine)),
		bind("1.3.6.1.2.1.43.18.1.1.8.1.1", str("CanaryPatient")), bind("1.3.6.1.2.1.31.1.1.1.1.7", str("CanaryPatient")), bind("1.0.8802.1.1.2.1.3.7.1.2.7", num(1)),
		bind("1.0.8802.1.1.2.1.3.7.1.3.7", str("Canarella")), bind("1.0.8802.1.1.2.1.3.7.1.4.7", str("CanaryPatient")), bind("1.0.8802.1.1.2.1.4.1.1.5.0.7.1", str("CanaryPatient")),
		bind("1.0.8802.1.1.2.1.4.1.1.7.0.7.1", str("CanaryPatient")), bind("1.0.8802.1.1.2.1.4.1.1.9.0.7.1", str("CanaryPatient")), bind("1.3.6.1.4.1.9.9.23.1.2.1.1.6.7.1", str("CanaryPatient")),
		bind("1.3.6.1.2.1.17.4.3.1.2.0.27.33.170.187.204", num(7)),
	}
	dissecttest.Planted(t, "snmp", secrets, []packet.Headers{
		dissecttest.Datagram(0, agent, v2("Canarella", pdu(get, 0, binds...))), dissecttest.Datagram(1, agent, v2("Canarella", pdu(response, 0, binds...))),
		dissecttest.Datagram(1, agent, v3(0, engine, 1, "canaryuser", "", scoped(engine, pdu(response, 0, binds...)))),
	})
	for _, kind := range []byte{get, response, set, trap, inform} {
		for _, msg := range [][]byte{v1("Canarella", pdu(kind, 0, binds...)), v2("Canarella", pdu(kind, 0, binds...)), v3(0, engine, 1, "canaryuser", "", scoped(engine, pdu(kind, 0, binds...)))} {
			step := 9 // of questions nothing is told anyway
			if kind == response {
				step = 1
			}
			for cut := 0; cut <= len(msg); cut += step {
				h := dissecttest.Datagram(0, agent, msg[:cut])
				h.PayloadLen = len(msg)
				if hits := s.Search(dissecttest.Play(dissect.Config{}, []packet.Headers{h}).Everything()); len(hits) > 0 {
					t.Fatalf("kind %x, cut at %d: %v", kind, cut, hits)
				}
			}
		}
	}
}

// Other protocols' datagrams are refused without allocating.
func TestRefusalsAreFree(t *testing.T) {
	h := dissecttest.Datagram(0, elsewhere, nil)
	c := &dissector.Context{Headers: &h}
	for _, b := range [][]byte{tlv(0x30, num(1), tlv(0x60, num(3), str("cn=x"), str("y"))), []byte("OPTIONS sip:nm SIP/2.0\r\n\r\n"), v2("public", tlv(response, num(1), num(0)))} {
		if n := testing.AllocsPerRun(100, func() {
			if snmp.Protocol.Datagram(c, b, false) != dissector.No {
				t.Fatal("it is not refused")
			}
		}); n != 0 {
			t.Errorf("% x costs %v allocations", b[:4], n)
		}
	}
}

// A flow is not told for ever, and what is kept of it has a bound.
func TestBounds(t *testing.T) {
	var list []said
	for i := range 2000 {
		list = append(list, said{0, v2("x", pdu(response, 0, bind("1.3.6.1.2.1.2.2.1.6.1", tlv(4, []byte{0, 1, 2, 3, byte(i >> 8), byte(i)})), bind("1.3.6.1.6.3.1.1.4.1.0", oid(fmt.Sprintf("1.3.6.1.4.1.9.0.%d", i)))))})
	}
	if r := play(elsewhere, list...); len(r.Facts) > 100 {
		t.Errorf("%d facts", len(r.Facts))
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(v2("public", pdu(response, 0, bind("1.3.6.1.2.1.1.5.0", str("sw-w3-01")), bind("1.3.6.1.2.1.47.1.1.1.1.11.2", str("PSU-77")))))
	f.Add(v1("public", tlv(trapV1, oid("1.3.6.1.4.1.318"), tlv(0x40, []byte{10, 9, 9, 9}), num(6), num(5), tlv(0x43, []byte{100}), tlv(0x30))))
	f.Add(v3(3, "\x80\x00\x00\x0b\x03\x00\x01\xe6\x01\x02\x03", 13, "nurse", strings.Repeat("x", 24), str("encrypted")))
	f.Add(v2("public", pdu(response, 0, bind("1.3.6.1.2.1.17.7.1.2.2.1.2.3.0.27.33.170.187.204", num(7)), bind("1.0.8802.1.1.2.1.4.1.1.4.0.7.1", num(4)), bind("1.0.8802.1.1.2.1.4.1.1.5.0.7.1", tlv(4, []byte{0, 27, 33, 1, 2, 3})))))
	f.Add(v2("public", pdu(trap, 0, bind("1.3.6.1.4.1.9.9.215.1.1.8.1.2.4", tlv(4, []byte{1, 0, 41, 0, 27, 33, 1, 2, 3, 0, 7, 0})))))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, ports := range [][2]uint16{agent, elsewhere} {
			if r := play(ports, said{0, b}, said{1, b}); len(r.Panics) > 0 || len(r.Facts) > 5 {
				t.Fatal(r.Panics, len(r.Facts))
			}
		}
	})
}
