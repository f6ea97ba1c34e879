package dicom_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dicom"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

const (
	verification = "1.2.840.10008.1.1"
	worklist     = "1.2.840.10008.5.1.4.31"
	commitment   = "1.2.840.10008.1.20.1"
	retrieve     = "1.2.840.10008.5.1.4.1.2.2.3"
)

func us(tag uint32, n int) []byte {
	return impl.el(tag, "US", string(binary.LittleEndian.AppendUint16(nil, uint16(n))))
}

// negotiating is a request with everything that a requester may say of itself.
func negotiating(identity []byte) []byte {
	role := func(uid string, scu, scp byte) []byte {
		return item(0x54, be16(len(uid)), []byte(uid), []byte{scu, scp})
	}
	return pdu(1, be16(1), be16(0), ae("PACS"), ae("CT1"), make([]byte, 32), item(0x10, []byte("1.2.840.10008.3.1.1.1")),
		item(0x20, []byte{1, 0, 0, 0}, item(0x30, []byte(verification)), item(0x40, []byte(implicitLE))),
		item(0x20, []byte{3, 0, 0, 0}, item(0x30, []byte(ctStorage)), item(0x40, []byte(implicitLE)), item(0x40, []byte("1.2.840.10008.1.2.4.70"))),
		item(0x50, item(0x51, be32(16384)), item(0x52, []byte("1.2.3.4")), item(0x53, be16(4), be16(0)), role(ctStorage, 1, 1), role(retrieve, 0, 1),
			item(0x55, []byte("VENDOR_1")), item(0x56, be16(len(retrieve)), []byte(retrieve), []byte{1, 1, 1, 1, 1}),
			item(0x57, be16(len(ctStorage)), []byte(ctStorage), be16(0), be16(0), make([]byte, 300)), identity))
}

func named(kind byte, name, secret string) []byte {
	return item(0x58, []byte{kind, 1}, be16(len(name)), []byte(name), be16(len(secret)), []byte(secret))
}

func TestNegotiation(t *testing.T) {
	common := `"abstract_syntaxes":["` + verification + `","` + ctStorage + `"],"account":"other","async_operations":"4/0","called_ae":"PACS","calling_ae":"CT1","cleartext_credential":"user_pass",` +
		`"extended_negotiation":["` + retrieve + `","` + ctStorage + `"],"implementation_uid":"1.2.3.4","implementation_version":"VENDOR_1","max_pdu":"16384","role":"scu",` +
		`"role_selection":["` + ctStorage + `:both","` + retrieve + `:scp"],"services":["storage","verification"],"transfer_syntaxes":["` + implicitLE + `","1.2.840.10008.1.2.4.70"]`
	for _, tc := range []struct {
		name     string
		identity []byte
		want     string
	}{
		{"a password", named(2, "jcanary1", "secretpwd"), common},
		{"a long one", named(2, "jcanary1"+strings.Repeat("x", 3000), "secretpwd"), common},
		{"a known account", named(2, "Admin", "secretpwd"), strings.Replace(common, "other", "administrator", 1)},
		{"a name alone", named(1, "", ""), strings.NewReplacer("other", "empty", "user_pass", "username").Replace(common)},
		{"a ticket", named(3, "secretpwd-ticket", ""), strings.NewReplacer(`"account":"other",`, "", `"async`, `"async`, `"cleartext_credential":"user_pass",`, "", `"called_ae"`, `"auth":"kerberos","called_ae"`).Replace(common)},
		{"an assertion", named(4, strings.Repeat("secretpwd", 1000), ""), strings.NewReplacer(`"account":"other",`, "", "user_pass", "saml").Replace(common)},
		{"a token", named(5, "secretpwd.a.b", ""), strings.NewReplacer(`"account":"other",`, "", "user_pass", "jwt").Replace(common)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rq := negotiating(tc.identity)
			var all []int
			for i := range len(rq) {
				all = append(all, i)
			}
			for _, cut := range [][]int{nil, {100}, {len(rq) - 40}, all} {
				r := dissecttest.Play(dissect.Config{}, conv(rq).Cut(cut...).Segments(true))
				got := lines(r)
				if len(got) != 1 || !strings.HasSuffix(got[0], "{"+tc.want+"}") {
					t.Fatalf("got\n%swant\n%s", r.Text(), tc.want)
				}
				if all := string(r.Everything()); strings.Contains(all, "jcanary1") || strings.Contains(all, "secretpwd") {
					t.Error("credentials leave the parser")
				}
			}
		})
	}
	// The acceptor says which contexts it refuses, and why.
	ac := pdu(2, be16(1), be16(0), ae("PACS"), ae("CT1"), make([]byte, 32), item(0x10, []byte("1.2.840.10008.3.1.1.1")),
		item(0x21, []byte{1, 0, 0, 0}, item(0x40, []byte(implicitLE))), item(0x21, []byte{3, 0, 4, 0}, item(0x40, []byte(implicitLE))), item(0x50, item(0x52, []byte("1.9"))))
	r := play(t, negotiating(nil), ac)
	a := r.Of("dicom", "associate_ac")[0].Attributes
	if got := fmt.Sprint(a.List("rejected_contexts"), a.List("transfer_syntaxes"), a.List("services"), a.List("abstract_syntaxes")); got != "["+ctStorage+":transfer_syntaxes] ["+implicitLE+"] [verification] ["+verification+"]" {
		t.Error(got)
	}
}

