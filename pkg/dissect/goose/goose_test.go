package goose_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func tlv(tag byte, s string) string { return string([]byte{tag, byte(len(s))}) + s }

func message(number, simulation byte) []byte {
	body := tlv(0x80, "IED1LD0/LLN0$GO$gcb01") + tlv(0x81, "\x07\xd0") + tlv(0x82, "IED1LD0/LLN0$DS1") + tlv(0x83, "ID1") + tlv(0x84, "12345678") +
		tlv(0x85, "\x01") + tlv(0x86, string([]byte{number})) + tlv(0x87, string([]byte{simulation})) + tlv(0x88, "\x03") + tlv(0xab, "\x1a\x0aPHI-CANARY")
	return []byte("\x00\x01\x00\x80\x00\x00\x00\x00" + tlv(0x61, body))
}

func run(b []byte) *dissecttest.Result {
	return dissecttest.Play(dissect.Config{}, []packet.Headers{{EtherType: 0x88b8, LinkPayload: b, Packets: 1}})
}

func TestFrames(t *testing.T) {
	r := run(message(0, 1))
	if got := dissecttest.Said(r); got != `publish 0 {"application_id":"0x0001","configuration_revision":"3","control_block":"IED1LD0/LLN0$GO$gcb01","data_set":"IED1LD0/LLN0$DS1","goose_id":"ID1","logical_device":"IED1LD0","role":"server","simulation":"true"}` {
		t.Error(got)
	}
	if strings.Contains(string(r.Everything()), "CANARY") {
		t.Error(r.Text())
	}
	from := proto.MAC{2, 0, 0, 0, 0, 9}
	dissecttest.Planted(t, "goose", []string{"PHI-CANARY"}, []packet.Headers{{EtherType: 0x88b8, SrcMAC: from, LinkPayload: message(0, 1)}, {EtherType: 0x88b8, SrcMAC: from, LinkPayload: message(0, 0)[:70]}})
	if r := run(message(7, 0)); len(r.Facts) > 0 {
		t.Error("a repetition is told")
	}
	b := message(0, 0)
	for i := range b {
		if r := run(b[:i]); len(r.Panics) > 0 || len(r.Facts) > 0 {
			t.Fatal(i, r.Panics, dissecttest.Said(r))
		}
	}
}

// Wireshark 4.0 shows this control block, eight times with number 0.
func TestCapture(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/iti-ics/IEC61850/Sample_File_MMS_and_GOOSE.pcap")))
	f := r.Of("goose", "publish")
	if r.Counters["goose_malformed"] > 0 || len(r.Panics) > 0 {
		t.Error(r.Counters, r.Panics)
	}
	if len(f) != 8 || f[0].Attributes.Get("control_block") != "AA1C1Q01A1LD0/LLN0$GO$gcb_A" {
		t.Error(dissecttest.Said(r))
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(message(0, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := run(b); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
