package dicom_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

type packetHeaders = packet.Headers

var secrets = []string{"CANARY^ALFA^XAVER", "PHI-CANARY-0001", "ACC-CANARY-A001", "19310110", "note of a canary", "1.2.826.999.123456.77", "jcanaryuser", "canarypassword"}

// emitted are the device tags, which may leave and so get no secret.
var emitted = []uint32{
	0x00080060, 0x00080070, 0x00080080, 0x00081010, 0x00081040, 0x00081090, 0x00181000, 0x00181002, 0x00181020, 0x00181200,
	0x00400241, 0x00400242, 0x00400243, 0x00400252, 0x00080055, 0x00181003, 0x00181005, 0x00181008, 0x00181009, 0x0018700a, 0x00080052,
}

var vrs = []string{
	"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW", "PN", "SH", "SL", "SS",
	"ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV",
}

// planted is a data set with a secret in every VR, in every group that a data
// set commonly has, at the top and inside sequences, those that are looked into
// included. The study's UID is one of the secrets.
func planted(e enc) []byte {
	n := 0
	everything := func(group uint32) []byte {
		var b []byte
		for _, vr := range vrs {
			b = append(b, e.el(group<<16|0xee00+uint32(n%0x100), vr, secrets[n%6])...)
			n++
		}
		return b
	}
	var b []byte
	for _, tag := range []uint32{0x00080050, 0x00080090, 0x00081030, 0x0008103e, 0x00081070} {
		b = append(b, e.el(tag, "LO", secrets[n%6])...)
		n++
	}
	b = append(b, everything(0x0008)...)
	b = append(b, e.el(0x00080070, "LO", "ACME")...)
	for tag := uint32(0x00100010); tag < 0x00100100; tag += 0x10 {
		b = append(b, e.el(tag, "LO", secrets[n%6])...)
		n++
	}
	for _, group := range []uint32{0x0009, 0x0010, 0x0011, 0x0018, 0x0020, 0x0032, 0x0038} {
		b = append(b, everything(group)...)
	}
	b = append(b, e.el(0x0020000d, "UI", "1.2.826.999.123456.77")...)
	b = append(b, e.seq(0x00081140, true, everything(0x0008), e.el(0x00080070, "LO", "CANARY^ALFA^XAVER"))...)
	b = append(b, e.seq(0x00081115, false, everything(0x0010), e.seq(0x00081199, false, e.el(0x00081090, "LO", "PHI-CANARY-0001")))...)
	b = append(b, e.seq(0x00400270, false, everything(0x0040), e.el(0x00080050, "SH", "ACC-CANARY-A001"), e.el(0x0020000d, "UI", "1.2.826.999.123456.77"), e.el(0x00181000, "LO", "PHI-CANARY-0001"))...)
	b = append(b, e.seq(0x00400340, true, everything(0x0040), e.el(0x00081050, "PN", "CANARY^ALFA^XAVER"), e.el(0x0020000e, "UI", "1.2.826.999.123456.77"), e.seq(0x00081140, false, everything(0x0008)))...)
	b = append(b, e.seq(0x00081199, false, everything(0x0008), e.el(0x00081155, "UI", "1.2.826.999.123456.77"))...)
	b = append(b, e.el(0x00400244, "DA", "note of a canary")...)
	b = append(b, everything(0x7fe1)...)
	return append(b, e.el(0x7fe00010, "OW", "note of a canary")...)
}

// misused is a data set whose device tags repeat the patient.
func misused(e enc) []byte {
	b := slices.Concat(e.el(0x00080050, "SH", "ACC-CANARY-A001"))
	for i, tag := range emitted {
		b = append(b, e.el(tag, "LO", []string{"CANARY^ALFA", "phi-canary-0001", "Xaver's scanner", "ACC-CANARY-A001", "PHI-CANARY-0001"}[i%5])...)
	}
	return slices.Concat(b, e.el(0x00100010, "PN", "CANARY^ALFA^XAVER"), e.el(0x00100020, "LO", "PHI-CANARY-0001"), e.el(0x00200010, "SH", "x"))
}

