package rpc_test

import (
	"encoding/binary"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/rpc"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func words(list ...uint32) (b []byte) {
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// call is a call with AUTH_SYS of a machine, or with none.
func call(program, version uint32, machine string) []byte {
	b := words(7, 0, 2, program, version, 6)
	if machine == "" {
		return append(b, words(0, 0, 0, 0)...)
	}
	padded := append([]byte(machine), make([]byte, (4-len(machine)%4)%4)...)
	cred := append(append(words(1, uint32(len(machine))), padded...), words(1000, 1000, 0)...)
	b = append(append(b, words(1, uint32(len(cred)))...), cred...)
	return append(append(b, words(0, 0)...), "PHI-CANARY"...)
}

func record(b []byte) []byte { return append(words(0x80000000|uint32(len(b))), b...) }

func reply() []byte { return append(words(7, 1, 0, 0, 0, 0), "PHI-CANARY"...) }

func TestStream(t *testing.T) {
	c := dissecttest.Talk(
		[2][]byte{record(call(100003, 3, "ws-7")), record(reply())}, [2][]byte{record(call(100003, 3, "ws-7")), record(reply())},
		[2][]byte{record(call(100227, 3, "")), record(reply())},
	)
	dissecttest.SaysWhateverTheCut(t, c, "nfs", `call 0 {"auth":"sys","computer_name":"ws-7","program":"nfs","program_version":"3","role":"client"}
call 0 {"auth":"none","program":"nfs_acl","program_version":"3","role":"client"}`)
	dissecttest.KeepsToItself(t, []string{"PHI-CANARY"}, c)
	nfs := c
	c = dissecttest.Talk([2][]byte{record(call(100000, 2, "")), record(reply())}, [2][]byte{record(call(395183, 1, "analyzer")), record(reply())})
	dissecttest.SaysWhateverTheCut(t, c, "rpc", `call 0 {"auth":"none","program":"portmapper","program_version":"2","role":"client"}
call 0 {"auth":"sys","computer_name":"analyzer","program":"device_intr","program_version":"1","role":"client"}`)
	dissecttest.PlantedTalks(t, "rpc", 9999, []string{"PHI-CANARY"}, nfs, c)
}

func TestDatagrams(t *testing.T) {
	play := func(list ...[]byte) *dissecttest.Result {
		var h []packet.Headers
		for i, b := range list {
			h = append(h, dissecttest.Datagram(i%2, [2]uint16{800, 2049}, b))
		}
		return dissecttest.Play(dissect.Config{}, h)
	}
	if r := play(call(100003, 2, "ws-7"), reply(), call(100003, 2, "ws-7"), reply()); r.Flows[0].Protocol != "nfs" || len(r.Counters) > 0 ||
		dissecttest.Said(r) != `call 0 {"auth":"sys","computer_name":"ws-7","legacy":"true","program":"nfs","program_version":"2","role":"client"}` {
		t.Errorf("%s %v\n%s", r.Flows[0].Protocol, r.Counters, dissecttest.Said(r))
	}
	if r := play(call(100004, 2, "")); r.Flows[0].Protocol != "rpc" || dissecttest.Said(r) != `call 0 {"auth":"none","legacy":"true","program":"ypserv","program_version":"2","role":"client"}` {
		t.Errorf("%s\n%s", r.Flows[0].Protocol, dissecttest.Said(r))
	}
	for name, b := range map[string][]byte{"an answer alone": reply(), "another version": words(7, 0, 3, 100003, 2, 1, 0, 0, 0, 0), "no program": words(7, 0, 2, 5, 2, 1, 0, 0, 0, 0)} {
		if r := play(b); r.Flows[0].By == "content" {
			t.Errorf("%s is taken for %s", name, r.Flows[0].Protocol)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, b := range map[string][]byte{"no last fragment": words(60, 7, 0, 2), "an answer": record(reply()), "text": []byte("GET / HTTP/1.1\r\n")} {
		for _, p := range []*dissector.Protocol{&rpc.NFS, &rpc.Protocol} {
			if v := p.Recognise(b, false); v == dissector.Yes {
				t.Errorf("%s is taken for %s", name, p.Name)
			}
		}
	}
}

// The flows of nDPI's capture.
func TestPeer(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/nfsv2.pcap")))
	for _, f := range r.Flows {
		if f.Protocol != "nfs" && f.Protocol != "rpc" || f.By != "content" {
			t.Errorf("%s %s", f.Protocol, f.By)
		}
	}
	if len(r.Of("nfs", "call"))+len(r.Of("rpc", "call")) < 4 || r.Counters["nfs_malformed"]+r.Counters["rpc_malformed"] > 0 {
		t.Error(r.Counters, dissecttest.Said(r))
	}
}

func FuzzFlow(f *testing.F) {
	f.Add(record(call(100003, 3, "ws-7")), record(reply()), 9)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		for _, p := range []string{"nfs", "rpc"} {
			dissecttest.Fuzz(t, p, dissecttest.Talk([2][]byte{a, b}, [2][]byte{a, b}), cut, cut/2)
		}
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{1, 2}, a), dissecttest.Datagram(1, [2]uint16{1, 2}, b)})
		if len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
