package dissect_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// However a conversation is cut into segments, the same is observed.
func TestRecut(t *testing.T) {
	for _, file := range []string{
		"clinical/hl7", "clinical/dicom", "clinical/dcmtk",
		"zeek/Traces/tls/tls13_wolfssl", "zeek/Traces/tls/client-certificate", "arkime/pcap/openssl-tls1", "arkime/pcap/https-connect",
		"zeek/Traces/http/pipelined-requests", "arkime/pcap/http-basicauth", "zeek/Traces/http/websocket",
		"zeek/Traces/ssh/ssh_kex_curve25519", "zeek/Traces/smb/raw_ntlm_in_smb", "zeek/Traces/smb/smb311",
	} {
		t.Run(file, func(t *testing.T) {
			observed := false
			for _, conv := range dissecttest.Conversations(dissecttest.Frames(t, repotest.Shared(t, "captures/"+file+".pcap"))) {
				observed = recut(t, conv) || observed
			}
			if !observed {
				t.Fatal("nothing is observed at all")
			}
		})
	}
}

// maxOffsets is up to where a long conversation is cut at every byte.
const maxOffsets = 6 << 10

// recut reports whether anything is observed in a conversation.
func recut(t *testing.T, conv dissecttest.Conversation) bool {
	t.Helper()
	whole := conv.Segments(true)
	for i := range whole {
		whole[i].Time = 0
	}
	want := dissecttest.Play(dissect.Config{}, whole).Text()
	same := func(how string, x int, list []packet.Headers) {
		t.Helper()
		for i := range list {
			list[i].Time = 0 // how many pieces there are is not to count as time
		}
		r := dissecttest.Play(dissect.Config{}, list)
		if got := r.Text(); got != want || len(r.Panics) > 0 {
			t.Fatalf("%s %d: panics %v, got\n%swant\n%s", how, x, r.Panics, got, want)
		}
	}
	sizes := conv.Sizes()
	total := sizes[0] + sizes[1]
	for i := range min(total, maxOffsets) {
		same("cut at", i, conv.Cut(i).Segments(true))
	}
	same("joined", 0, conv.Join().Segments(true))
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		var cuts []int
		for range 1 + rnd.IntN(40) {
			cuts = append(cuts, rnd.IntN(total))
		}
		cut := conv.Join().Cut(cuts...)
		same("cut often, seed", i, cut.Segments(true))
		same("disordered, seed", i, disorder(rnd, cut.Segments(true)))
	}
	var all []int
	for i := range min(total, maxOffsets) {
		all = append(all, i)
	}
	same("byte by byte", 0, conv.Cut(all...).Segments(true))
	return want != ""
}

// disorder swaps and repeats segments within runs of one side, so that the order
// between the sides, which decides what answers what, stays.
func disorder(rnd *rand.Rand, list []packet.Headers) []packet.Headers {
	out := slices.Clone(list)
	for i := 0; i < len(out); {
		j := i
		for j < len(out) && out[j].SrcPort == out[i].SrcPort && out[j].TCPFlags == out[i].TCPFlags {
			j++
		}
		rnd.Shuffle(j-i, func(a, b int) { out[i+a], out[i+b] = out[i+b], out[i+a] })
		if rnd.IntN(4) == 0 {
			out = slices.Insert(out, j, out[i])
			j++
		}
		i = j
	}
	return out
}

// A segment that was cut by the snaplen is a gap of known length: the pixels of
// an image are stepped over and nothing is lost; in a header, the message is.
func TestSnaplen(t *testing.T) {
	frames := dissecttest.Frames(t, repotest.Shared(t, wardDay))
	whole := dissecttest.Run(dissect.Config{}, frames)
	cut := slices.Clone(frames)
	for i := range cut {
		if len(cut[i].Data) > 1000 {
			cut[i].Data = cut[i].Data[:1000]
		}
	}
	got := dissecttest.Run(dissect.Config{}, cut)
	if a, b := len(whole.Of("dicom", "release")), len(got.Of("dicom", "release")); a != b {
		t.Errorf("%d associations are followed to their end, want %d", b, a)
	}
	// hl7 messages are below the cut, images above.
	if a, b := whole.Kinds(), got.Kinds(); a["hl7 oru_r01"] != b["hl7 oru_r01"] || a["dicom c_store"] != b["dicom c_store"] {
		t.Errorf("got %v, want %v", b, a)
	}
	if got.Counters["tcp_gap"] == 0 {
		t.Errorf("no gap was counted")
	}
}
