package dicom_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/proto"
)

const (
	study    = "1.2.3.456.789"
	instance = "1.2.3.456.789.1"
)

// device is a data set that a scanner stores, pixels and patient included.
func device(e enc, defined bool) []byte {
	return slices.Concat(
		e.el(0x00080005, "CS", "ISO_IR 100"), e.el(0x00080050, "SH", "ACC1"), e.el(0x00080060, "CS", "CT"),
		e.el(0x00080070, "LO", "ACME"), e.el(0x00080080, "LO", "Hospital"), e.el(0x00081010, "SH", "CT-A"),
		e.seq(0x00081110, defined, e.el(0x00081150, "UI", "1.2"), e.seq(0x00081199, !defined, e.el(0x00080070, "LO", "nested"))),
		e.el(0x00081090, "LO", "Model X"), e.el(0x00100010, "PN", "NOBODY^SOME"), e.el(0x00100020, "LO", "MRN4711"),
		e.el(0x00181000, "LO", "SER1"), e.el(0x00181020, "LO", "v1\\v2"),
		e.seq(0x0018a001, !defined, e.el(0x00080070, "LO", "other maker")),
		e.el(0x0020000d, "UI", study), e.el(0x7fe00010, "OW", strings.Repeat("px", 3000)),
	)
}

func store(data []byte, size int) []byte {
	return slices.Concat(pdvs(1, true, cmd(1, ctStorage, instance, true), 40), pdvs(1, false, data, size))
}

func play(t *testing.T, parts ...[]byte) *dissecttest.Result {
	t.Helper()
	r := dissecttest.Play(dissect.Config{}, conv(parts...).Segments(true))
	if len(r.Panics) > 0 {
		t.Fatalf("panics: %v", r.Panics)
	}
	return r
}

// lines is what the facts say, but for the sums.
func lines(r *dissecttest.Result) (list []string) {
	for _, s := range strings.Split(r.Text(), "\n") {
		if s != "" && !strings.HasPrefix(s, "dicom association ") && !strings.HasPrefix(s, "dicom study ") {
			list = append(list, s)
		}
	}
	return list
}

