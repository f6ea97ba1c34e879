package poct1a_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

const declaration = `<?xml version="1.0" encoding="utf-8"?>`

// msg is a message with a header.
func msg(name string, id int, body string) string {
	return fmt.Sprintf(`%s<%s><HDR><HDR.message_type V=%q /><HDR.control_id V="%d" /><HDR.version_id V="POCT1" /><HDR.creation_dttm V="2026-11-17T07:00:00-00:00" /></HDR>%s</%s>`, declaration, name, name, id, body, name)
}

var (
	hello = msg("HEL.R01", 1, `<DEV><DEV.device_id V="00:06:66:00:22:A1" /><DEV.vendor_id V="SIEM" /><DEV.model_id V="DCA Vantage" /><DEV.serial_id V="S051177" /><DEV.manufacturer_name V="Siemens &amp; Co" />`+
		`<DEV.hw_version V="1" /><DEV.sw_version V="4.5.0.0" /><DEV.device_name V="DCA"/><DCP><DCP.application_timeout V="60" /><DCP.vendor_specific>SECRET</DCP.vendor_specific></DCP><DSC><DSC.connection_profile_cd V="SA" />`+
		`<DSC.topics_supported_cd V="DTV" /><DSC.topics_supported_cd V="OP_LST" /><DSC.directives_supported_cd V="START_CONTINUOUS" /><DSC.directives_supported_cd V="FORCE_HIGH" SN="SIEM" SV="1.0" /><DSC.max_message_sz V="16000" /></DSC></DEV>`)
	status  = msg("DST.R01", 2, `<DST><DST.status_dttm V="2026" /><DST.new_observations_qty V="1" /><DST.new_events_qty V="2"/><DST.condition_cd V="B" /></DST>`)
	results = msg("OBS.R01", 3, `<SVC><SVC.role_cd V="OBS" /><SVC.reason_cd V="NEW" /><PT><PT.patient_id V="MRN" /><OBS><OBS.observation_id V="HbA1c"><TRANSLTN V="HbA1c" /></OBS.observation_id><OBS.value V="<4.2" U="%" /></OBS><OBS/></PT></SVC>`)
	control = msg("OBS.R02", 4, `<SVC><SVC.role_cd V="LQC" /><CTC><CTC.name V="Level 1"/><OBS/></CTC></SVC>`)
)

func directive(id int, command string) string {
	return msg("DTV.R01", id, `<DTV><DTV.command_cd V="`+command+`" SN="SIEM" SV="1.0" /></DTV>`)
}

func acknowledge(id, of int, code string) string {
	return msg("ACK.R01", id, fmt.Sprintf(`<ACK><ACK.type_cd V=%q/><ACK.ack_control_id V="%d" /></ACK>`, code, of))
}

func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for _, p := range parts {
		side := 0
		if rest, ok := strings.CutPrefix(p, ">"); ok {
			side, p = 1, rest
		}
		c = append(c, dissecttest.Chunk{Side: side, Data: []byte(p)})
	}
	return c
}

// lines are the facts: side, kind and attributes.
func lines(r *dissecttest.Result) []string { return r.Lines(dissecttest.SideKind) }

