package astm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// frame puts text into a frame: STX number text ETX checksum CR LF.
func frame(number int, text string, end byte) string {
	s := fmt.Sprintf("%d%s%c", number%8, text, end)
	sum := byte(0)
	for i := range len(s) {
		sum += s[i]
	}
	return fmt.Sprintf("\x02%s%02X\r\n", s, sum)
}

const (
	etx = 3
	etb = 0x17
)

// send is a transmission: what one side says and the other acknowledges.
func send(side int, records ...string) dissecttest.Conversation {
	c := dissecttest.Conversation{{Side: side, Data: []byte{5}}, {Side: 1 - side, Data: []byte{6}}}
	for i, r := range records {
		c = append(c, dissecttest.Chunk{Side: side, Data: []byte(frame(i+1, r+"\r", etx))}, dissecttest.Chunk{Side: 1 - side, Data: []byte{6}})
	}
	return append(c, dissecttest.Chunk{Side: side, Data: []byte{4}})
}

func say(s string) dissecttest.Conversation {
	return dissecttest.Conversation{{Side: 0, Data: []byte(s)}}
}

var results = []string{
	`H|\^&|||cobas c311^Roche^c311^01-08^311-24071|||||LIS||P|1|20261117063000`,
	`P|1|MRN4711|||NOBODY^SOME||19310110|F`,
	`O|1|S41001||^^^GLU|R|20261117063000`,
	`R|1|^^^GLU|4.6|mmol/L||N||F||op1||20261117063000|c311-24071`,
	`R|2|^^^CREA|3.8|mmol/L||N||F||op1||20261117063000|c311-24071`,
	`L|1|N`,
}

func lines(r *dissecttest.Result) []string { return r.Lines(dissecttest.SideKind) }