// Each service of DIMSE, and what the association came to.
func TestServices(t *testing.T) {
	refs := func(tag uint32, n int) []byte {
		var body []byte
		for range n {
			in := impl.el(0x00081155, "UI", "1.2.3")
			body = append(append(body, impl.head(0xfffee000, "", uint32(len(in)))...), in...)
		}
		return append(impl.head(tag, "SQ", uint32(len(body))), body...)
	}
	message := func(command []byte, data ...[]byte) []byte {
		b := pdvs(1, true, command, 9999)
		if len(data) > 0 {
			b = append(b, pdvs(1, false, slices.Concat(data...), 9999)...)
		}
		return b
	}
	uidOf := impl.el(0x0020000d, "UI", study)
	for _, tc := range []struct {
		name        string
		there, back []byte
		want        []string // attributes of the facts after the association's, the sums last
	}{
		{"echo", message(cmd(0x30, verification, "", false)), message(cmd(0x8030, verification, "", false, status(0))), []string{
			`c_echo {"role":"scu","service":"verification","sop_class":"1.2.840.10008.1.1","sop_class_name":"Verification"}`,
			`association {"operations":["c_echo:1"],"role":"scu","statuses":["0000:1"]}`,
		}},
		{
			"worklist", message(cmd(0x20, worklist, "", true), impl.el(0x00080060, "CS", "CT"), impl.el(0x00100010, "PN", "NOBODY*")),
			slices.Concat(message(cmd(0x8020, worklist, "", true, status(0xff00)), uidOf), message(cmd(0x8020, worklist, "", false, status(0)))),
			[]string{
				`c_find {"role":"scu","service":"worklist","sop_class":"1.2.840.10008.5.1.4.31","sop_class_name":"Modality Worklist Information Model - FIND"}`,
				`c_find_rsp {"matches":"1","role":"scp","service":"worklist","sop_class":"1.2.840.10008.5.1.4.31","sop_class_name":"Modality Worklist Information Model - FIND","status":"0000"}`,
				`association {"operations":["c_find:1"],"role":"scu","statuses":["0000:1"]}`,
			},
		},
		{
			"retrieval", message(cmd(0x10, retrieve, "", true), impl.el(0x00080052, "CS", "STUDY"), impl.el(0x00100020, "LO", "MRN4711"), uidOf),
			slices.Concat(message(cmd(0x8010, retrieve, "", false, status(0xff00), us(0x1020, 5), us(0x1021, 0), us(0x1022, 0), us(0x1023, 0))),
				message(cmd(0x8010, retrieve, "", false, status(0xb000), us(0x1021, 3), us(0x1022, 1), us(0x1023, 1)))),
			[]string{
				`c_get {"level":"study","role":"scu","service":"query_retrieve","sop_class":"1.2.840.10008.5.1.4.1.2.2.3","sop_class_name":"Study Root Query/Retrieve Information Model - GET","study":"STUDY"}`,
				`c_get_rsp {"completed":"3","failed":"1","matches":"1","role":"scp","service":"query_retrieve","sop_class":"1.2.840.10008.5.1.4.1.2.2.3",` +
					`"sop_class_name":"Study Root Query/Retrieve Information Model - GET","status":"b000","status_name":"warning","warnings":"1"}`,
				`association {"operations":["c_get:1"],"role":"scu","statuses":["b000:1"]}`,
			},
		},
		{
			"commitment", message(cmd(0x0130, commitment, "1.2.840.10008.1.20.1.1", true, us(0x1008, 1)), refs(0x00081199, 3)),
			message(cmd(0x0100, commitment, "1.2.840.10008.1.20.1.1", true, us(0x1002, 2)), refs(0x00081198, 1), refs(0x00081199, 2)),
			[]string{
				`n_action {"action":"request_commitment","instances_count":"3","role":"scu","service":"storage_commitment","sop_class":"1.2.840.10008.1.20.1","sop_class_name":"Storage Commitment Push Model"}`,
				`n_event_report {"event":"commitment_failed","failed_count":"1","instances_count":"2","role":"scu","service":"storage_commitment","sop_class":"1.2.840.10008.1.20.1","sop_class_name":"Storage Commitment Push Model"}`,
				`association {"operations":["n_action:1","n_event_report:1"],"role":"scu"}`,
			},
		},
		{"a performed step", message(cmd(0x0120, mpps, instance, true), impl.el(0x00400244, "DA", "20260101"), impl.el(0x00400245, "TM", "101500.250"),
			impl.el(0x00400250, "DA", "20260101"), impl.el(0x00400251, "TM", "1030"), impl.el(0x00400252, "CS", "COMPLETED"),
			impl.seq(0x00400340, false, impl.el(0x00081050, "PN", "DR^NOBODY"), impl.el(0x0020000e, "UI", "1.2"), refs(0x00081140, 40), refs(0x00400220, 1))), nil, []string{
			`n_set {"ended":"2026-01-01","images_count":"41","mpps":"MPPS","mpps_status":"completed","role":"scu","series_count":"1","service":"mpps","sop_class":"1.2.840.10008.3.1.2.3.3",` +
				`"sop_class_name":"Modality Performed Procedure Step","started":"2026-01-01T10:15:00"}`,
			`association {"operations":["n_set:1"],"role":"scu"}`,
		}},
		{"an image of a retrieval", message(cmd(1, ctStorage, instance, true, impl.el(0x1030, "AE", "WS1")), impl.el(0x00080060, "CS", "CT"), impl.el(0x00080070, "LO", "ACME"),
			impl.el(0x00181000, "LO", "S1"), impl.el(0x00181003, "LO", "D1"), impl.seq(0x0018100a, true, impl.el(0x00181009, "UT", "(01)09504000059118"), impl.el(0x00081040, "LO", "nested")),
			impl.el(0x0018700a, "SH", "DET7"), uidOf, impl.el(0x0020000e, "UI", "1.2"), impl.el(0x00200010, "SH", "x")), message(cmd(0x8001, ctStorage, instance, false, status(0xa700))), []string{
			`c_store {"detector_id":"DET7","device_id":"D1","manufacturer":"ACME","modality":"CT","move_originator":"WS1","role":"scu","serial":"S1","service":"storage",` +
				`"sop_class":"1.2.840.10008.5.1.4.1.1.2","sop_class_name":"CT Image Storage","study":"STUDY","udi":"(01)09504000059118"}`,
			`c_store_rsp {"role":"scp","service":"storage","sop_class":"1.2.840.10008.5.1.4.1.1.2","sop_class_name":"CT Image Storage","status":"a700","status_name":"out_of_resources"}`,
			`association {"instances_count":"1","operations":["c_store:1"],"role":"scu","statuses":["a700:1"],"studies_count":"1"}`,
			`study {"images_count":"1","modality":"CT","series_count":"1","study":"STUDY"}`,
		}},
		{"a vendor's own", message(cmd(0x0777, "1.2.3.4.5", "", false)), nil, []string{
			`dimse_other {"role":"scu","sop_class":"1.2.3.4.5"}`, `association {"operations":["dimse_other:1"],"role":"scu"}`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			begin := [][]byte{request([]proposal{{ctStorage, []string{implicitLE}}}), accept(implicitLE)}
			for size := range []int{0, 1} {
				r := play(t, append(slices.Clone(begin), tc.there, tc.back, pdu(5, be32(0)))...)
				if size == 1 {
					c := conv(append(slices.Clone(begin), tc.there, tc.back, pdu(5, be32(0)))...)
					n := c.Sizes()
					var all []int
					for i := range n[0] + n[1] {
						all = append(all, i)
					}
					r = dissecttest.Play(dissect.Config{}, c.Cut(all...).Segments(true))
				}
				var got []string
				for _, f := range r.Facts[2:] {
					if f.Kind == "release" {
						continue
					}
					a := f.Attributes
					for name, short := range map[string]string{"study": "STUDY", "mpps": "MPPS"} {
						if len(a.Get(name)) == 32 {
							a.Set(name, short)
						}
					}
					_, attributes, _ := strings.Cut((&dissecttest.Result{Facts: []dissecttest.Fact{{Fact: dissect.Fact{Attributes: a}}}}).Text(), "{")
					attributes = strings.NewReplacer(`"called_ae":"PACS","calling_ae":"CT1",`, "", "\n", "").Replace(attributes)
					got = append(got, f.Kind+" {"+attributes)
				}
				if !slices.Equal(got, tc.want) {
					t.Fatalf("got\n%s\nwant\n%s\n%v", strings.Join(got, "\n"), strings.Join(tc.want, "\n"), r.Counters)
				}
			}
		})
	}
}