func TestMessages(t *testing.T) {
	for _, tc := range []struct {
		name  string
		parts []string
		want  []string
		count string
	}{
		{"hello", []string{hello}, []string{`0 hel_r01 {"connection_profile":"SA","device_name":"DCA","device_uid":"00:06:66:00:22:A1","directives":["START_CONTINUOUS","FORCE_HIGH"],"hardware_version":"1","mac":"00:06:66:00:22:a1","manufacturer":"Siemens \u0026 Co","model":"DCA Vantage","role":"device","serial":"S051177","software_version":"4.5.0.0","timeout_s":"60","topics":["DTV","OP_LST"],"vendor":"SIEM"}`}, ""},
		{"status when it changes", []string{status, status, strings.ReplaceAll(status, `"B"`, `"L"`)}, []string{
			`0 dst_r01 {"new_events":"2","new_observations":"1","role":"device","state":"busy"}`, `0 dst_r01 {"new_events":"2","new_observations":"1","role":"device","state":"locked"}`,
			`0 session {"messages":["dst_r01:3"],"role":"device"}`,
		}, ""},
		{"results", []string{results, control}, []string{
			`0 obs_r01 {"observations":"2","role":"device","service_roles":["patient"]}`, `0 obs_r02 {"observations":"1","role":"device","service_roles":["liquid_control"]}`,
			`0 session {"control_observations":"1","messages":["obs_r01:1","obs_r02:1"],"observations":"2","role":"device"}`,
		}, ""},
		{"directive from who connects", []string{directive(9600, "FORCE_NORMAL"), ">" + acknowledge(1, 9600, "AE")}, []string{
			`0 dtv_r01 {"command":"FORCE_NORMAL","role":"data_manager"}`, `1 ack_r01 {"ack_code":"AE","acknowledges":"dtv_r01","command":"FORCE_NORMAL","role":"device"}`,
			`1 session {"messages":["ack_r01:1","dtv_r01:1"],"refused":"1","role":"device"}`,
		}, ""},
		{"command of other words", []string{directive(1, "MR_NOBODY"), directive(2, strings.Repeat("SET_", 20))}, []string{
			`0 dtv_r01 {"command":"other","role":"data_manager"}`, `0 dtv_r01 {"command":"other","role":"data_manager"}`, `1 session {"messages":["dtv_r01:2"],"role":"device"}`,
		}, ""},
		{"acknowledgements", []string{hello, ">" + acknowledge(1, 1, "AA"), status, ">" + acknowledge(2, 2, "AA"), ">" + acknowledge(3, 2, "xx")}, []string{
			"0 hel_r01", `1 ack_r01 {"ack_code":"AA","role":"data_manager"}`, "0 dst_r01", `1 ack_r01 {"ack_code":"other","role":"data_manager"}`, "0 session",
		}, ""},
		{"maker's directive", []string{"\x0b" + msg("DTV.SIEM.DVCMD", 1, `<DTV><DTV.command_cd V="LOCK"/></DTV><PT><PT.name V="X"/></PT>`) + "\x1c\r", ">" + acknowledge(7, 1, "AA")}, []string{
			`0 dtv_vendor {"command":"LOCK","role":"data_manager"}`, `1 ack_r01 {"ack_code":"AA","acknowledges":"dtv_vendor","command":"LOCK","role":"device"}`, "1 session",
		}, ""},
		{"maker's message", []string{msg("ALERE.AXIS.LOCKSTATUS", 1, ""), status}, []string{"0 vendor {}", "0 dst_r01", `0 session {"messages":["dst_r01:1","vendor:1"],"role":"device"}`}, ""},
		{"operators", []string{msg("OPL.R01", 1, `<OPR><OPR.operator_id V="x"/><ACC><ACC.method_cd V="ALL"/><ACC.password ENC="B64">c2VjcmV0</ACC.password></ACC></OPR><OPR/>`)}, []string{`0 opl_r01 {"account":"other","cleartext_credential":"user_pass","entries":"2","role":"data_manager"}`}, ""},
		{"patients", []string{msg("PTL.R02", 1, `<UPD><PT><PT.patient_id V="x"/></PT><PT/></UPD>`)}, []string{`0 ptl_r02 {"entries":"2","role":"data_manager"}`}, ""},
		{"events", []string{msg("EVS.R01", 1, `<EVT><EVT.description V="x"/></EVT><EVT/>`)}, []string{`0 evs_r01 {"events":"2","role":"device"}`}, ""},
		{"requests", []string{msg("REQ.R01", 1, `<REQ><REQ.request_cd V="ROBS"/></REQ>`), msg("REQ.R01", 2, `<REQ><REQ.request_cd V="ROBS"/></REQ>`), msg("EOT.R01", 2, "")}, []string{`0 req_r01 {"request":"ROBS","role":"data_manager"}`, `1 session {"messages":["req_r01:2","eot_r01:1"],"role":"device"}`}, ""},
		{"end", []string{msg("END.R01", 1, `<TRM><TRM.reason_cd V="USR"/></TRM>`), msg("ESC.R01", 1, `<ESC><ESC.detail_cd V="Mr X"/></ESC>`), msg("KPA.R01", 1, "")}, []string{`0 end_r01 {"reason":"USR"}`, `0 esc_r01 {"reason":"other"}`}, ""},
		{"no declaration, no end", []string{strings.TrimPrefix(hello, declaration)[:600]}, []string{`0 hel_r01 {"connection_profile":"SA","device_name":"DCA","device_uid":"00:06:66:00:22:A1","hardware_version":"1","incomplete":"true"`}, "poct1a_incomplete"},
		{"end is missing", []string{strings.TrimSuffix(status, "</DST.R01>"), results}, []string{`0 dst_r01 {"incomplete":"true"`, "0 obs_r01", "0 session"}, "poct1a_incomplete"},
		{"damaged", []string{strings.Replace(results, `V="MRN"`, `V="MRN`, 1), status}, []string{`0 obs_r01 {"incomplete":"true","role":"device","service_roles":["patient"]}`, "0 dst_r01", "0 session"}, "poct1a_incomplete"},
		{"device elsewhere", []string{msg("OBS.R01", 1, `<DEV><DEV.serial_id V="MRN"/></DEV>`)}, []string{`0 obs_r01 {"role":"device"}`}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.HoldsCut(t, say(tc.parts...))
			got := lines(r)
			if len(got) != len(tc.want) {
				t.Fatalf("%d facts, want %d:\n%s", len(got), len(tc.want), strings.Join(got, "\n"))
			}
			for i, w := range tc.want {
				if !strings.HasPrefix(got[i], w) {
					t.Errorf("fact %d:\n%s\nwant\n%s", i, got[i], w)
				}
			}
			if tc.count != "" && r.Counters[tc.count] == 0 {
				t.Errorf("%s is not counted: %v", tc.count, r.Counters)
			}
			if f := r.Flows[0]; f.Protocol != "poct1a" || f.By != proto.ByContent {
				t.Errorf("labelled %s by %s", f.Protocol, f.By)
			}
		})
	}
}

