package rdp_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/rdp"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// tpkt is an X.224 message in its frame.
func tpkt(m ...[]byte) []byte {
	b := slices.Concat(m...)
	return append([]byte{3, 0, byte((len(b) + 4) >> 8), byte(len(b) + 4)}, b...)
}

// connect is a connection request or confirm with a variable part.
func connect(kind byte, rest ...[]byte) []byte {
	v := slices.Concat(rest...)
	return tpkt([]byte{byte(6 + len(v)), kind, 0, 0, 0, 0, 0}, v)
}

func negotiate(kind byte, value int) []byte { return slices.Concat([]byte{kind, 0, 8, 0}, le32(value)) }

func wide(s string, n int) []byte {
	b := make([]byte, n)
	for i, x := range []byte(s) {
		b[2*i] = x
	}
	return b
}

func block(kind int, b ...[]byte) []byte {
	x := slices.Concat(b...)
	return slices.Concat(le16(kind), le16(len(x)+4), x)
}

func clientData() []byte {
	core := slices.Concat(le32(0x80004), make([]byte, 8), le32(0x409), le32(2600), wide("WS7", 32), make([]byte, 90), wide("55274-OEM-0011903-00107", 64))
	net := slices.Concat(le32(2), []byte("rdpdr\x00\x00\x00"), le32(0), []byte("CANARYCH"), le32(0))
	body := slices.Concat(block(0xc001, core), block(0xc002, le32(3), le32(0)), block(0xc003, net))
	return tpkt([]byte{2, 0xf0, 0x80, 0x7f, 0x65, 0x82, 1, 1}, []byte("Duca"), []byte{0x80 | byte(len(body)>>8), byte(len(body))}, body)
}

func serverData() []byte {
	body := slices.Concat(block(0x0c01, le32(0x80005), le32(0)), block(0x0c02, le32(2), le32(2), le32(4), le32(8), []byte("rand"), le32(1), le32(0)))
	return tpkt([]byte{2, 0xf0, 0x80, 0x7f, 0x66, 0x82, 1, 1}, []byte("McDn"), []byte{byte(len(body))}, body)
}

func say(list ...[]byte) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, b := range list {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: b})
	}
	return c
}

func old() dissecttest.Conversation {
	return say(connect(0xe0, []byte("Cookie: mstshash=CANARYDOM\\jcanaryuser\r\n"), negotiate(1, 0)), connect(0xd0), clientData(), serverData(), tpkt([]byte{2, 0xf0, 0x80}, []byte("jcanaryuser canarypassword")))
}

func TestOld(t *testing.T) {
	r := dissecttest.EveryCut(t, old())
	want := `rdp connect > account=other legacy=true security_offered=rdp
rdp negotiation < legacy=true security=rdp
rdp client > channels=rdpdr|other client_build=2600 computer_name=WS7 encryption_methods=40bit|128bit product_id=55274-OEM-0011903-00107 rdp_version=5.0-8.1
rdp server < certificate_type=proprietary encryption_level=client_compatible encryption_method=128bit legacy=true rdp_version=10.0
`
	if r.Brief() != want || r.Flows[0].By != proto.ByContent {
		t.Errorf("got\n%swant\n%s", r.Brief(), want)
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"jcanaryuser", "canarypassword", "CANARYDOM", "CANARYCH"}
	dissecttest.NoLeak(t, secrets, old())
	dissecttest.PlantedTalks(t, "rdp", 9999, secrets, old())
}

