package dcerpc_test

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dcerpc"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// pdu is a PDU of one fragment with an authentication token of that kind, or none.
func pdu(kind byte, auth byte, token string, body ...[]byte) []byte {
	b := slices.Concat(body...)
	tail := []byte(nil)
	if token != "" {
		tail = slices.Concat([]byte{auth, 6, 0, 0}, le32(0), []byte(token))
	}
	return slices.Concat([]byte{5, 0, kind, 3, 0x10, 0, 0, 0}, le16(16+len(b)+len(tail)), le16(len(token)), le32(1), b, tail)
}

// id is an interface's id on the wire.
func id(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil {
		panic(err)
	}
	slices.Reverse(b[:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b
}

var (
	svcctl  = id("367abb81-9844-35f1-ad32-98f038001003")
	unknown = id("01020304-0506-0708-090a-0b0c0d0e0f10")
)

func bind(auth byte, token string, interfaces ...[]byte) []byte {
	b := slices.Concat(le16(5840), le16(5840), le32(0), []byte{byte(len(interfaces)), 0, 0, 0})
	for i, x := range interfaces {
		b = slices.Concat(b, le16(i), []byte{1, 0}, x, le32(2), make([]byte, 20))
	}
	return pdu(11, auth, token, b)
}

func call(context, operation int, arguments string) []byte {
	return pdu(0, 0, "", le32(len(arguments)), le16(context), le16(operation), []byte(arguments))
}

func say(list ...[]byte) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, b := range list {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: b})
	}
	return c
}

func conversation() dissecttest.Conversation {
	return say(bind(68, "\x00\x00\x00\x00\x03\x00\x00\x00WARD\x00WS7\x00", svcctl, unknown), pdu(12, 68, "\x01\x00\x00\x00", make([]byte, 40)),
		call(0, 15, "CANARY-ALFA"), pdu(2, 0, "", make([]byte, 8), []byte("PHI-0001-CANARY")), call(0, 12, "CANARY-ALFA"), pdu(3, 0, "", make([]byte, 16)), slices.Concat(call(0, 12, "x"), call(1, 3, "y"), call(7, 1, "z")))
}

func TestConversation(t *testing.T) {
	r := dissecttest.EveryCut(t, conversation())
	want := `dcerpc bind > computer_name=WS7 interfaces=svcctl|01020304-0506-0708-090a-0b0c0d0e0f10 mechanism=netlogon netbios_domain=WARD protection=privacy
dcerpc calls > faults=1 operations=01020304-0506-0708-090a-0b0c0d0e0f10/3:1|svcctl/12:2|svcctl/15:1|unknown/1:1
`
	if r.Brief() != want || r.Flows[0].Protocol != "dcerpc" || r.Flows[0].By != proto.ByContent {
		t.Errorf("got\n%swant\n%s", r.Brief(), want)
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"CANARY-ALFA", "PHI-0001-CANARY"}
	dissecttest.NoLeak(t, secrets, conversation())
	dissecttest.PlantedTalks(t, "dcerpc", 9999, secrets, conversation())
}

func TestRecognise(t *testing.T) {
	good := bind(0, "", svcctl)
	for i := range good {
		if got := dcerpc.Protocol.Recognise(good[:i], false); got == dissector.No {
			t.Errorf("%d bytes: %d", i, got)
		}
	}
	for name, tc := range map[string]struct {
		in        []byte
		midstream bool
		want      dissector.Verdict
	}{
		"a call first":           {call(0, 1, ""), false, dissector.No},
		"a call midstream":       {call(0, 1, ""), true, dissector.Yes},
		"version 5.2":            {slices.Replace(slices.Clone(good), 1, 2, 2), false, dissector.No},
		"a type that is none":    {slices.Replace(slices.Clone(good), 2, 3, 9), false, dissector.No},
		"no contexts":            {bind(0, ""), false, dissector.No},
		"a token beyond its end": {slices.Replace(slices.Clone(good), 10, 12, 0xff, 0xff), false, dissector.No},
		"SOCKS":                  {[]byte{5, 1, 0}, false, dissector.More},
	} {
		if got := dcerpc.Protocol.Recognise(tc.in, tc.midstream); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	// Numbers with the high byte first.
	big := slices.Clone(good)
	big[4] = 0
	slices.Reverse(big[8:10])
	big[16], big[17] = big[17], big[16]
	if dcerpc.Protocol.Recognise(big, false) != dissector.Yes {
		t.Error("big endian")
	}
}

func datagram(kind byte, body string) []byte {
	b := make([]byte, 80)
	copy(b, []byte{4, kind, 0x20, 0, 0x10})
	copy(b[24:], id("dea00001-6c97-11d1-8271-00a02442df7d"))
	copy(b[74:], le16(len(body)))
	return append(b, body...)
}

func TestDatagram(t *testing.T) {
	for name, tc := range map[string]struct {
		in    []byte
		known bool
	}{
		"a call": {datagram(0, "CANARY-ALFA"), true}, "an answer": {datagram(2, "x"), true}, "short": {datagram(0, "")[:79], false}, "a lying length": {datagram(0, "abc")[:81], false}, "version 5": {slices.Replace(datagram(0, "x"), 0, 1, 5), false},
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 34964}, tc.in)})
		if (r.Flows[0].By == proto.ByContent) != tc.known || len(canary.Search(r.Everything(), []string{"CANARY-ALFA"})) > 0 {
			t.Errorf("%s: %+v %s", name, r.Flows[0], r.Brief())
		}
		if name == "a call" && r.Brief() != "dcerpc call > interfaces=pnio_device\n" {
			t.Error(r.Brief())
		}
	}
}

// A connection is not read for ever.
func TestStops(t *testing.T) {
	c := conversation()
	for range 2000 {
		c = append(c, dissecttest.Chunk{Data: call(0, 1, strings.Repeat("x", 100))})
	}
	r := dissecttest.Play(dissect.Config{}, c.Segments(true))
	if n := r.Counters["tcp_segments"]; n > 1100 || !strings.Contains(r.Brief(), "incomplete=true") {
		t.Errorf("%d segments: %s", n, r.Brief())
	}
}

// Zeek's dce_rpc.log and ntlm.log, and Suricata's events, of these captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"malcolm-artifacts/pcap/plugins/CVE-2021-1675/packetcapture_1.pcap":        "calls > faults=1 operations=spoolss/89:1",
		"malcolm-artifacts/pcap/plugins/CVE-2022-30216/successful.pcap":            "computer_name=WEF interfaces=netlogon mechanism=netlogon netbios_domain=WINDOMAIN",
		"malcolm-artifacts/pcap/plugins/zerologon/CVE-2020-1472_test_win2019.pcap": "operations=netlogon/26:1|netlogon/4:1",
		"scapy/test/pcaps/dcerpc_privacy_krb.pcapng.gz":                            "kerberos ap_request >",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%.2000s", file, want, r.Brief())
		}
	}
}

func FuzzStream(f *testing.F) {
	parts := conversation().Sides()
	f.Add(parts[0], parts[1], 40)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.FuzzCut(t, a, b, cut)
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 34964}, a)}); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