// TestCanaries plants secrets in data sets of each encoding, and looks for them
// in all that leaves the engine.
func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	store := append(pdvs(1, true, cmd(1, ctStorage, "1.2.826.999.123456.77", true), 9999), pdvs(1, false, planted(expl), 3000)...)
	create := append(pdvs(3, true, cmd(0x0140, mpps, "1.2.826.999.123456.77", true), 9999), pdvs(3, false, misused(expl), 500)...)
	begin := request([]proposal{{ctStorage, []string{explicitLE}}, {mpps, []string{explicitLE}}})
	answer := accept(explicitLE, explicitLE)
	dissecttest.Planted(t, "dicom", secrets, conv(begin, answer, store).Segments(true), conv(begin, answer, create).Segments(true), conv(begin, answer, store[:len(store)/2]).Segments(true),
		conv(negotiating(named(2, "jcanaryuser", "canarypassword"))).Segments(true))
	for i, e := range []enc{impl, expl, expb} {
		syntax := []string{implicitLE, explicitLE, explicitBE}[i]
		begin := conv(request([]proposal{{ctStorage, []string{syntax}}, {mpps, []string{syntax}}}), accept(syntax, syntax))
		for name, data := range map[string][]byte{"everywhere": planted(e), "misused": misused(e)} {
			what := fmt.Sprint(name, " in ", syntax)
			if len(s.Search(data)) < 6 {
				t.Fatalf("%s: the secrets are not in the data set", what)
			}
			for _, message := range [][]byte{
				append(pdvs(1, true, cmd(1, ctStorage, "1.2.826.999.123456.77", true), 9999), pdvs(1, false, data, 3000)...),
				append(pdvs(3, true, cmd(0x0140, mpps, "1.2.826.999.123456.77", true), 9999), pdvs(3, false, data, 500)...),
				append(pdvs(1, true, cmd(0x20, ctStorage, "", true), 9999), pdvs(1, false, data, 3000)...),
				append(pdvs(1, true, cmd(0x10, ctStorage, "", true), 9999), pdvs(1, false, data, 3000)...),
				append(pdvs(1, true, cmd(0x0130, commitment, "1.2.826.999.123456.77", true), 9999), pdvs(1, false, data, 3000)...),
				append(pdvs(1, true, cmd(0x0777, "1.2.3", "1.2.826.999.123456.77", true), 9999), pdvs(1, false, data, 3000)...),
			} {
				plant(t, s, what, begin, message, name == "misused")
			}
		}
	}
}

// Nobody's name or password leaves an association, whole or damaged.
func TestIdentities(t *testing.T) {
	s := canary.New(secrets)
	rnd := rand.New(rand.NewPCG(7, 7))
	for kind := range byte(8) {
		rq := negotiating(named(kind, "jcanaryuser", "canarypassword"))
		for i := range len(rq) {
			b := slices.Clone(rq)
			b[i] ^= byte(1 + rnd.IntN(255))
			for _, b := range [][]byte{rq[:i], b} {
				if len(b) == 0 {
					continue
				}
				if r := dissecttest.Play(dissect.Config{}, conv(b).Segments(true)); len(s.Search(r.Everything())) > 0 || len(r.Panics) > 0 {
					t.Fatalf("%d damaged at %d: %v\n%s", kind, i, r.Panics, r.Text())
				}
			}
		}
	}
}

func plant(t *testing.T, s *canary.Searcher, what string, begin dissecttest.Conversation, message []byte, whole bool) {
	t.Helper()
	check := func(how string, list []packetHeaders) *dissecttest.Result {
		t.Helper()
		r := dissecttest.Play(dissect.Config{}, list)
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			t.Fatalf("%s, %s: %v in\n%s", what, how, hits, r.Text())
		}
		if len(r.Panics) > 0 {
			t.Fatalf("%s, %s: %v", what, how, r.Panics)
		}
		return r
	}
	with := func(parts ...[]byte) dissecttest.Conversation {
		c := slices.Clone(begin)
		for _, p := range parts {
			c = append(c, dissecttest.Chunk{Data: p})
		}
		return c
	}
	if r := check("whole", with(message).Segments(true)); len(lines(r)) != 3 {
		t.Fatalf("%s: the message is not seen\n%s", what, r.Text())
	}
	before := begin.Sizes()
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := 0; i < len(message); i += 1 + rnd.IntN(60) {
		check(fmt.Sprint("cut at ", i), with(message).Cut(before[0]+before[1]+i).Segments(true))
		check(fmt.Sprint("ends at ", i), with(message[:i]).Segments(true))
		j := min(len(message), i+1+rnd.IntN(300))
		list := with(message[:i], message[i:j], message[j:], message).Segments(true)
		check(fmt.Sprint("lost ", i, " to ", j), slices.Delete(list, 5, 6))
		if whole { // a patient who is damaged cannot be compared with
			continue
		}
		check(fmt.Sprint("without ", i, " to ", j), with(message[:i], message[j:], message).Segments(true))
		b := slices.Clone(message)
		b[i] ^= byte(1 + rnd.IntN(255))
		check(fmt.Sprint("damaged at ", i), with(b).Segments(true))
	}
}
