package dissect_test

import (
	"os"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// FuzzEngine feeds frames, each with its length before it, through decoder and
// engine. The seeds are captures of our own.
func FuzzEngine(f *testing.F) {
	for _, name := range []string{
		"clinical/hl7", "clinical/dicom", "clinical/dcmtk", "zeek/Traces/tls/tls13_wolfssl", "arkime/pcap/https-connect",
		"zeek/Traces/http/pipelined-requests", "zeek/Traces/ssh/ssh_kex_curve25519", "zeek/Traces/smb/raw_ntlm_in_smb",
		"tcpdump/LLDP_and_CDP", "ipfixprobe/tests/functional/inputs/dnssd", "ipfixprobe/tests/functional/inputs/ssdp",
	} {
		path := "../../../shared/captures/" + name + ".pcap"
		if _, err := os.Stat(path); err != nil {
			continue // the fuzzer starts from nothing then
		}
		var b []byte
		for _, x := range dissecttest.Frames(f, path) {
			b = append(append(b, byte(len(x.Data)>>8), byte(len(x.Data))), x.Data...)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := dissecttest.NewRunner(dissect.Config{MemoryLimit: 64 << 10})
		var now proto.Time
		for len(b) >= 2 {
			n := min(int(b[0])<<8|int(b[1]), len(b)-2)
			now += 1e6
			r.Frames([]dissecttest.Frame{{LinkType: packet.LinkEthernet, Time: now, Data: b[2 : 2+n], WireLen: n}})
			b = b[2+n:]
		}
		if res := r.Finish(); len(res.Panics) > 0 {
			t.Fatal(res.Panics)
		}
	})
}
