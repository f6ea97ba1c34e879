package hl7_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/proto"
)

// wide writes text in UTF-16.
func wide(order binary.AppendByteOrder, s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// bareMSH is a header segment that can be told without framing.
const bareMSH = `MSH|^~\&|LAB|FAC|LIS|HOSP|20260101101500||ORU^R01|7|P|2.3.1` + "\r"

func TestForms(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	polish := strings.Replace(pump, "|APP|", "|Łóżko|", 1)
	whole := []string{`hl7 oru_r01 `, `"equipment_id":"0011223344556677"`}
	short := []string{`"sending_application":"LAB"`}
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"UTF-8 with a mark", block("\xef\xbb\xbf" + polish), []string{`"sending_application":"Łóżko"`, whole[1]}},
		{"UTF-16, bytes for framing", block(wide(le, polish)), []string{`"sending_application":"Łóżko"`, whole[1]}},
		{"UTF-16 with a mark", block("\xff\xfe" + wide(le, polish)), []string{`"sending_application":"Łóżko"`, whole[1]}},
		{"UTF-16, the other order", block(wide(be, polish)), []string{`"sending_application":"Łóżko"`, whole[1]}},
		{"the same with a mark", block("\xfe\xff" + wide(be, polish)), []string{`"sending_application":"Łóżko"`, whole[1]}},
		{"all of it UTF-16", wide(be, block(polish)), []string{`"sending_application":"Łóżko"`, whole[1]}},
		{"all of it UTF-16, little endian", wide(le, block(pump)), whole},
		{"two of these", block(wide(le, pump)) + block(pump), append(whole, whole...)},
		{"characters beyond 16 bits", block(wide(le, strings.Replace(pump, "|APP|", "|A\U0001f489|", 1))), []string{`"sending_application":"A??"`, whole[1]}},
		{"Latin-1", block(strings.Replace(strings.Replace(pump, "|APP|", "|Dr\xe4ger|", 1), "|2.6||||||", "|2.6||||||8859/1", 1)), []string{`"charset":"8859/1"`, whole[1]}},
		{"HLLP", "\x0bD23\r" + pump + "00123456\x1c\r", whole},
		{"a refusal of HLLP", block(msh) + "\x0bN23\rC00005123\x1c\r" + block(msh), []string{"oru_r01", "oru_r01"}},
		{"blanks in the block", "\x0b\r\n " + pump + "\x1c\r", whole},
		{"odd delimiters", block(strings.NewReplacer("|", "\x01", "^", "\xa7", "~", "\x02", `\`, "\x03", "&", "\x04").Replace(pump)), whole},
		{"one encoding character", block("MSH|^|LAB^X|F|||20260101||ORU^R01|1|P|2.1\r"), short},
		{"five", block(`MSH|^~\&#|LAB|F|||20260101||ORU^R01|1|P|2.7` + "\r"), short},
		{"no escape character", block(`MSH|^~&|LAB|F|||20260101||ORU^R01|1|P|2.3` + "\r"), short},
		{"text in lines", block(bareMSH + "NTE|1||one\rMSH-3 is wrong\rMSHospital\rBHS, says\r"), []string{`"segments":"MSH:1,NTE:1"`}},
		{"without framing", bareMSH + "PID|1||X\r" + bareMSH + "OBX|1|ST|A||b\r", []string{`"segments":"MSH:1,PID:1"`, `"segments":"MSH:1,OBX:1"`}},
		{"without framing, blanks before, line feeds", "\r\n" + strings.ReplaceAll(bareMSH+"PID|1||X\r", "\r", "\n"), []string{`"segments":"MSH:1,PID:1"`}},
		{"without framing, cut off", bareMSH + "PID|1||X", []string{`"incomplete":"true"`}},
		{"without framing, then with it", bareMSH + block(pump), append([]string{`"segments":"MSH:1"`}, whole...)},
		{"XML", block(`<?xml version="1.0"?><!-- x --><ORU_R01 xmlns="urn:hl7-org:v2xml"><PID>x</PID></ORU_R01>`), []string{`hl7 xml side=0 mac= ip=invalid IP equipment="" gateway=0 {"message_type":"ORU_R01"}`}},
		{"XML with a prefix", block(`<n:PRPA_IN201301UV02 xmlns:n="urn:hl7-org:v3"/>`), []string{`"message_type":"PRPA_IN201301UV02"`}},
		{"XML of any name", block(`<CanaryAlfa xmlns="urn:hl7-org:v3"/>`), []string{`hl7 xml side=0 mac= ip=invalid IP equipment="" gateway=0 {}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			for i := range 40 {
				c := say(tc.text)
				switch i {
				case 0:
				case 1:
					var all []int
					for j := range len(tc.text) {
						all = append(all, j)
					}
					c = c.Cut(all...)
				default:
					c = c.Cut(rnd.IntN(len(tc.text)), rnd.IntN(len(tc.text)))
				}
				r := dissecttest.Play(dissect.Config{}, c.Segments(true))
				got := lines(r)
				if len(got) != len(tc.want) || r.Flows[0].Protocol != "hl7" || len(r.Panics) > 0 {
					t.Fatalf("%d facts, want %d:\n%s%v %+v", len(got), len(tc.want), r.Text(), r.Panics, r.Flows[0])
				}
				for i, w := range tc.want {
					if !strings.Contains(got[i], w) {
						t.Fatalf("fact %d: %s, want %s", i, got[i], w)
					}
				}
			}
		})
	}
}

// Both sides without framing: a message ends when its answer begins.
func TestBareAnswered(t *testing.T) {
	c := dissecttest.Conversation{{Side: 0, Data: []byte(bareMSH + "PID|1||X\r")}, {Side: 1, Data: []byte(strings.Replace(bareMSH, "ORU^R01", "ACK^R01", 1) + "MSA|AA|7\r")}, {Side: 0, Data: []byte(bareMSH)}}
	r := dissecttest.Play(dissect.Config{}, c.Segments(true))
	var got []string
	for _, f := range r.Facts {
		got = append(got, fmt.Sprint(f.Kind, f.Subject.Side))
	}
	if want := []string{"oru_r010", "ack1", "oru_r010", "messages0", "messages1"}; !slices.Equal(got, want) {
		t.Errorf("%v\n%s", got, r.Text())
	}
}

func TestNotBare(t *testing.T) {
	for _, s := range []string{
		"MSH|^~\\&|\r", "MSH|^~\\&|A|B|C|D|20260101||ORU^R01|1|P|3\r", "MSH|^~\\&|A|B|C|D|20260101||oru|1|P|2.3\r", "MSH, said the fox\r\n",
		"<ORU_R01 xmlns=\"urn:hl7-org:v2xml\">", "\x0b<html><body>" + strings.Repeat("x", 2000), "\x0bM\x00S\x00H\x04|\x00^\x00|\x00", "\x0b\x06", "\x0b\x06\r",
		"MSH|^~\\&|" + strings.Repeat("x", 2000) + "\r",
	} {
		r := dissecttest.Play(dissect.Config{}, say(s).Segments(true))
		if strings.Contains(r.Text(), "hl7 ") || r.Flows[0].Protocol == "hl7" && r.Flows[0].By == proto.ByContent {
			t.Errorf("%q is taken for HL7", s)
		}
	}
}
