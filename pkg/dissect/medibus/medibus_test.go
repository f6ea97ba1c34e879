package medibus_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/proto"
)

// frame is a frame with its checksum; ">" before it: of the other side.
func frame(s string) string {
	side := ""
	if strings.HasPrefix(s, ">") {
		side, s = ">", s[1:]
	}
	sum := byte(0)
	for i := range len(s) {
		sum += s[i]
	}
	return fmt.Sprintf("%s%s%02X\r", side, s, sum)
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

func lines(r *dissecttest.Result) string { return strings.Join(r.Lines(dissecttest.SideKind), "\n") }

func TestMessages(t *testing.T) {
	const id = `1 device_id {"device_code":"8160","model":"Evita XL","protocol_version":"04.03","role":"device","software_version":"07.02"}`
	for _, tc := range []struct {
		name  string
		parts []string
		want  string
		count string
	}{
		{"identification", []string{frame("\x1bQ"), frame(">\x01Q"), frame("\x1bR"), frame(">\x01R8160'Evita XL'07.02:04.03"), frame(">\x01R8160'Evita XL'07.02:04.03")}, id + "\n" + `1 session {"answers":["device_id:2","initialise:1"],"role":"device"}`, ""},
		{"realtime between", []string{frame("\x1bR"), ">\x01R8160'Ev\xd0\xc1ita XL'07.02:04.03" + frame("\x01R8160'Evita XL'07.02:04.03")[27:]}, id + "\n" + `1 session {"answers":["device_id:1"],"realtime":"true","role":"device"}`, ""},
		{"data and texts", []string{frame("\x1b$"), frame(">\x01$0112345"), frame(">\x01*01Nobody"), frame(">\x01\x41x")}, `1 session {"answers":["measured_data:1","text_messages:1"],"role":"device"}`, ""},
		{"wrong sum", []string{frame("\x1bR"), ">\x01R8160'Evita'0.0:0.0ZZ\r"}, "", "medibus_checksum_wrong"},
		{"other form", []string{frame("\x1bR"), frame(">\x01RNobody")}, `1 session {"answers":["device_id:1"],"role":"device"}`, ""},
		{"long", []string{frame("\x1bR"), frame(">\x01*" + strings.Repeat("x", 600)), frame(">\x01R" + strings.Repeat("1", 200) + "'x'1")}, `1 session {"answers":["device_id:1"],"role":"device"}`, "medibus_frame_long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.HoldsCut(t, say(tc.parts...))
			if got := lines(r); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
			if tc.count != "" && r.Counters[tc.count] == 0 {
				t.Errorf("%s is not counted: %v", tc.count, r.Counters)
			}
			if f := r.Flows[0]; f.Protocol != "medibus" || f.By != proto.ByContent {
				t.Errorf("labelled %s by %s", f.Protocol, f.By)
			}
		})
	}
}

func TestNotMedibus(t *testing.T) {
	for _, s := range []string{"\x1b[0m\r", "\x1bR00\r", "\x01\x00\x00\x00", "\x1b", "\x1bR", "\x1bZ75\r", "\x01R" + strings.Repeat("x", 600), "R\x1bR6D\r", "\x1b%-12345X@PJL\r\n", "\x1bE\r"} {
		if r := dissecttest.Play(dissect.Config{}, say(s).Segments(true)); r.Flows[0].Protocol == "medibus" {
			t.Errorf("%q is taken for MEDIBUS", s)
		}
	}
}

func TestMidstream(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, say(frame(">\x01$0112345")[4:]+frame("\x01R8160'Evita XL'07.02:04.03")).Segments(false))
	if len(r.Of("medibus", "device_id")) != 1 {
		t.Error(r.Text())
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"CANARY ALFA", "PHI-CANARY-0001"}
	parts := []string{frame("\x1bQ")}
	for code := byte(0x20); code < 0x60; code++ {
		if code != 0x52 {
			parts = append(parts, frame(">\x01"+string(code)+secrets[code%2]), frame("\x1b"+string(code)+secrets[code%2]))
		}
	}
	parts = append(parts, frame(">\x01R8160'Evita XL'07.02:CANARY ALFA"), frame(">\x01RPHI-CANARY-0001'x'y"))
	dissecttest.HoldsBack(t, secrets, say(parts...), "\r\x1b\x01'\x00\xff:")
	dissecttest.PlantedTalks(t, "medibus", 9999, secrets, say(parts...))
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(frame("\x01R8160'Evita XL'07.02:04.03")), 10)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		c := say(frame("\x1bR"), ">"+string(b))
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
