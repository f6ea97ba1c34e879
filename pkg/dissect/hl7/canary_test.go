package hl7_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
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
		"PRT|1|UC||E||||||phi-canary-0001\r"
}

// TestCanaries plants secrets and looks for them in all that leaves the engine:
// facts, labels, counters, panic sites.
func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	check := func(how string, c dissecttest.Conversation, handshake bool) {
		t.Helper()
		r := dissecttest.Play(dissect.Config{}, c.Segments(handshake))
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			t.Fatalf("%s: %v in\n%s", how, hits, r.Text())
		}
		if len(r.Panics) > 0 {
			t.Fatalf("%s: %v", how, r.Panics)
		}
	}
	for name, m := range map[string]string{"everywhere": canaries(), "misused": misused()} {
		if len(s.Search([]byte(m))) < 8 {
			t.Fatalf("%s: the secrets are not in the message", name)
		}
		whole := block(m)
		r := dissecttest.Play(dissect.Config{}, say(whole).Segments(true))
		if name == "everywhere" {
			damaged := whole[:len(whole)/3] + whole[len(whole)/2:]
			dissecttest.Planted(t, "hl7", secrets, say(whole).Segments(true), say(block(misused())).Segments(true), say(damaged, whole[:900]).Segments(true))
		}
		if len(r.Of("hl7", "equipment")) == 0 {
			t.Fatalf("%s: the device of the message is not seen: %s", name, r.Text())
		}
		rnd := rand.New(rand.NewPCG(3, 4))
		for i := range len(whole) {
			check(fmt.Sprint(name, " cut at ", i), say(whole).Cut(i), true)
			if i%31 != 0 && len(whole) > 2000 {
				continue
			}
			check(fmt.Sprint(name, " ends at ", i), say(whole[:i]), true)
			check(fmt.Sprint(name, " begins at ", i), say(whole[i:], whole), false)
			j := min(len(whole), i+1+rnd.IntN(200))
			if name != "misused" { // without its PID a message has nothing to compare with
				check(fmt.Sprint(name, " without ", i, " to ", j), say(whole[:i], whole[j:]), true)
			}
			lossy := say(whole[:i], whole[i:j], whole[j:], whole).Segments(true)
			r := dissecttest.Play(dissect.Config{}, append(lossy[:3:3], lossy[4:]...))
			if hits := s.Search(r.Everything()); len(hits) > 0 {
				t.Fatalf("%s lost %d to %d: %v in\n%s", name, i, j, hits, r.Text())
			}
		}
		for i := range 200 {
			var cuts []int
			for range rnd.IntN(30) {
				cuts = append(cuts, rnd.IntN(len(whole)))
			}
			check(fmt.Sprint(name, " cut often ", i), say(whole).Cut(cuts...), true)
			if name == "misused" {
				continue
			}
			b := []byte(whole)
			for range 1 + rnd.IntN(3) {
				b[rnd.IntN(len(b))] = "\r\n\x0b\x1c\\~^&A\x00\xff"[rnd.IntN(11)]
			}
			check(fmt.Sprint(name, " damaged ", i), say(string(b)), true)
		}
	}
}