func TestNegotiations(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		c          dissecttest.Conversation
	}{
		{"CredSSP", "rdp connect > account=administrator security_offered=rdp|tls|credssp\nrdp negotiation < security=credssp\n", say(connect(0xe0, []byte("Cookie: mstshash=Administrator\r\n"), negotiate(1, 3)), connect(0xd0, negotiate(2, 2)))},
		{"a refusal", "rdp connect > legacy=true security_offered=rdp\nrdp negotiation < outcome=refused reason=hybrid_required\n", say(connect(0xe0, negotiate(1, 0)), connect(0xd0, negotiate(3, 5)))},
		{"a load balancer", "rdp connect > legacy=true routing_token=true security_offered=rdp\n", say(connect(0xe0, []byte("Cookie: msts=3640205228.15629.0000\r\n")))},
		{"before Windows XP", "rdp connect > legacy=true security_offered=rdp\nrdp client >", say(slices.Concat(connect(0xe0), clientData()))},
	} {
		if r := dissecttest.EveryCut(t, tc.c); !strings.HasPrefix(r.Brief(), tc.want) {
			t.Errorf("%s: %s", tc.name, r.Brief())
		}
	}
}

func TestRecognise(t *testing.T) {
	for name, tc := range map[string]struct {
		in   []byte
		want dissector.Verdict
	}{
		"S7":               {tpkt([]byte{17, 0xe0, 0, 0, 0, 1, 0, 0xc0, 1, 10, 0xc1, 2, 1, 0, 0xc2, 2, 1, 2}), dissector.No},
		"H.323":            {tpkt([]byte{8, 2, 0, 1, 5, 4, 3}), dissector.No},
		"a lying length":   {[]byte{3, 0, 0, 99, 6, 0xe0, 0, 0, 0, 0, 0}, dissector.No},
		"alone":            {connect(0xe0), dissector.More},
		"before MMS":       {slices.Concat(connect(0xe0), tpkt([]byte{2, 0xf0, 0x80, 0x0d, 1})), dissector.No},
		"a half":           {connect(0xe0, negotiate(1, 3))[:9], dissector.More},
		"bits of tomorrow": {connect(0xe0, negotiate(1, 0x1000)), dissector.No},
		"nothing":          {nil, dissector.More},
	} {
		if got := rdp.Protocol.Recognise(tc.in, false); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	if rdp.Protocol.Recognise(clientData(), true) != dissector.Yes {
		t.Error("midstream")
	}
}

func TestDatagrams(t *testing.T) {
	syn := slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0, 64, 0, 1, 1, 2, 3, 4, 4, 208, 4, 208}, make([]byte, 1216))
	for name, tc := range map[string]struct {
		in    []byte
		known bool
	}{
		"SYN": {syn, true}, "short": {syn[:200], false}, "a small size": {slices.Replace(slices.Clone(syn), 12, 13, 1), false}, "no flag": {slices.Replace(slices.Clone(syn), 7, 8, 8), false}, "nothing": {[]byte{1}, false},
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 3391}, tc.in)})
		if (r.Flows[0].Protocol == "rdp") != tc.known {
			t.Errorf("%s: %+v", name, r.Flows[0])
		}
	}
}

// Zeek's rdp.log, Suricata's and nDPI's results of these captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/rdp/rdp-unknown-keyboard.pcap":       "client_build=9600 computer_name=JOHN-PC-LAPTOP",
		"zeek/Traces/rdp/rdp-no-cookie-mstshash.pcap":     "tls certificate <",
		"suricata-verify/rdp-protocol/RDP-003.pcap":       "computer_name=ISD2-KM84178",
		"nDPI/pcap/rdp.pcap":                              "tls client_hello >",
		"nDPI/pcap/rdp3.pcap":                             "encryption_level=client_compatible encryption_method=128bit",
		"zeek/Traces/rdp/rdpeudp2-handshake-success.pcap": "udp_transport >",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%s", file, want, r.Brief())
		}
	}
	for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/rdp2.pcap"))).Flows {
		if f.Protocol != "rdp" || f.By != proto.ByContent {
			t.Errorf("%+v", f)
		}
	}
}

func FuzzStream(f *testing.F) {
	parts := old().Sides()
	f.Add(parts[0], parts[1], 40)
	f.Fuzz(dissecttest.FuzzCut)
}

// A capture that begins after the handshake of TCP still has both sides.
func TestMidstream(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, old().Segments(false))
	if k := r.Kinds(); k["rdp connect"] != 1 || k["rdp server"] != 1 {
		t.Error(r.Brief())
	}
}
