package hl7_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/hl7"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

const (
	msh  = `MSH|^~\&|APP|FAC|RAPP|RFAC|20260101||ORU^R01^ORU_R01|1|P|2.6|||||||||IHE_PCD_001^IHE PCD` + "\r"
	pump = msh + "PID|1||MRN4711^^^HOSP||NOBODY^SOME\r" + "PV1||I|W3^B01^A\r" +
		"OBX|1||69985^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC|1.0.0.0|||||||X|||||||SN1^^0011223344556677^EUI-64\r" +
		"OBX|2|ST|531969^MDC_ID_MODEL_NUMBER^MDC|1.0.0.1|8015\r"
)

// block frames a message.
func block(s string) string { return "\x0b" + s + "\x1c\r" }

func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for _, p := range parts {
		c = append(c, dissecttest.Chunk{Side: 0, Data: []byte(p)})
	}
	return c
}

// lines is what the facts say, one attribute set a fact, but for the sums.
func lines(r *dissecttest.Result) (list []string) {
	for _, s := range strings.Split(r.Text(), "\n") {
		if s != "" && !strings.HasPrefix(s, "hl7 messages ") {
			list = append(list, s)
		}
	}
	return list
}

func TestMessages(t *testing.T) {
	ends := strings.NewReplacer("\r", "\n")
	crlf := strings.NewReplacer("\r", "\r\n")
	odd := strings.NewReplacer("|", "!", "^", "@", "~", "*", `\`, "/", "&", "%")
	for _, tc := range []struct {
		name  string
		parts []string
		want  []string // in order, text that a fact has
		count string   // a counter that is not zero
	}{
		{"plain", []string{block(pump)}, []string{`hl7 oru_r01 `, `"equipment_id":"0011223344556677"`}, ""},
		{"line feeds", []string{block(ends.Replace(pump))}, []string{`"segments":"MSH:1,PID:1,PV1:1,OBX:2"`, `"model":"8015"`}, ""},
		{"both", []string{block(crlf.Replace(pump))}, []string{`"segments":"MSH:1,PID:1,PV1:1,OBX:2"`, `"model":"8015"`}, ""},
		{"other delimiters", []string{block(odd.Replace(pump))}, []string{`"sending_application":"APP"`, `"location":"W3^B01^A"`}, ""},
		{"split", []string{block(pump)[:7], block(pump)[7:90], block(pump)[90:]}, []string{"oru_r01", "equipment"}, ""},
		{"coalesced", []string{block(msh) + block(msh) + block(pump)}, []string{"oru_r01", "oru_r01", "oru_r01", "equipment"}, ""},
		{"no end block", []string{"\x0b" + pump + "\x0b" + msh + "\x1c\r"}, []string{"oru_r01", "equipment", "oru_r01"}, "hl7_missing_end"},
		{"no end at all", []string{"\x0b" + pump}, []string{`"incomplete":"true"`, "equipment"}, "hl7_incomplete"},
		{"no carriage return after the end", []string{"\x0b" + msh + "\x1c" + "\x0b" + msh + "\x1c"}, []string{"oru_r01", "oru_r01"}, ""},
		{"noise between", []string{block(msh) + "\x00noise\r\n" + block(msh)}, []string{"oru_r01", "oru_r01"}, ""},
		{"start block inside", []string{block(msh + "NTE|1||a\x0bMS b\x0b\r" + "OBX|1|TX|\x0bM||\r")}, []string{`"segments":"MSH:1,NTE:1,OBX:1"`}, ""},
		{"batch", []string{block("FHS|^~\\&|F\rBHS|^~\\&|B\r" + msh + pump + "BTS|2\rFTS|1\r")}, []string{"oru_r01", "oru_r01", "equipment"}, ""},
		{"escapes", []string{block(strings.Replace(msh, "|APP|", `|A\T\B\X2B\\.br\C\Q|`, 1))}, []string{`"sending_application":"A\u0026B+C"`}, ""},
		{"only a name", []string{block(msh + "ZZZ\rPID\rNTE\r")}, []string{`"segments":"MSH:1,PID:1,NTE:1"`}, ""},
		{"own segments", []string{block(msh + "ZPI|x\rXYZABC|y\r")}, []string{`"segments":"MSH:1"`}, ""},
		{"not codes", []string{block(strings.Replace(msh, "ORU^R01^ORU_R01", "Some Body^x", 1))}, []string{"hl7 unknown "}, ""},
		{"header cut", []string{block("MSH|^~\\&|A"), block(msh)}, []string{"hl7 unknown ", "oru_r01"}, "hl7_header_implausible"},
		{"no header", []string{block(msh), block("PID|1|x"), block(msh)}, []string{"oru_r01", "oru_r01"}, "hl7_no_header"},
		{"acknowledgement", []string{block("MSH|^~\\&|E|||||| ACK^R01|1|P|2.3\rMSA|AE|17\r")}, []string{`"ack_code":"AE"`}, ""},
		{"software", []string{block(msh + "SFT|BD|4.33|Manager|B\r")}, []string{`"product":"Manager"`}, ""},
		{"participation", []string{block(msh + "PRT|1|UC||EQUIP||||||D42^NS^00-11-22-FF-FE-44-55-66^EUI-64\r")}, []string{"oru_r01", `mac=00:11:22:44:55:66`}, ""},
		{"equipment of a laboratory", []string{block(msh + "EQU|LAB-7^L|20260101\r")}, []string{"oru_r01", `equipment="LAB-7^L"`}, ""},
		{"segments run into each other", []string{block(strings.TrimSuffix(pump, "\r") + "PID|1||||||NOBODY||||||||||||\r")}, []string{"oru_r01", "equipment"}, "hl7_segments_merged"},
		{"long field", []string{block(strings.Replace(msh, "|APP|", "|"+strings.Repeat("x", 5000)+"|", 1))}, []string{`"sending_facility":"FAC"`}, "hl7_field_long"},
		{"identities without end", []string{block(strings.Replace(pump, "MRN4711^^^HOSP", strings.Repeat("MRN4711~", 600), 1))}, []string{"oru_r01"}, "hl7_identity_withheld"},
		{"a person for a location", []string{block(strings.Replace(pump, "W3^B01^A", "7^Disney^Walt^^MD", 1))}, []string{"oru_r01", "!location"}, ""},
		{"facility for a bed", []string{block(strings.Replace(pump, "W3^B01^A", "W3^B01^RFAC", 1))}, []string{"oru_r01", `"location":"W3^B01"`}, ""},
		{"number for a serial", []string{block(pump + "OBX|3|ST|531972^MDC_ID_PROD_SPEC_SERIAL^MDC|1.0.0.2|mrn4711\r")}, []string{"oru_r01", "!serial"}, "hl7_identity_withheld"},
		{"name for equipment", []string{block(strings.Replace(pump, "SN1^^0011223344556677^EUI-64", "Nobody", 1))}, []string{"oru_r01"}, "hl7_identity_withheld"},
		{"state of another system", []string{block(pump + "OBX|3|CWE|184508^Some State^L|1.1.1.1|pump-status-infusing\r")}, []string{"oru_r01", "!state"}, ""},
		{"state of no list", []string{block(pump + "OBX|3|CWE|184508^MDC_PUMP_STAT^MDC|1.1.1.1|^pump-status-of Mr Nobody\r")}, []string{"oru_r01", `"state":"other"`}, ""},
		{"drug and rate", []string{block(pump + "OBX|3|NM|157784^MDC_FLOW_FLUID_PUMP^MDC|1.1.1.1|17.25|x\rOBX|4|ST|184514^MDC_DRUG_NAME_TYPE^MDC|1.1.1.2|^morphine\r")}, []string{"oru_r01", `"delivering":"true"`}, ""},
		{"two devices", []string{block(pump + "OBX|3||70001^MDC_DEV_X_MDS^MDC|2.0.0.0|||||||X|||||||N2\rOBX|4|ST|531969^MDC_ID_MODEL_NUMBER^MDC|2.0.0.1|M2\r")}, []string{"oru_r01", `"model":"8015"`, `"model":"M2"`}, ""},
		{"blank before", []string{"\r\n" + block(msh)}, []string{"oru_r01"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Play(dissect.Config{}, say(tc.parts...).Segments(true))
			got := lines(r)
			if len(got) != len(tc.want) {
				t.Fatalf("%d facts, want %d:\n%s", len(got), len(tc.want), r.Text())
			}
			for i, w := range tc.want {
				if no, ok := strings.CutPrefix(w, "!"); ok && strings.Contains(got[i], no) || !ok && !strings.Contains(got[i], w) {
					t.Errorf("fact %d: %s, want %s", i, got[i], w)
				}
			}
			if tc.count != "" && r.Counters[tc.count] == 0 {
				t.Errorf("%s is not counted: %v", tc.count, r.Counters)
			}
			if strings.Contains(string(r.Everything()), "17.25") || strings.Contains(string(r.Everything()), "morphine") {
				t.Error("therapy leaves the parser")
			}
		})
	}
}

func TestNotHL7(t *testing.T) {
	for _, s := range []string{"GET / HTTP/1.1\r\n\r\n", "\x0b", "\x0bMSHA", "\x0bMSH|ABC|", "MSH|^~\\&|", "\x0bPID|1", "\x0bMSH||||", strings.Repeat("\r", 40) + "\x0bMSH|^~\\&|"} {
		r := dissecttest.Play(dissect.Config{}, say(s).Segments(true))
		if strings.Contains(r.Text(), "hl7 ") || r.Flows[0].Protocol == "hl7" && r.Flows[0].By == proto.ByContent {
			t.Errorf("%q is taken for HL7", s)
		}
	}
}

// A connection is joined in its middle, inside a message.
func TestMidstream(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, say(pump[60:]+"\x1c\r", block(pump), block(pump)).Segments(false))
	if n := len(r.Of("hl7", "equipment")); n != 2 {
		t.Errorf("%d messages, want 2: %s", n, r.Text())
	}
}

// Lost bytes cost the message they belong to and no other.
func TestGap(t *testing.T) {
	list := say(block(pump), block(pump)[:80], block(pump)[80:160], block(pump)[160:], block(pump)).Segments(true)
	list = append(list[:4], list[5:]...)
	r := dissecttest.Play(dissect.Config{}, list)
	kinds := r.Kinds()
	if kinds["hl7 equipment"] != 2 || kinds["hl7 oru_r01"] != 2 || r.Counters["hl7_gap"] != 1 {
		t.Errorf("%v %v", kinds, r.Counters)
	}
}

// However long a message is, only fields on the list are kept.
func TestBounded(t *testing.T) {
	stream := hl7.Protocol.NewStream()
	var facts collector
	c := &dissector.Context{Headers: new(packet.Headers), Sink: &facts}
	feed := func(s string) {
		stream.Data(c, []byte(s))
		if n := stream.Size(); n > 16<<10 {
			t.Fatalf("%d bytes are kept", n)
		}
	}
	feed("\x0b" + msh)
	for range 2000 {
		feed("OBX|1|ED|X||" + strings.Repeat("A", 1400))
		feed("\rPID|1||" + strings.Repeat("M~", 900) + "\r")
	}
	feed("\x1c\r")
	if len(facts) != 1 || !strings.Contains(facts[0].Attributes.Get("segments"), "OBX:2000") {
		t.Errorf("facts: %v", facts)
	}
}

type collector []dissector.Fact

func (l *collector) Emit(f *dissector.Fact)                       { *l = append(*l, *f) }
func (*collector) Count(string)                                   {}
func (*collector) Expect(proto.Transport, netip.AddrPort, string) {}
func (*collector) Inner(string)                                   {}
func (*collector) Done()                                          {}
