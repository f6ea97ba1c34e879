package dissect_test

import (
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// However a conversation is cut into segments, the same is observed: each of the
// clinical captures, whatever protocol is in it, and some of others.
func TestRecut(t *testing.T) {
	clinicals, err := filepath.Glob(filepath.Join(repotest.Shared(t, "captures/clinical"), "*.pcap"))
	if err != nil || len(clinicals) < 8 {
		t.Fatalf("%d clinical captures, %v", len(clinicals), err)
	}
	for _, path := range clinicals {
		t.Run("clinical/"+filepath.Base(path), func(t *testing.T) {
			convs := dissecttest.Conversations(dissecttest.Frames(t, path))
			if observed := recutAll(t, convs, 8<<10); len(convs) > 0 && !observed {
				t.Fatal("nothing is observed at all")
			}
		})
	}
	for _, file := range []string{
		"tapirx/testdata/HL7-ADT-UDI-OBX", "tapirx/testdata/HL7-ORM", "tapirx/testdata/dicom_arq_1_find_testclient", "tapirx/testdata/dicom_arq_3_find_bogus_local", "nDPI/pcap/hl7",
		"zeek/Traces/tls/tls13_wolfssl", "zeek/Traces/tls/client-certificate", "arkime/pcap/openssl-tls1", "arkime/pcap/https-connect",
		"zeek/Traces/http/pipelined-requests", "arkime/pcap/http-basicauth", "zeek/Traces/http/websocket",
		"zeek/Traces/ssh/ssh_kex_curve25519", "zeek/Traces/smb/raw_ntlm_in_smb", "zeek/Traces/smb/smb311",
	} {
		t.Run(file, func(t *testing.T) {
			if !recutAll(t, dissecttest.Conversations(dissecttest.Frames(t, repotest.Shared(t, "captures/"+file+".pcap"))), 2<<10) {
				t.Fatal("nothing is observed at all")
			}
		})
	}
}

// The ward's conversations as well: one in 32 of them, short and long, here and there.
// WARDFLOW_RECUT=all cuts all of them everywhere, which takes hours.
func TestRecutWard(t *testing.T) {
	convs := dissecttest.Conversations(dissecttest.Frames(t, repotest.Shared(t, wardDay)))
	size := func(c dissecttest.Conversation) int { n := c.Sizes(); return n[0] + n[1] }
	slices.SortFunc(convs, func(a, b dissecttest.Conversation) int { return cmp.Compare(size(a), size(b)) })
	n := 0
	for i, c := range convs {
		if !all() && i%32 != 0 {
			continue
		}
		if recut(t, c, 120) {
			n++
		}
	}
	if n < 10 {
		t.Errorf("in %d of %d conversations is anything observed", n, len(convs))
	}
}

func all() bool { return os.Getenv("WARDFLOW_RECUT") == "all" }

func recutAll(t *testing.T, convs []dissecttest.Conversation, most int) (observed bool) {
	t.Helper()
	for _, conv := range convs {
		observed = recut(t, conv, most) || observed
	}
	return observed
}

// recut reports whether anything is observed in a conversation. It is cut at most places,
// one after the other: at every byte up to that length, beyond it evenly, and everywhere
// where all is asked for.
func recut(t *testing.T, conv dissecttest.Conversation, most int) bool {
	t.Helper()
	play := func(list []packet.Headers) *dissecttest.Result {
		for i := range list {
			list[i].Time = 0 // how many pieces there are is not to count as time
		}
		return dissecttest.Play(dissect.Config{}, list)
	}
	want := play(conv.Segments(true)).Text()
	same := func(how string, x int, list []packet.Headers) *dissecttest.Result {
		t.Helper()
		r := play(list)
		if got := r.Text(); got != want || len(r.Panics) > 0 {
			t.Fatalf("%s %d: panics %v, got\n%swant\n%s", how, x, r.Panics, got, want)
		}
		return r
	}
	sizes := conv.Sizes()
	total := sizes[0] + sizes[1]
	if all() {
		most = total
	}
	stride := max(1, (total+most-1)/most)
	for i := 0; i < total; i += stride {
		same("cut at", i, conv.Cut(i).Segments(true))
	}
	same("joined", 0, conv.Join().Segments(true))
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range min(100, most/4) {
		var cuts []int
		for range 1 + rnd.IntN(40) {
			cuts = append(cuts, rnd.IntN(total))
		}
		cut := conv.Join().Cut(cuts...)
		same("cut often, seed", i, cut.Segments(true))
		same("disordered, seed", i, disorder(rnd, cut.Segments(true)))
		list, n := overlap(rnd, cut.Segments(true))
		r := same("overlapping, seed", i, list)
		// Where a dissector has heard enough, the rest is not read at all.
		if toTheEnd := int(r.Counters["tcp_segments"]) >= len(list)-2; n > 0 && toTheEnd && r.Counters["tcp_overlap_conflict"] == 0 {
			t.Fatalf("overlapping, seed %d: %d conflicts are not counted: %v", i, n, r.Counters)
		}
	}
	var every []int
	for i := 0; i < total; i += max(1, total>>15) {
		every = append(every, i)
	}
	same("byte by byte", 0, conv.Cut(every...).Segments(true))
	return want != ""
}

// overlap sends some segments twice, the second time with other bytes: after the first
// was read, or while it waits for one before it. What came first counts. It gives the
// number of contradictions.
func overlap(rnd *rand.Rand, list []packet.Headers) (out []packet.Headers, n int) {
	contradict := func(h packet.Headers) packet.Headers {
		n++
		h.Payload = slices.Clone(h.Payload)
		h.Payload[rnd.IntN(len(h.Payload))] ^= 0x55
		return h
	}
	for i := 0; i < len(list); i++ {
		h := list[i]
		switch {
		case h.PayloadLen == 0 || rnd.IntN(3) > 0:
			out = append(out, h)
		case list[i+1].SrcPort == h.SrcPort && list[i+1].PayloadLen > 0: // a FIN follows at the end
			out = append(out, list[i+1], contradict(list[i+1]), h)
			i++
		default:
			out = append(out, h, contradict(h))
		}
	}
	return out, n
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
