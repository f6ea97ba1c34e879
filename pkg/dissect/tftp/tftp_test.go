package tftp_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

const write = "\x00\x02canary-firmware.bin\x00octet\x00tsize\x0010240\x00blksize\x001024\x00"

// conv is a request from port 40000, and what follows it between that and port 50000.
func conv(first string, rest ...string) []packet.Headers {
	list := []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 69}, []byte(first))}
	for i, p := range rest {
		h := dissecttest.Datagram(1-i%2, [2]uint16{40000, 50000}, []byte(p))
		list = append(list, h)
	}
	return list
}

func TestTransfer(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, conv(write, "\x00\x06tsize\x0010240\x00", "\x00\x03\x00\x01canary content", "\x00\x04\x00\x01", "\x00\x03\x00\x02canary", "\x00\x05\x00\x03canary text\x00"))
	want := `tftp write_request side=0 mac= ip=invalid IP equipment="" gateway=0 {"file_bytes":"10240","mode":"octet","role":"client"}
tftp error side=0 mac= ip=invalid IP equipment="" gateway=0 {"error":"disk_full"}
tftp transfer side=1 mac= ip=invalid IP equipment="" gateway=0 {"blocks":"2","sent_bytes":"20"}
`
	if got := r.Text(); got != want || r.Flows[0].By != "content" || r.Flows[1].Protocol != "tftp" || r.Flows[1].By != "context" {
		t.Errorf("\n%s\nwant\n%s%+v %+v", got, want, r.Flows[0], r.Flows[1])
	}
	secrets := []string{"canary-firmware", "canary content", "canary text"}
	list := conv(write, "\x00\x03\x00\x01canary content", "\x00\x05\x00\x03canary text\x00")
	dissecttest.Planted(t, "tftp", secrets, list)
	for i := range write {
		r := dissecttest.Play(dissect.Config{}, conv(write[:i], "\x00\x03\x00\x01canary content"))
		if hits := canary.Search(r.Everything(), secrets); len(hits) > 0 || len(r.Panics) > 0 {
			t.Fatal(hits, r.Panics)
		}
	}
}

func TestNotTFTP(t *testing.T) {
	for _, s := range []string{"\x00\x01a\x00octed\x00", "\x00\x01\x00octet\x00", "\x00\x01a\x00octet", "\x00\x03\x00\x01data", "\x00\x07a\x00octet\x00", "\x01\x01a\x00octet\x00"} {
		if r := dissecttest.Play(dissect.Config{}, conv(s)); r.Flows[0].By == "content" {
			t.Errorf("%q is taken for %s", s, r.Flows[0].Protocol)
		}
	}
}

// The flows of nDPI's capture that it knows as TFTP.
func TestCapture(t *testing.T) {
	n := 0
	for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/tftp.pcap"))).Flows {
		if f.Protocol == "tftp" && f.By != "port" {
			n++
		}
	}
	if n < 4 {
		t.Errorf("%d flows", n)
	}
}

func Fuzz(f *testing.F) {
	f.Add(write, "\x00\x03\x00\x01x")
	f.Fuzz(func(t *testing.T, a, b string) {
		if r := dissecttest.Play(dissect.Config{}, conv(a, b, b)); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
