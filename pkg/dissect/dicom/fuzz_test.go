package dicom_test

import (
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// FuzzStream also holds any input to the rule that cuts change nothing. The
// client's bytes follow an accepted association.
func FuzzStream(f *testing.F) {
	begin := conv(request([]proposal{{ctStorage, []string{implicitLE}}, {mpps, []string{explicitLE}}}), accept(implicitLE, explicitLE))
	f.Add(store(device(impl, false), 500), 40)
	f.Add(append(pdvs(3, true, cmd(0x0140, mpps, instance, true), 9999), pdvs(3, false, device(expl, true), 300)...), 300)
	f.Add(request([]proposal{{ctStorage, []string{implicitLE}}}), 80)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		c := append(slices.Clone(begin), dissecttest.Chunk{Data: b})
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		n := begin.Sizes()
		at := n[0] + n[1] + max(cut, 0)%(len(b)+1)
		got := dissecttest.Play(dissect.Config{}, c.Cut(at).Segments(true))
		if len(got.Panics) > 0 {
			t.Fatal(got.Panics)
		}
		// A connection out of step is found again at a segment's beginning, so
		// only what keeps its step has to be the same.
		if want.Counters["dicom_not_a_pdu"]+want.Counters["dicom_associate_size"] == 0 && got.Text() != want.Text() {
			t.Fatalf("got\n%swant\n%s", got.Text(), want.Text())
		}
	})
}