// TestWhoseMessage: only the hello names a device; what follows on the connection, up
// to the next hello, is of the same one.
func TestWhoseMessage(t *testing.T) {
	second := strings.NewReplacer("S051177", "S051178", "4.5.0.0", "4.6.0.0").Replace(hello)
	third := strings.Replace(hello, "S051177", "S051179", 1)
	nameless := strings.Replace(hello, `<DEV.serial_id V="S051177" />`, "", 1)
	events := msg("EVS.R01", 9, `<EVT/>`)
	for _, tc := range []struct {
		name  string
		parts []string
		lost  string // the part that is not captured
		want  []string
	}{
		{"one meter", []string{hello, status, results, events, ">" + directive(7, "LOCK"), acknowledge(4, 7, "AA")}, "", []string{
			"0 hel_r01 S051177 DCA Vantage", "0 dst_r01 S051177 DCA Vantage", "0 obs_r01 S051177 DCA Vantage", "0 evs_r01 S051177 DCA Vantage", "1 dtv_r01", "0 ack_r01 S051177 DCA Vantage", "0 session S051177 DCA Vantage",
		}},
		{"one after the other", []string{hello, status, results, second, status, results}, "", []string{
			"0 hel_r01 S051177 DCA Vantage", "0 dst_r01 S051177 DCA Vantage", "0 obs_r01 S051177 DCA Vantage",
			"0 hel_r01 S051178 DCA Vantage", "0 dst_r01 S051178 DCA Vantage", "0 obs_r01 S051178 DCA Vantage", "0 session",
		}},
		{"hello without a serial number", []string{hello, results, nameless, control}, "", []string{"0 hel_r01 S051177 DCA Vantage", "0 obs_r01 S051177 DCA Vantage", "0 hel_r01  DCA Vantage", "0 obs_r02  DCA Vantage", "0 session"}},
		{"no hello was seen", []string{status, results}, "", []string{"0 dst_r01", "0 obs_r01", "0 session"}},
		{"a message of one meter is lost", []string{hello, results, control, results}, control, []string{"0 hel_r01 S051177 DCA Vantage", "0 obs_r01 S051177 DCA Vantage", "0 obs_r01 S051177 DCA Vantage", "0 session S051177 DCA Vantage"}},
		{"the hello of a third is lost", []string{hello, results, second, events, third, results, hello, control}, third, []string{
			"0 hel_r01 S051177 DCA Vantage", "0 obs_r01 S051177 DCA Vantage", "0 hel_r01 S051178 DCA Vantage", "0 evs_r01 S051178 DCA Vantage", "0 obs_r01", "0 hel_r01 S051177 DCA Vantage", "0 obs_r02 S051177 DCA Vantage", "0 session",
		}},
		{"a host that says hello and then commands", []string{hello, directive(7, "LOCK")}, "", []string{"0 hel_r01 S051177 DCA Vantage", "0 dtv_r01", "1 session"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			segments := slices.DeleteFunc(say(tc.parts...).Segments(true), func(h packet.Headers) bool { return tc.lost != "" && string(h.Payload) == tc.lost })
			r := dissecttest.Play(dissect.Config{}, segments)
			got := r.Lines(func(f *dissecttest.Fact) string {
				a := &f.Attributes
				return strings.TrimRight(fmt.Sprintf("%d %s %s %s", f.Subject.Side, f.Kind, a.Get("serial"), a.Get("model")), " ")
			})
			if !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

func TestNotPOCT(t *testing.T) {
	for _, s := range []string{
		"<?xml version=\"1.0\"?><html><HDR/></html>", "<HEL.R01x/>", "<HEL/>", "<policy-file-request/>\x00", "<stream:stream xmlns='jabber:client'>", "<A.B><x/></A.B>", "<s:Envelope/>",
		"<?xml version=\"1.0\"" + strings.Repeat(" ", 600), "<" + strings.Repeat("A.", 40), "GET /HEL.R01> HTTP/1.1\r\n\r\n", "<!DOCTYPE HEL.R01>", "\x0bMSH|^~\\&|",
	} {
		r := dissecttest.Play(dissect.Config{}, say(s).Segments(true))
		if r.Flows[0].Protocol == "poct1a" {
			t.Errorf("%q is taken for POCT1-A", s)
		}
	}
}

// A conversation is joined in the middle of a message.
func TestMidstream(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, say(results[200:]+status, ">"+acknowledge(2, 2, "AA")).Segments(false))
	if k := r.Kinds(); k["poct1a dst_r01"] != 1 || k["poct1a ack_r01"] != 1 || k["poct1a obs_r01"] != 0 {
		t.Error(r.Text())
	}
}

// The day's truth sheet: one analyser, six results, its identity; in incident 8,
// three commands of a host that is not the data manager.
func TestWard(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/day.pcapng")))
	hel := r.Of("poct1a", "hel_r01")
	if len(hel) == 0 {
		t.Fatal("no device says hello")
	}
	for name, want := range map[string]string{"manufacturer": "Siemens Healthcare Diagnostics", "model": "DCA Vantage", "serial": "S051177", "software_version": "4.5.0.0"} {
		if got := hel[0].Attributes.Get(name); got != want || hel[0].Speaker().String() != "10.41.8.171" {
			t.Errorf("%s of %s: %q, want %q", name, hel[0].Speaker(), got, want)
		}
	}
	if n := len(r.Of("poct1a", "obs_r01")); n != 6 {
		t.Errorf("%d results, want 6", n)
	}
	for _, f := range r.Flows {
		if (f.DstPort == 3001) != (f.Protocol == "poct1a") {
			t.Errorf("%s:%d to port %d is %s", f.SrcIP, f.SrcPort, f.DstPort, f.Protocol)
		}
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/incident-08-poct-remote-command.pcap")))
	var commands []string
	for _, f := range r.Of("poct1a", "dtv_r01") {
		if f.Speaker().String() == "10.41.8.203" {
			commands = append(commands, f.Attributes.Get("command"))
		}
	}
	if !slices.Equal(commands, []string{"FORCE_NORMAL", "FORCE_HIGH", "LOCK"}) {
		t.Errorf("commands %v", commands)
	}
	if n := len(r.Of("poct1a", "ack_r01")); n < 3 {
		t.Errorf("%d acknowledgements", n)
	}
}

var secrets = []string{"CANARY^ALFA", "PHI-CANARY-0001", "opcanary7", "note of canary", "K\u00c4NARI", "VALUE-CANARY", "19310110"}

// canaries are messages with a secret in every field that is not a device's.
func canaries() []string {
	n := 0
	s := func() string {
		n++
		return secrets[n%len(secrets)]
	}
	fields := func(class string, names ...string) string {
		var b strings.Builder
		for _, f := range names {
			fmt.Fprintf(&b, `<%s.%s V="%s" SN="%s" U="%s">%s<TRANSLTN V="%s"/></%s.%s>`, class, f, s(), s(), s(), s(), s(), class, f)
		}
		return b.String()
	}
	pt := func() string {
		return "<PT>" + fields("PT", "patient_id", "name", "birth_date", "gender_cd", "location", "V") + "<OBS>" + fields("OBS", "observation_id", "value", "qualitative_value", "note", "method_cd") + "</OBS><NTE>" + fields("NTE", "text") + "</NTE></PT>"
	}
	opr := func() string {
		return "<OPR>" + fields("OPR", "operator_id", "name") + "<ACC>" + fields("ACC", "method_cd", "password", "permission_level_cd") + "</ACC></OPR>"
	}
	svc := "<SVC>" + fields("SVC", "role_cd", "observation_dttm", "reason_cd", "sequence_nbr") + pt() + opr() + "<ORD>" + fields("ORD", "universal_service_id", "order_id", "ordering_provider_id") + "</ORD><RGT>" + fields("RGT", "name", "lot_number") + "</RGT><CTC>" + fields("CTC", "name") + "</CTC></SVC>"
	return []string{
		hello,
		strings.Replace(hello, "</DEV>", fields("DCP", "application_timeout", "vendor_specific")+fields("DSC", "topics_supported_cd", "directives_supported_cd", "connection_profile_cd")+"</DEV>"+pt()+opr(), 1),
		msg("OBS.R01", 1, svc), msg("OBS.R02", 2, svc), msg("EVS.R01", 3, "<EVT>"+fields("EVT", "description", "event_dttm", "severity_cd")+pt()+"</EVT>"),
		msg("DST.R01", 4, "<DST>"+fields("DST", "new_observations_qty", "new_events_qty", "condition_cd", "observations_update_dttm")+"</DST>"),
		msg("OPL.R01", 5, opr()+opr()), msg("OPL.R02", 6, "<UPD>"+fields("UPD", "action_cd")+opr()+"</UPD>"), msg("PTL.R01", 7, pt()), msg("PTL.R02", 8, "<UPD>"+pt()+"</UPD>"),
		msg("DTV.R01", 9, "<DTV>"+fields("DTV", "command_cd")+"</DTV>"), msg("DTV.CEPHEID.PTQRY", 10, "<DTV>"+fields("DTV", "command_cd")+"</DTV>"+pt()),
		">" + msg("ACK.R01", 11, "<ACK>"+fields("ACK", "type_cd", "ack_control_id", "note_txt", "error_detail_cd")+"</ACK>"),
		msg("REQ.R01", 12, "<REQ>"+fields("REQ", "request_cd")+"</REQ>"+pt()), msg("END.R01", 13, "<TRM>"+fields("TRM", "reason_cd", "note_txt")+"</TRM>"),
		msg("ESC.R01", 14, "<ESC>"+fields("ESC", "esc_control_id", "detail_cd", "note_txt")+"</ESC>"), msg("EOT.R01", 15, "<EOT>"+fields("EOT", "topic_cd")+"</EOT>"),
	}
}

func TestCanaries(t *testing.T) {
	dissecttest.HoldsBack(t, secrets, say(canaries()...), "<>\"'/&= \x00\xff.RV")
	dissecttest.PlantedTalks(t, "poct1a", 9999, secrets[:6], say(canaries()...)) // without the date, which others may have
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(hello+status), 100)
	f.Add([]byte(strings.Join(canaries()[:3], "")), 700)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		c := say(status, string(b), ">"+acknowledge(1, 1, "AA"))
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
