package iec104_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/iec104"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var unhex = dissecttest.Hex

func TestEverything(t *testing.T) {
	c := dissecttest.Talk(
		[2][]byte{unhex("680407000000"), unhex("68040b000000")},
		[2][]byte{unhex("680e00000000 64 01 0600 0d91 000000 14"), unhex("680e00000200 64 01 0700 0d91 000000 14")},
		[2][]byte{nil, unhex("681402000200 01 89 1400 0d91 1a2700 d0808080c080808080 6810 06000200 03 83 1400 0e91 2a4e00 808080 80")[:22]},
		[2][]byte{unhex("680e02000200 2d 01 0600 0d91 1a2700 81"), unhex("680e04000400 2d 01 0700 0d91 1a2700 81")},
		[2][]byte{unhex("680e04000200 2d 01 0600 0d91 1a2700 81"), unhex("680401000600")},
		[2][]byte{unhex("680e06000200 69 01 0600 0d91 000000 01"), unhex("680e06000800 6401 0a00 0d91 000000 14")},
		[2][]byte{unhex("680443000000"), unhex("680483000000")},
	)
	dissecttest.SaysWhateverTheCut(t, c, "iec104", `control 0 {"operation":"interrogation","role":"client","station":"37133"}
control 0 {"operation":"single_command","role":"client","station":"37133"}
control 0 {"operation":"single_command","role":"client","station":"37133"}
control 0 {"operation":"reset_process","role":"client","station":"37133"}
transactions 1 {"role":"server","stations":["37133"],"types":["interrogation:3","monitoring:1","reset_process:1","single_command:3"]}`)
	if r := dissecttest.Play(dissect.Config{}, c[4:].Segments(false)); r.Flows[0].Protocol != "iec104" {
		t.Error("from the middle on it is not known")
	}
}

func TestRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"two bits":         unhex("680409000000"),
		"a length":         unhex("680507000000 00"),
		"no type":          unhex("680e00000000 35 01 0600 0d91 000000 14"),
		"no type either":   unhex("680e00000000 95 01 0600 0d91 000000 14"),
		"no cause":         unhex("680e00000000 64 01 0000 0d91 000000 14"),
		"rubbish after it": unhex("680407000000 99"),
		"text":             []byte("GET / HTTP"),
	} {
		if v := iec104.Protocol.Recognise(b, false); v != dissector.No {
			t.Errorf("%s: %d", name, v)
		}
	}
}

// The flows of nDPI's capture, all of them.
func TestPeer(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/iec60780-5-104.pcap")))
	for _, f := range r.Flows {
		if f.Protocol != "iec104" || f.By != "content" {
			t.Errorf("%d: %s %s", f.SrcPort, f.Protocol, f.By)
		}
	}
	if len(r.Flows) != 6 || len(r.Of("iec104", "control")) != 7 {
		t.Error(len(r.Flows), dissecttest.Said(r))
	}
}

func FuzzStream(f *testing.F) {
	f.Add(unhex("680407000000 680e02000200 2d 01 0600 0d91 1a2700 81"), unhex("68040b000000"), 7)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "iec104", dissecttest.Talk([2][]byte{a, b}, [2][]byte{a, b}), cut, cut/2)
	})
}