func TestMessages(t *testing.T) {
	const sender = `"manufacturer":"Roche","model":"cobas c311","processing":"production","receiving_application":"LIS","records":["H:1","P:1","O:1","R:2","L:1"],"role":"instrument","sending_application":"cobas c311","serial":"311-24071","software_version":"01-08","termination":"normal","version":"1"}`
	bare := strings.Join(results, "\r") + "\r"
	for _, tc := range []struct {
		name  string
		c     dissecttest.Conversation
		want  []string
		count string
	}{
		{"results", send(0, results...), []string{`0 results {"instrument_ids":["c311-24071"],` + sender, `1 receiver {"role":"host"}`}, ""},
		{"host connects", send(1, results...), []string{"1 results", `0 receiver {"role":"host"}`}, ""},
		{"bare", say(bare), []string{`0 results {"instrument_ids":["c311-24071"],` + sender, "1 receiver"}, ""},
		{"bare with line feeds", say(strings.ReplaceAll(bare, "\r", "\r\n")), []string{`0 results {"instrument_ids":["c311-24071"],` + sender, "1 receiver"}, ""},
		{"in blocks", say("\x0b" + bare + "\x1c\r\x0b" + bare + "\x1c\r"), []string{"0 results", "1 receiver", "0 results", `0 session {"messages":"2","role":"instrument"}`}, ""},
		{"one frame", send(0, bare[:len(bare)-1]), []string{`0 results {"instrument_ids":["c311-24071"],` + sender, "1 receiver"}, ""},
		{"other delimiters", send(0, strings.NewReplacer("|", "!", `\`, "$", "^", "@", "&", "%").Replace(bare)), []string{`0 results {"instrument_ids":["c311-24071"],` + sender, "1 receiver"}, ""},
		{"record over two frames", slices.Concat(say("\x05"+frame(1, results[0][:30], etb)+frame(2, results[0][30:]+"\r"+results[1]+"\r", etx)+frame(3, results[3]+"\r"+results[5], etx)+"\x04"), dissecttest.Conversation{{Side: 1, Data: []byte("\x06")}}), []string{`0 results {"instrument_ids":["c311-24071"],"manufacturer":"Roche","model":"cobas c311"`, "1 receiver"}, ""},
		{"frame again", say("\x05" + frame(1, results[0]+"\r", etx) + frame(2, results[3]+"\r", etx) + frame(2, results[3]+"\r", etx) + frame(3, results[5]+"\r", etx) + "\x04"), []string{`0 results {"instrument_ids":["c311-24071"],"manufacturer":"Roche","model":"cobas c311","processing":"production","receiving_application":"LIS","records":["H:1","R:1","L:1"]`, "1 receiver", `0 session {"frames":"4","messages":"1","retries":"1","role":"instrument"}`}, ""},
		{"refused", slices.Concat(say("\x05"+frame(1, results[0]+"\r", etx)), dissecttest.Conversation{{Side: 1, Data: []byte("\x15")}}, say(frame(1, results[0]+"\r", etx)+frame(2, results[3], etx)+frame(3, results[5], etx)+"\x04")), []string{"0 results", "1 receiver", `0 session {"frames":"4","messages":"1","naks":"1","retries":"1","role":"instrument"}`}, ""},
		{"question and orders", slices.Concat(send(0, `H|\^&|||ARCHITECT^8.10^F3453010030^H1P1O1R1C1Q1L1|||||||P|LIS2-A2|2026`, `Q|1|^MRN||ALL`, "L|1"), send(1, `H|\^&|||LIS`, "P|1", "O|1|S1", `O|2|S2`, "L|1|F")), []string{
			`0 query {"model":"ARCHITECT","processing":"production","records":["H:1","Q:1","L:1"],"role":"instrument","sending_application":"ARCHITECT","serial":"F3453010030","software_version":"8.10","version":"LIS2-A2"}`,
			`1 receiver {"role":"host"}`, `1 orders {"model":"LIS","records":["H:1","P:1","O:2","L:1"],"role":"host","sending_application":"LIS","termination":"query_done"}`, `0 session {"frames":"8","messages":"2","role":"instrument"}`,
		}, ""},
		{"keep-alive", send(0, results[0], results[5]), []string{`0 message {"manufacturer":"Roche","model":"cobas c311"`}, ""},
		{"password", send(0, `H|\^&||hunter2|XN-550^00-11^12345^^^^CU123456||||||||E1394-97`, "L|1|N"), []string{`0 message {"account":"other","cleartext_credential":"password","model":"XN-550","records":["H:1","L:1"],"sending_application":"XN-550","serial":"12345","software_version":"00-11","termination":"normal","version":"E1394-97"}`}, ""},
		{"no end", send(0, results[:5]...), []string{`0 results {"incomplete":"true","manufacturer":"Roche"`, "1 receiver"}, "astm_incomplete"},
		{"no end before the patient", send(0, results[0]), []string{`0 message {"incomplete":"true","processing":"production","records":["H:1"],"version":"1"}`}, "astm_identity_withheld"},
		{"next before the end", send(0, slices.Concat(results[:5], results)...), []string{`0 results {"incomplete":"true"`, "1 receiver", "0 results {\"ins", "0 session"}, "astm_incomplete"},
		{"wrong sum", say("\x05" + frame(1, results[0]+"\r", etx) + strings.Replace(frame(2, results[3]+"\r", etx), "4.6", "4.7", 1) + frame(3, results[5]+"\r", etx)), []string{`0 results {"processing":"production","records":["H:1","R:1","L:1"],"role":"instrument","termination":"normal","version":"1"}`, "1 receiver", `0 session {"checksum_errors":"1"`}, "astm_damaged"},
		{"never a right sum", say("\x05\x021" + results[0] + "\r\x0300\r\n\x022" + results[3] + "\r\x0300\r\n\x023" + results[5] + "\r\x0300\r\n"), []string{`0 results {"instrument_ids":["c311-24071"]`, "1 receiver", `0 session {"checksum_errors":"3","frames":"3","messages":"1","role":"instrument"}`}, ""},
		{"patient for a name", send(0, `H|\^&|||Nobody^MRN4711^Roche|||||NOBODY||P|1`, results[1], strings.Replace(results[3], "c311-24071", "MRN4711", 1), "L|1|N"), []string{`0 results {"manufacturer":"Roche","processing":"production","records":["H:1","P:1","R:1","L:1"],"role":"instrument","termination":"normal","version":"1"}`, "1 receiver"}, "astm_identity_withheld"},
		{"patient without end", send(0, results[0], "P|1|"+strings.Repeat("MRN4711 ", 100), results[3], "L|1|N"), []string{`0 results {"processing"`, "1 receiver"}, "astm_identity_withheld"},
		{"records run into each other", send(0, `H|\^&|||X-1`+`P|1|MRN4711|||NOBODY^SOME|P|A`, results[3], "L|1|N"), []string{`0 results {"instrument_ids":["c311-24071"],"model":"X-1P","records":["H:1","R:1","L:1"],"role":"instrument","sending_application":"X-1P","termination":"normal"}`, "1 receiver"}, ""},
		{"two instruments", send(0, results[0], results[3], strings.Replace(results[3], "c311-24071", "c311-2", 1), strings.Replace(results[3], "c311-24071", "Some One", 1), "L|1|N"), []string{`0 results {"instrument_ids":["c311-24071","c311-2"]`, "1 receiver"}, ""},
		{"frame cut", say("\x05" + frame(1, results[0]+"\r", etx) + "\x022R|1|^^^G\x05" + frame(1, results[0]+"\r", etx) + frame(2, results[3]+"\r", etx) + frame(3, "L|1", etx)), []string{"0 message", "0 results", "1 receiver", "0 session"}, "astm_frame_cut"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.HoldsCut(t, tc.c)
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
			if f := r.Flows[0]; f.Protocol != "astm" || f.By != proto.ByContent {
				t.Errorf("labelled %s by %s", f.Protocol, f.By)
			}
		})
	}
}

// What systems of several makers put into H-5, as their interface manuals show it.
func TestSender(t *testing.T) {
	for h5, want := range map[string]string{
		"cobas^Roche^cobas c311^1.4.2":      `"manufacturer":"Roche","model":"cobas c311","records":["H:1","L:1"],"sending_application":"cobas","software_version":"1.4.2"`,
		"H7600^1":                           `"model":"H7600","records":["H:1","L:1"],"sending_application":"H7600"`,
		"Mindray^BC-5380^V02.03.01":         `"manufacturer":"Mindray","model":"BC-5380","records":["H:1","L:1"],"sending_application":"Mindray","software_version":"V02.03.01"`,
		"    XN-10^00-19^11001^^^^AP795545": `"model":"XN-10","records":["H:1","L:1"],"sending_application":"XN-10","serial":"11001","software_version":"00-19"`,
		"99^2.00":                           `"records":["H:1","L:1"],"sending_application":"99","software_version":"2.00"`,
		"ABX":                               `"manufacturer":"ABX","records":["H:1","L:1"],"sending_application":"ABX"`,
		"":                                  `"records":["H:1","L:1"]`,
		"Bio-Rad^IH-1000^5.2^IH00123":       `"manufacturer":"Bio-Rad","model":"IH-1000","records":["H:1","L:1"],"sending_application":"Bio-Rad","serial":"IH00123","software_version":"5.2"`,
		"ACL TOP^Instrumentation Laboratory^500^12040033": `"manufacturer":"Instrumentation Laboratory","model":"ACL TOP","records":["H:1","L:1"],"sending_application":"ACL TOP","serial":"12040033"`,
	} {
		r := dissecttest.Play(dissect.Config{}, send(0, `H|\^&|||`+h5+"|", "L|1").Segments(true))
		if got := lines(r); len(got) != 1 || got[0] != "0 message {"+want+"}" {
			t.Errorf("%s:\n%v\nwant\n%s", h5, got, want)
		}
	}
}

func TestNotASTM(t *testing.T) {
	for _, s := range []string{
		"\x05\x01\x00", "\x04\x01\x00\x50\x0a\x00\x00\x01user\x00", "\x05\x02\x00\x02", "\x06\x00\x00\x00", "HTTP/1.1 200 OK\r\n\r\n", "HELO x\r\n", "HEAD / HTTP/1.1\r\n\r\n", `H|\^`, `H|||||`, `H\^&||x`,
		"\x021P|1\r\x0300\r\n", "\x02Hello", "\x028H|\\^&|", "\x021X|1|\r\x03A0\r\n", "\x021R|" + strings.Repeat("x", 500), strings.Repeat("\x06", 100), "FHS|^~\\&|F\r", "\x0bMSH|^~\\&|A|\r",
	} {
		r := dissecttest.Play(dissect.Config{}, say(s).Segments(true))
		if r.Flows[0].Protocol == "astm" {
			t.Errorf("%q is taken for ASTM", s)
		}
	}
}

// A connection is joined between the frames of a message.
func TestMidstream(t *testing.T) {
	c := slices.Concat(send(0, results...)[6:], send(0, results...))
	r := dissecttest.Play(dissect.Config{}, c.Segments(false))
	if k := r.Kinds(); k["astm results"] != 1 || r.Flows[0].Protocol != "astm" {
		t.Error(r.Text())
	}
}

// Lost bytes cost the message they belong to and no other.
func TestGap(t *testing.T) {
	c := slices.Concat(send(0, results...), send(0, results...), send(0, results...))
	list := c.Segments(true)
	list = append(list[:2+22:2+22], list[2+23:]...)
	r := dissecttest.Play(dissect.Config{}, list)
	if k := r.Kinds(); k["astm results"] < 2 || k["astm results"] > 3 || r.Counters["astm_gap"] != 1 {
		t.Errorf("%v\n%s", r.Counters, r.Text())
	}
}

func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/clinical/astm.pcap")))
	if got := lines(r); len(got) != 2 || got[0] != `0 results {"instrument_ids":["c311-0042"],"manufacturer":"Roche","model":"cobas c311","processing":"production","receiving_application":"LIS","records":["H:1","P:1","O:1","R:1","L:1"],"role":"instrument","sending_application":"cobas","software_version":"1.4.2","termination":"normal","version":"1"}` {
		t.Error(r.Text())
	}
	// The ward's truth sheet: 20 results of one analyser.
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/day.pcapng")))
	n := 0
	for _, f := range r.Of("astm", "results") {
		for _, s := range f.Attributes.List("records") {
			if c, ok := strings.CutPrefix(s, "R:"); ok {
				n += int(c[0] - '0')
			}
		}
		for name, want := range map[string]string{"manufacturer": "Roche", "model": "cobas c311", "software_version": "01-08", "serial": "311-24071"} {
			if got := f.Attributes.Get(name); got != want || f.Speaker().String() != "10.41.8.50" {
				t.Errorf("%s of %s: %q, want %q", name, f.Speaker(), got, want)
			}
		}
	}
	if n != 20 {
		t.Errorf("%d results, want 20", n)
	}
	for _, f := range r.Flows {
		if (f.DstPort == 15200) != (f.Protocol == "astm") {
			t.Errorf("%s:%d to port %d is %s", f.SrcIP, f.SrcPort, f.DstPort, f.Protocol)
		}
	}
}

var secrets = []string{"CANARY^ALFA^XAVER", "PHI-CANARY-0001", "SAMPLE-CANARY-2", "opcanary7", "note of canary", "K\u00c4NARI", "+49 170 5550199", "19310110"}

// canaries are records with a secret in every field that is not a device's.
func canaries() []string {
	n := 0
	record := func(kind string, to int, except ...int) string {
		s := kind + "|1"
		for f := 3; f <= to; f++ {
			s += "|"
			if !slices.Contains(except, f) {
				s += secrets[n%len(secrets)]
				n++
			}
		}
		return s
	}
	return []string{
		`H|\^&|CTRL-CANARY|` + secrets[1] + `|cobas c311^Roche^c311^01-08^311-24071|` + strings.Join(secrets[:4], "|") + "|LIS|" + secrets[5] + "|P|1|" + secrets[3],
		record("P", 35), record("C", 5), record("O", 31), record("C", 5), record("R", 14, 14) + "c311-24071", record("R", 14, 14) + "c311-24071", record("Q", 13), record("M", 8), record("S", 8), "L|1|" + secrets[5],
	}
}

func TestCanaries(t *testing.T) {
	framed := send(0, canaries()...)
	dissecttest.HoldsBack(t, secrets, framed, "\r\n\x02\x03\x17|\\^&A\x00\xffPR")
	dissecttest.HoldsBack(t, secrets, say(strings.Join(canaries(), "\r")+"\r"), "\r\n\x02\x03\x17\\^&A\x00\xff")
	misused := []string{`H|\^&|||PHI-CANARY-0001^Canary|||||opcanary7||P|1`, "P|1|PHI-CANARY-0001|||CANARY^ALFA^XAVER", "R|1|||||||||opcanary7|||PHI-CANARY-0001", "L|1"}
	dissecttest.HoldsBack(t, secrets, send(0, misused...), "")
	dissecttest.PlantedTalks(t, "astm", 9999, secrets[:7], framed, say(strings.Join(canaries(), "\r")+"\r")) // without the date, which others may have
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(strings.Join(results, "\r")+"\r"), 100)
	f.Add([]byte("\x05"+frame(1, results[0]+"\r", etb)+frame(2, results[3], etx)+"\x04"), 50)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		c := slices.Concat(send(0, results[0]), say(string(b)), send(1, results...))
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