func TestEncodings(t *testing.T) {
	mac := hmac.New(sha256.New, dissecttest.Key)
	mac.Write([]byte(study))
	want := fmt.Sprintf(`{"called_ae":"PACS","calling_ae":"CT1","institution":"Hospital","manufacturer":"ACME","modality":"CT","model":"Model X",`+
		`"role":"scu","serial":"SER1","service":"storage","software_version":"v1\\v2","sop_class":"%s","sop_class_name":"CT Image Storage","station_name":"CT-A","study":"%s"}`, ctStorage, hex.EncodeToString(mac.Sum(nil)[:16]))
	encapsulated := slices.Concat(expl.el(0x00080070, "LO", "ACME"), expl.head(0x7fe00010, "OB", 0xffffffff),
		expl.el(0xfffee000, "", ""), expl.el(0xfffee000, "", strings.Repeat("\x00\x00\x00\x00jpegjpeg", 500)), expl.head(0xfffee0dd, "", 0), expl.el(0xfffcfffc, "OB", "pad"))
	unknown := slices.Concat(expl.el(0x00080060, "CS", "CT"), expl.head(0x00091000, "UN", 0xffffffff), impl.head(0xfffee000, "", 0xffffffff), impl.el(0x00080070, "LO", "in UN"),
		impl.head(0xfffee00d, "", 0), impl.head(0xfffee0dd, "", 0), expl.el(0x00081090, "LO", "after"))
	for _, tc := range []struct {
		name, syntax string
		data         []byte
		want         string
	}{
		{"implicit, delimiters", implicitLE, device(impl, false), want},
		{"implicit, lengths", implicitLE, device(impl, true), want},
		{"explicit, delimiters", explicitLE, device(expl, false), want},
		{"explicit, lengths", explicitLE, device(expl, true), want},
		{"big endian, delimiters", explicitBE, device(expb, false), want},
		{"big endian, lengths", explicitBE, device(expb, true), want},
		{"a syntax nobody knows, implicit", "1.2.840.113619.5.2", device(impl, false), want},
		{"a syntax nobody knows, explicit", "1.9.9.9", device(expl, false), want},
		{"a syntax nobody knows, big endian", "1.9.9.9", device(expb, false), want},
		{"encapsulated", "1.2.840.10008.1.2.4.50", encapsulated, `"manufacturer":"ACME"`},
		{"unknown of unknown length", explicitLE, unknown, `"modality":"CT","model":"after"`},
		{"deflated", deflatedLE, []byte("\x7d\x8e\x41\x0b"), `"role":"scu","service":"storage","sop_class"`},
		{"rubbish", explicitLE, []byte("\xff\xff\x00\x00rubbish, no data set at all"), `"role":"scu","service":"storage","sop_class"`},
		{"deep enough", explicitLE, deep(7), `"manufacturer":"ACME"`},
		{"too deep", explicitLE, deep(40), `"role":"scu","service":"storage","sop_class"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, size := range []int{100000, 4000, 7, 1} {
				r := play(t, request([]proposal{{ctStorage, []string{tc.syntax}}}), accept(tc.syntax), store(tc.data, size), pdu(6, be32(0)))
				got := r.Of("dicom", "c_store")
				if len(got) != 1 {
					t.Fatalf("fragments of %d: %d facts\n%s", size, len(got), r.Text())
				}
				a, err := got[0].Attributes.MarshalJSON()
				if err != nil || !strings.Contains(string(a), tc.want) {
					t.Fatalf("fragments of %d: %s, want %s", size, a, tc.want)
				}
			}
		})
	}
}

// deep nests sequences n deep; what stands before them counts.
func deep(n int) []byte {
	b := expl.el(0x00081150, "UI", "1.2")
	for range n {
		b = expl.seq(0x00081110, false, b)
	}
	return append(slices.Concat(expl.el(0x00080070, "LO", "ACME"), b), expl.el(0x00200010, "SH", "x")...)
}

func TestProcedureStep(t *testing.T) {
	set := slices.Concat(expl.el(0x00100010, "PN", "NOBODY^SOME"), expl.el(0x00400241, "AE", "CT1"), expl.el(0x00400242, "SH", "CT-A"),
		expl.el(0x00400243, "SH", "W3-RAD"), expl.el(0x00400252, "CS", "IN PROGRESS"),
		expl.seq(0x00400270, true, expl.el(0x00080050, "SH", "ACC9"), expl.el(0x0020000d, "UI", study)))
	end := slices.Concat(expl.el(0x00400252, "CS", "COMPLETED"), expl.el(0x00400250, "DA", "20260101"))
	r := play(t,
		request([]proposal{{mpps, []string{implicitLE, explicitLE}}}), accept(explicitLE),
		slices.Concat(pdvs(1, true, cmd(0x0140, mpps, instance, true), 9999), pdvs(1, false, set, 30)),
		pdvs(1, true, cmd(0x8140, mpps, instance, false, status(0)), 9999),
		slices.Concat(pdvs(1, true, cmd(0x0120, mpps, instance, true), 9999), pdvs(1, false, end, 9999)),
		pdvs(1, true, cmd(0x8120, mpps, instance, false, status(0x0110)), 9999))
	create, end2, failed := r.Of("dicom", "n_create"), r.Of("dicom", "n_set"), r.Of("dicom", "n_set_rsp")
	if len(create) != 1 || len(end2) != 1 || len(failed) != 1 || len(r.Of("dicom", "n_create_rsp")) != 0 {
		t.Fatalf("facts:\n%s", r.Text())
	}
	a, b := create[0].Attributes, end2[0].Attributes
	if a.Get("mpps") == "" || a.Get("mpps") != b.Get("mpps") || a.Get("study") == "" || a.Get("mpps_status") != "in_progress" || b.Get("mpps_status") != "completed" {
		t.Errorf("%v %v", a, b)
	}
	if a.Get("location") != "W3-RAD" || a.Get("station_ae") != "CT1" || a.Get("station_name") != "CT-A" {
		t.Errorf("%v", a)
	}
	if f := failed[0]; f.Attributes.Get("status") != "0110" || f.Subject.Side != dissect.Dst {
		t.Errorf("%v", f)
	}
}

func TestQuery(t *testing.T) {
	find := "1.2.840.10008.5.1.4.1.2.2.1"
	key := impl.el(0x00100010, "PN", "NOBODY^SOME")
	answer := func(n int, data bool) []byte {
		b := pdvs(1, true, cmd(0x8020, find, "", data, status(n)), 9999)
		if data {
			b = append(b, pdvs(1, false, key, 9999)...)
		}
		return b
	}
	r := play(t, request([]proposal{{find, []string{implicitLE}}}), accept(implicitLE),
		append(pdvs(1, true, cmd(0x20, find, "", true), 9999), pdvs(1, false, key, 9999)...),
		slices.Concat(answer(0xff00, true), answer(0xff00, true), answer(0xff01, true), answer(0, false)),
		pdvs(1, true, cmd(0x21, find, "", true, impl.el(0x0600, "AE", "WS1")), 9999))
	if f := r.Of("dicom", "c_find_rsp"); len(f) != 1 || f[0].Attributes.Get("matches") != "3" {
		t.Errorf("facts:\n%s", r.Text())
	}
	if f := r.Of("dicom", "c_move"); len(f) != 1 || f[0].Attributes.Get("move_destination") != "WS1" {
		t.Errorf("facts:\n%s", r.Text())
	}
}

func TestUpperLayer(t *testing.T) {
	one := []proposal{{ctStorage, []string{implicitLE}}, {mpps, []string{implicitLE}}}
	for _, tc := range []struct {
		name  string
		parts [][]byte
		want  []string
	}{
		{"rejected", [][]byte{request(one), pdu(3, []byte{0, 1, 1, 7})}, []string{"associate_rq", `associate_rj side=1 mac= ip=invalid IP equipment="" gateway=0 {"called_ae":"PACS","calling_ae":"CT1","reason":"7","reason_name":"called_ae_unknown","result":"rejected_permanent","source":"service_user"}`}},
		{"aborted", [][]byte{request(one), pdu(7, []byte{0, 0, 2, 1})}, []string{"associate_rq", `"source":"service_provider"`}},
		{"released", [][]byte{request(one), accept(implicitLE, ""), pdu(5, be32(0)), pdu(6, be32(0))}, []string{`"implementation_version":"VENDOR_1"`, `"abstract_syntaxes":["` + ctStorage + `"]`, "release"}},
		{"echo", [][]byte{request(one), accept(implicitLE, ""), pdvs(1, true, cmd(0x30, "1.2.840.10008.1.1", "", false), 10)}, []string{"rq", "ac", "c_echo"}},
		{"empty PDU", [][]byte{request(one), slices.Concat(pdu(4), pdu(7, []byte{0, 0, 0, 0}))}, []string{"rq", "abort"}},
		{"fragment longer than its PDU", [][]byte{request(one), accept(implicitLE, ""), slices.Concat(pdu(4, be32(999), []byte{1, 3, 0, 0}), pdu(5, be32(0)))}, []string{"rq", "ac", "release"}},
		{"no PDU", [][]byte{request(one), nil, []byte("\x99 nothing of DICOM")}, []string{"rq"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(t, tc.parts...)
			got := lines(r)
			if len(got) != len(tc.want) {
				t.Fatalf("facts:\n%s", r.Text())
			}
			for i := range got {
				if !strings.Contains(got[i], tc.want[i]) {
					t.Errorf("%s, want %s", got[i], tc.want[i])
				}
			}
			if all := string(r.Everything()); strings.Contains(all, "jcanary1") || strings.Contains(all, "secretpwd") {
				t.Error("credentials leave the parser")
			}
		})
	}
}

// An association of hundreds of transfer syntaxes in every segmentation, as the
// C-GET of many storage clients has it.
func TestBigAssociation(t *testing.T) {
	var list []proposal
	for i := range 128 {
		list = append(list, proposal{fmt.Sprintf("1.2.840.10008.5.1.4.1.1.%d", i), []string{implicitLE, explicitLE, explicitBE, "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"}})
	}
	rq := request(list)
	if len(rq) < 16332 {
		t.Fatalf("only %d bytes", len(rq))
	}
	for _, cut := range []int{1460, 16332, 1, 77} {
		var offsets []int
		for i := cut; i < len(rq); i += cut {
			offsets = append(offsets, i)
		}
		r := dissecttest.Play(dissect.Config{}, conv(rq).Cut(offsets...).Segments(true))
		got := r.Of("dicom", "associate_rq")
		if len(got) != 1 || len(got[0].Attributes.List("abstract_syntaxes")) != 128 || got[0].Attributes.Get("implementation_uid") != "1.2.3.4" {
			t.Fatalf("cut at %d: %d facts", cut, len(got))
		}
	}
}

// Pixels that the sensor lost cost nothing; a lost header costs its message, and
// the next one is found again.
func TestGaps(t *testing.T) {
	parts := [][]byte{request([]proposal{{ctStorage, []string{implicitLE}}}), accept(implicitLE)}
	first := store(device(impl, true), 100000)
	c := conv(append(parts, first)...)
	c = append(c, dissecttest.Chunk{Data: store(device(impl, true), 100000)}, dissecttest.Chunk{Data: store(device(impl, true), 100000)})
	sizes := c.Sizes()
	whole := len(parts[0]) + len(parts[1]) + len(first)
	for _, tc := range []struct {
		name     string
		from, to int
		want     int // complete
		damaged  int
	}{
		{"pixels", whole - 3000, whole - 1000, 3, 0},
		{"header of a command", len(parts[0]) + len(parts[1]), len(parts[0]) + len(parts[1]) + 20, 2, 0},
		{"inside the device's elements", whole - 6300, whole - 6200, 2, 1},
		{"end of one and beginning of the next", whole - 100, whole + 50, 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list := c.Cut(tc.from, tc.to, sizes[0]+sizes[1]-len(first)).Segments(true)
			at, lost := 0, 0
			list = slices.DeleteFunc(list, func(h packetHeaders) bool {
				here := at
				at += len(h.Payload)
				if len(h.Payload) > 0 && here >= tc.from && here < tc.to {
					lost++
					return true
				}
				return false
			})
			r := dissecttest.Play(dissect.Config{}, list)
			complete, damaged := 0, 0
			for _, f := range r.Of("dicom", "c_store") {
				if f.Attributes.Get("incomplete") != "" {
					damaged++
				} else if f.Attributes.Get("serial") == "SER1" {
					complete++
				}
			}
			if complete != tc.want || damaged != tc.damaged || lost == 0 {
				t.Errorf("lost %d segments: %d complete, %d damaged, want %d and %d\n%v\n%s", lost, complete, damaged, tc.want, tc.damaged, r.Counters, r.Text())
			}
		})
	}
}

func TestMidstream(t *testing.T) {
	c := conv(store(device(expl, false), 4000))
	r := dissecttest.Play(dissect.Config{}, c.Segments(false))
	if f := r.Of("dicom", "c_store"); len(f) != 1 || f[0].Attributes.Get("model") != "Model X" {
		t.Errorf("facts:\n%s%v", r.Text(), r.Counters)
	}
}

func TestNotDICOM(t *testing.T) {
	for _, s := range []string{"\x01\x00\x00\x00\x00\x04abcd", "\x01\x00\x00\x00\x00\xff\x00\x01\x00\x00" + strings.Repeat("\x00", 60), "\x16\x03\x01\x00\xc8", "GET / HTTP/1.0\r\n", "\x02\x00\x00\x00\x00\xff\x00\x02\x00\x00PACS"} {
		r := dissecttest.Play(dissect.Config{}, conv([]byte(s)).Segments(true))
		if strings.Contains(r.Text(), "dicom ") || r.Flows[0].Protocol == "dicom" && r.Flows[0].By == proto.ByContent {
			t.Errorf("%q is taken for DICOM", s)
		}
	}
}