// filed is a DICOM file with the given preamble and a data set in explicit VR.
func filed(preamble string, data []byte) []byte {
	meta := slices.Concat(expl.el(0x00020001, "OB", "\x00\x01"), expl.el(0x00020002, "UI", ctStorage), expl.el(0x00020003, "UI", instance), expl.el(0x00020010, "UI", explicitLE),
		expl.el(0x00020012, "UI", "1.2.3.4"), expl.el(0x00020013, "SH", "VENDOR_1"), expl.el(0x00020016, "AE", "CT1"))
	length := expl.el(0x00020000, "UL", string(binary.LittleEndian.AppendUint32(nil, uint32(len(meta)))))
	return slices.Concat([]byte((preamble + strings.Repeat("\x00", 128))[:128]), []byte("DICM"), length, meta, data)
}

func TestFile(t *testing.T) {
	for _, tc := range []struct{ name, preamble, want string }{
		{"nothing", "", "empty"}, {"a program", "MZ\x90", "pe"}, {"another", "\x7fELF\x02", "elf"}, {"an image", "II*\x00", "tiff"}, {"text", "hello", "other"}, {"a script", "#!/bin/sh\n", "script"},
	} {
		b := filed(tc.preamble, device(expl, false))
		for _, step := range []int{len(b), 1000, 7, 1} {
			var facts sinkOf
			c := &dissector.Context{Headers: new(packet.Headers), Sink: &facts, Key: dissecttest.Key}
			f := dicom.NewFile()
			for part := range slices.Chunk(b, step) {
				if !f.Read(c, part) {
					break
				}
			}
			var fact dissector.Fact
			f.Describe(c, &fact, true)
			a := fact.Attributes
			for name, want := range map[string]string{
				"preamble": tc.want, "implementation_uid": "1.2.3.4", "implementation_version": "VENDOR_1", "source_ae": "CT1", "transfer_syntax": explicitLE,
				"manufacturer": "ACME", "serial": "SER1", "sop_class_name": "CT Image Storage",
			} {
				if a.Get(name) != want {
					t.Errorf("%s in steps of %d: %s is %q, want %q", tc.name, step, name, a.Get(name), want)
				}
			}
			if !f.Valid() || a.Get("study") == "" || f.Size() > 8<<10 {
				t.Errorf("%v, %d bytes", a, f.Size())
			}
		}
	}
	var facts sinkOf
	c := &dissector.Context{Headers: new(packet.Headers), Sink: &facts}
	for _, b := range [][]byte{[]byte("short"), make([]byte, 500), append(append(make([]byte, 128), "DICM"...), make([]byte, 20)...)} {
		f := dicom.NewFile()
		f.Read(c, b)
		var fact dissector.Fact
		f.Describe(c, &fact, false)
		if n := len(fact.Attributes); n > 1 {
			t.Errorf("%v", fact.Attributes)
		}
	}
}

type sinkOf struct{ dissector.Sink }

func (*sinkOf) Count(string) {}
