package hl7_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

// The planted strings: as people, numbers and text come in HL7.
var secrets = []string{"CANARY^ALFA^XAVER", "PHI-CANARY-0001", "VISIT-CANARY-0002", "19310110", "900-11-7000", "12 CANARY LANE", "note of canary", "K\u00c4NARI"}

// written are the ways in which a secret stands in a field.
func written(secret string, i int) string {
	switch i % 4 {
	case 1:
		return secret + "~" + secret
	case 2:
		return "x^" + secret + "&" + secret
	case 3:
		return `\X` + hex.EncodeToString([]byte(secret)) + `\`
	}
	return secret
}

// canaries is a message with a secret in every field of the segments that carry
// patients, physicians or text, and devices between them.
func canaries() string {
	var b strings.Builder
	b.WriteString(msh)
	n := 0
	segment := func(id string, from, to int, except ...int) {
		b.WriteString(id)
		for f := 1; f <= to; f++ {
			b.WriteByte('|')
			skip := f < from
			for _, x := range except {
				skip = skip || f == x
			}
			if !skip {
				b.WriteString(written(secrets[n%len(secrets)], n/len(secrets)))
				n++
			}
		}
		b.WriteByte('\r')
	}
	segment("EVN", 1, 7)
	segment("MSA", 2, 8)
	segment("ERR", 1, 12)
	segment("PID", 1, 39)
	segment("PD1", 1, 22)
	segment("NK1", 1, 39)
	segment("PV1", 1, 52, 3)
	segment("PV2", 1, 40)
	segment("GT1", 1, 50)
	segment("IN1", 1, 50)
	segment("IN2", 1, 60)
	segment("MRG", 1, 7)
	segment("AL1", 1, 6)
	segment("DG1", 1, 20)
	segment("ORC", 1, 25)
	segment("OBR", 1, 45)
	b.WriteString("OBX|1||69985^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC|1.0.0.0|||||||X|||||||SN1^^0011223344556677^EUI-64\r")
	segment("OBX", 1, 25, 18)
	for _, code := range []string{"TX", "184514^MDC_DRUG_NAME_TYPE^MDC", "157784^MDC_FLOW_FLUID_PUMP^MDC", "184508^MDC_PUMP_STAT^MDC"} {
		fmt.Fprintf(&b, "OBX|3|ST|%s|1.1.1.1|%s\r", code, secrets[n%len(secrets)])
		n++
	}
	segment("NTE", 1, 8)
	segment("TXA", 1, 23)
	segment("QRD", 1, 12)
	segment("RXE", 1, 40)
	segment("RXG", 1, 30)
	for _, code := range []string{
		"196616^MDC_EVT_ALARM", "68481^MDC_ATTR_EVENT_PHASE", "68484^MDC_ATTR_ALARM_PRIORITY", "68546^MDC_ATTR_ALERT_TEXT", "68487^MDC_ATTR_EVT_COND",
		"67925^MDC_ATTR_POWER_STAT", "67996^MDC_ATTR_VAL_BATT_CHARGE", "69416^MDC_NCC_WIRELESS_MAC", "158006^MDC_PUMP_NOT_DELIVERING_REASON",
	} {
		fmt.Fprintf(&b, "OBX|3|ST|%s^MDC|1.1.1.1.1|%s|||%s\r", code, secrets[n%len(secrets)], secrets[(n+1)%len(secrets)])
		n++
	}
	segment("PRT", 1, 15, 10)
	segment("ZPI", 1, 30)
	return b.String()
}

// misused is a message whose device fields repeat the patient.
func misused() string {
	return strings.Replace(msh, "|APP|FAC|", "|PHI-CANARY-0001|CANARY|", 1) +
		"SFT|CANARY ALFA|Xaver|PHI-CANARY-0001\r" +
		"PID|1||PHI-CANARY-0001^^^HOSP||CANARY^ALFA^XAVER||19310110\r" +
		"PV1||I|ALFA^1^2||||||||||||||||VISIT-CANARY-0002\r" +
		"OBX|1||69985^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC|1.0.0.0|||||||X|||||||B7^^0011223344556677^EUI-64\r" +
		"OBX|2|ST|531972^MDC_ID_PROD_SPEC_SERIAL^MDC|1.0.0.1|PHI-CANARY-0001\r" +
		"OBX|3|ST|531969^MDC_ID_MODEL_NUMBER^MDC|1.0.0.2|Alfa's pump\r" +
		"OBX|4||1^MDC_X^MDC|1.1.0.0|||||||X|||||||VISIT-CANARY-0002\r" +
		"OBX|5||69985^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC|2.0.0.0|||||||X|||||||CANARY^ALFA\r" +
		"PRT|1|UC||E||||||phi-canary-0001\r" +
		"DEV|A|B8|1|CANARY|CANARY ALFA|Xaver|PHI-CANARY-0001|PHI-CANARY-0001|VISIT-CANARY-0002||PHI-CANARY-0001|19310110||||Alfa\r" +
		"OBX|6|ST|184520^MDC_PUMP_DRUG_LIBRARY_NAME^MDC|1.0.0.2|Alfa's library\rOBX|7|ST|1^MDC_CANARY_SETTING^MDC|1.0.0.3|x\r"
}

// variants are the message with secrets everywhere, as other messages and in other
// forms.
func variants() map[string]string {
	all := canaries()
	as := func(kind string) string { return block(strings.Replace(all, "ORU^R01^ORU_R01", kind, 1)) }
	header := strings.Replace(all, "|20260101||", "|20260101101500||", 1)
	return map[string]string{
		"everywhere": block(all), "an alarm": as("ORU^R40^ORU_R40"), "an order": as("RGV^O15^RGV_O15"), "an admission": as("ADT^A01"),
		"UTF-16": block(wide(binary.LittleEndian, all)), "UTF-16, the other order": wide(binary.BigEndian, block(all)),
		"HLLP": "\x0bD23\r" + all + "00123456\x1c\r", "bare": header, "Latin-1": block(strings.ReplaceAll(all, "\u00c4", "\xc4")),
		"XML": block(`<ORU_R01 xmlns="urn:hl7-org:v2xml" name="CANARY^ALFA^XAVER"><PID>PHI-CANARY-0001</PID><x>` + all + `</x></ORU_R01>`),
	}
}

// TestCanaries plants secrets and looks for them in all that leaves the engine:
// facts, labels, counters, panic sites.
func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	whole := block(canaries())
	damaged := whole[:len(whole)/3] + whole[len(whole)/2:]
	dissecttest.Planted(t, "hl7", secrets, say(whole).Segments(true), say(block(misused())).Segments(true), say(damaged, whole[:900]).Segments(true),
		say(variants()["an alarm"]).Segments(true), say(variants()["an order"]).Segments(true), say(variants()["bare"]).Segments(true), say(variants()["XML"]).Segments(true))
	for name, text := range variants() {
		t.Run(name, func(t *testing.T) {
			r := plant(t, s, text, true)
			if devices := len(r.Of("hl7", "equipment")) + len(r.Of("hl7", "program")); (devices == 0) != (name == "XML") {
				t.Errorf("%d devices of the message are seen: %s", devices, r.Text())
			}
		})
	}
	t.Run("misused", func(t *testing.T) {
		if r := plant(t, s, block(misused()), false); len(r.Of("hl7", "equipment")) == 0 {
			t.Errorf("the device of the message is not seen: %s", r.Text())
		}
	})
}

// plant searches for the secrets however the text is cut, and, where damage leaves
// something to compare with, however it is damaged.
func plant(t *testing.T, s *canary.Searcher, text string, damage bool) *dissecttest.Result {
	t.Helper()
	search := func(how string, list []packet.Headers) *dissecttest.Result {
		t.Helper()
		r := dissecttest.Play(dissect.Config{}, list)
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			t.Fatalf("%s: %v in\n%s", how, hits, r.Text())
		}
		if len(r.Panics) > 0 {
			t.Fatalf("%s: %v", how, r.Panics)
		}
		return r
	}
	if len(s.Search([]byte(text))) < 8 {
		t.Fatal("the secrets are not in the message")
	}
	whole := search("whole", say(text).Segments(true))
	rnd := rand.New(rand.NewPCG(3, 4))
	step := 1 + len(text)/400
	for i := 0; i < len(text); i += 1 + rnd.IntN(2*step) {
		search(fmt.Sprint("cut at ", i), say(text).Cut(i).Segments(true))
		search(fmt.Sprint("ends at ", i), say(text[:i]).Segments(true))
		search(fmt.Sprint("begins at ", i), say(text[i:], text).Segments(false))
		j := min(len(text), i+1+rnd.IntN(200))
		lossy := say(text[:i], text[i:j], text[j:], text).Segments(true)
		search(fmt.Sprint("lost ", i, " to ", j), append(lossy[:3:3], lossy[4:]...))
		if !damage { // without its PID a message has nothing to compare with
			continue
		}
		search(fmt.Sprint("without ", i, " to ", j), say(text[:i], text[j:]).Segments(true))
		b := []byte(text)
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(len(b))] = "\r\n\x0b\x1c\\~^&A\x00\xff"[rnd.IntN(11)]
		}
		search(fmt.Sprint("damaged ", i), say(string(b)).Segments(true))
		b = []byte(text)
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		search(fmt.Sprint("a bit is wrong ", i), say(string(b)).Segments(true))
		var cuts []int
		for range rnd.IntN(30) {
			cuts = append(cuts, rnd.IntN(len(text)))
		}
		search(fmt.Sprint("cut often ", i), say(text).Cut(cuts...).Segments(true))
	}
	return whole
}
