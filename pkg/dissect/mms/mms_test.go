package mms_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/mms"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var unhex = dissecttest.Hex

func tpkt(b []byte) []byte { return append([]byte{3, 0, 0, byte(len(b) + 4)}, b...) }

func tlv(tag byte, b ...byte) []byte { return append([]byte{tag, byte(len(b))}, b...) }

// message is an MMS message in presentation and session layer.
func message(b []byte) []byte {
	pdv := append([]byte{2, 1, 3}, tlv(0xa0, b...)...)
	return tpkt(append(unhex("02 f0 80 01 00 01 00"), tlv(0x61, tlv(0x30, pdv...)...)...))
}

func request(service []byte) []byte {
	return message(tlv(0xa0, append([]byte{2, 1, 7}, service...)...))
}

func response(service []byte) []byte {
	return message(tlv(0xa1, append([]byte{2, 1, 7}, service...)...))
}

var (
	connect  = tpkt(unhex("11 e0 0000 0001 00 c0 01 0d c2 02 0001 c1 02 0001"))
	confirm  = tpkt(unhex("11 d0 0001 0002 00 c0 01 0d c2 02 0001 c1 02 0001"))
	session  = tpkt(append(unhex("02 f0 80 0d 20 05 06 13 01 00 16 01 02 c1 16 31"), unhex("14 a0 03 80 01 01 a2 0d 81 04 00000001 06 05 28 ca 22 02 01")...))
	accepted = tpkt(append(unhex("02 f0 80 0e 20 05 06 13 01 00 16 01 02 c1 16 31"), unhex("14 a0 03 80 01 01 a2 0d 83 04 00000001 06 05 28 ca 22 02 01")...))
)

func TestEverything(t *testing.T) {
	secret := "PHI-CANARY-0001"
	c := dissecttest.Talk(
		[2][]byte{connect, confirm}, [2][]byte{session, accepted},
		[2][]byte{request(tlv(0x82)), response(tlv(0xa2, append(append(tlv(0x80, []byte("Maker")...), tlv(0x81, []byte("IED-1")...)...), tlv(0x82, []byte("2.0")...)...)...))},
		[2][]byte{request(tlv(0x82)), response(tlv(0xa2, append(append(tlv(0x80, []byte("Maker")...), tlv(0x81, []byte("IED-1")...)...), tlv(0x82, []byte("2.0")...)...)...))},
		[2][]byte{request(tlv(0xa5, tlv(0xa0, tlv(0x1a, []byte(secret)...)...)...)), response(tlv(0xa5, 0x81, 0))},
		[2][]byte{request(tlv(0xa5, tlv(0xa0, tlv(0x1a, []byte(secret)...)...)...)), nil},
		[2][]byte{request(tlv(0xa4, tlv(0xa0, tlv(0x1a, []byte(secret)...)...)...)), response(tlv(0xa4, tlv(0x8a, []byte(secret)...)...))},
		[2][]byte{request(append([]byte{0xbf, 0x29, 5}, tlv(0x80, []byte("abc")...)...)), nil},
	)
	dissecttest.SaysWhateverTheCut(t, c, "mms", `identity 1 {"manufacturer":"Maker","model":"IED-1","role":"server","software_version":"2.0"}
control 0 {"operation":"write","role":"client"}
control 0 {"operation":"stop","role":"client"}`)
	dissecttest.KeepsToItself(t, []string{secret}, c)
	dissecttest.PlantedTalks(t, "mms", 9999, []string{secret}, c)
	if r := dissecttest.Play(dissect.Config{}, c[4:].Segments(false)); len(r.Of("mms", "identity")) != 1 {
		t.Errorf("from the middle on:\n%s", dissecttest.Said(r))
	}
}

func TestRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"S7":               append(connect, tpkt(unhex("02 f0 80 32 01 0000 0007 0000 0000"))...),
		"RDP":              tpkt(append(unhex("1f e0 0000 0000 00"), "Cookie: mstshash=x\r\n"...)),
		"text":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"no message in it": append(connect, tpkt(unhex("02 f0 80 01 00 02 00 61 00"))...),
	} {
		if v := mms.Protocol.Recognise(b, false); v == dissector.Yes {
			t.Errorf("%s is taken for MMS", name)
		}
	}
}

// TestCaptures pins what Wireshark 4.0 shows of the same frames.
func TestCaptures(t *testing.T) {
	root := repotest.Shared(t, "captures/iti-ics/IEC61850")
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/piccolo.pcap"))
	if got := dissecttest.Said(r); got != `identity 1 {"manufacturer":"INFO TECH","model":"S61850 for PC","role":"server","software_version":"0.0.1"}` {
		t.Error(got)
	}
	for name, operation := range map[string]string{"write": "write", "read": "", "get_name_list": "", "release": ""} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/MMS_-_Specific_Commands/iec61850_"+name+".pcap"))
		said := ""
		for _, f := range r.Of("mms", "control") {
			said += f.Attributes.Get("operation")
		}
		if r.Flows[0].Protocol != "mms" || said != operation {
			t.Errorf("%s: %s %s", name, r.Flows[0].Protocol, said)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add(append(connect, session...), append(confirm, accepted...), 30)
	f.Add(request(tlv(0x82)), response(tlv(0xa2, tlv(0x80, []byte("Maker")...)...)), 11)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "mms", dissecttest.Talk([2][]byte{a, b}, [2][]byte{a, b}), cut, cut/2)
	})
}
