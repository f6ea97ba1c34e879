package printing_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/printing"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

const (
	uel    = "\x1b%-12345X"
	secret = "PHI-CANARY"
)

// to moves a conversation to a server's port.
func to(port uint16, list []packet.Headers) []packet.Headers {
	for i := range list {
		if list[i].SrcPort == 9999 {
			list[i].SrcPort = port
		} else {
			list[i].DstPort = port
		}
	}
	return list
}

func TestPJL(t *testing.T) {
	c := dissecttest.Talk(
		[2][]byte{[]byte(uel + "@PJL INFO ID\r\n@PJL INFO STATUS\r\n" + uel), []byte("@PJL INFO ID\r\n\"HP LaserJet M507\"\r\n\f@PJL INFO STATUS\r\nCODE=10001\r\nDISPLAY=\"" + secret + "\"\r\nONLINE=TRUE\r\n\f")},
		[2][]byte{[]byte(uel + "@PJL JOB NAME=\"" + secret + "\"\r\n@PJL SET USERNAME=\"" + secret + "\"\r\n@PJL FSDOWNLOAD NAME=\"0:\\" + secret + "\"\r\n@PJL RDYMSG DISPLAY=\"" + secret + "\"\r\n@PJL ENTER LANGUAGE = PCL\r\n" + secret + "\r\n@PJL FSDELETE NAME=\"x\"\r\n"), []byte("@PJL INFO VARIABLES\r\n" + secret + "\r\n\f")},
	)
	dissecttest.SaysWhateverTheCut(t, c, "jetdirect", `identity 1 {"manufacturer":"HP","model":"LaserJet M507","role":"server"}
status 1 {"code":"10001","role":"server"}
control 0 {"operation":"file_write","role":"client"}
control 0 {"operation":"display","role":"client"}
job 0 {"language":"pcl","role":"client"}`)
	dissecttest.KeepsToItself(t, []string{secret}, c)
	dissecttest.PlantedTalks(t, "jetdirect", 9100, []string{secret}, c)
	// What the printer says on its own, in the middle of answers, and answers without an end.
	ask := []byte(uel + "@PJL INFO ID\r\n@PJL INFO PAGECOUNT\r\n@PJL INFO PRODINFO\r\n@PJL USTATUS JOB=ON\r\n" + uel)
	own := dissecttest.Talk([2][]byte{ask, []byte("@PJL USTATUS JOB\r\nNAME=\"" + secret + "\"\r\n" + secret + "\r\n@PJL INFO PAGECOUNT\r\n4711\r\n" + secret + "\r\n@PJL USTATUS JOB\r\nPAGECOUNT=" + secret + "\r\n" + secret + "\r\n" +
		"@PJL INFO PRODINFO\r\nProductName = \"HP Color LaserJet 4550\"\r\nProductSerialNumber = \"JPAB123456\"\r\nOwner = " + secret + "\r\n@PJL INFO ID\r\nHP LaserJet 4000\r\n" + secret + "\r\n")})
	dissecttest.SaysWhateverTheCut(t, own, "jetdirect", `status 1 {"pages":"4711","role":"server"}
identity 1 {"manufacturer":"HP","model":"Color LaserJet 4550","role":"server"}
identity 1 {"role":"server","serial":"JPAB123456"}
identity 1 {"manufacturer":"HP","model":"LaserJet 4000","role":"server"}`)
	dissecttest.KeepsToItself(t, []string{secret}, own)
	long := dissecttest.Talk([2][]byte{[]byte(uel + "@PJL COMMENT " + strings.Repeat(secret, 100) + "\r\n@PJL ENTER LANGUAGE=POSTSCRIPT\r\n" + strings.Repeat(secret+"\n", 3000)), nil})
	r := dissecttest.Play(dissect.Config{}, long.Segments(true))
	if got := dissecttest.Said(r); got != `job 0 {"language":"postscript","role":"client"}` {
		t.Error(got)
	}
}

// A client that is taken for the printer, because its packets came in the printer's place,
// says nothing of a device.
func TestMistakenSides(t *testing.T) {
	for _, line := range []string{"@PJL JOB NAME=\"" + secret + "\"", uel + "@PJL SET USERNAME=\"" + secret + "\"", "@PJL COMMENT x\r\n" + secret} {
		c := dissecttest.Talk([2][]byte{[]byte(uel + "@PJL INFO ID\r\n"), []byte("@PJL INFO ID\r\n" + line + "\r\n" + secret + "\r\n")})
		if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); strings.Contains(string(r.Everything()), secret) {
			t.Errorf("%q: %s", line, r.Text())
		}
	}
}

func TestRaw(t *testing.T) {
	for s, want := range map[string]string{
		"%!PS-Adobe-3.0\n%%Title: " + secret:       "jetdirect content",
		"\x1bE\x1b&l0O" + secret:                   "jetdirect content",
		"^XA^FO50,50^FD" + secret + "^FS^XZ":       "jetdirect content",
		"Patient label\r\n" + secret + "\r\n":      "jetdirect content",
		"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n": "http content",
	} {
		c := dissecttest.Talk([2][]byte{[]byte(s), nil})
		r := dissecttest.Play(dissect.Config{}, to(9100, c.Segments(true)))
		if got := r.Flows[0].Protocol + " " + r.Flows[0].By; got != want || strings.Contains(string(r.Everything()), secret) {
			t.Errorf("%q: %s\n%s", s, got, r.Text())
		}
	}
}

func TestLPD(t *testing.T) {
	job := dissecttest.Talk([2][]byte{[]byte("\x02lp\n"), {0}}, [2][]byte{[]byte("\x0283 cfA123ws-7\n"), {0}}, [2][]byte{[]byte("Hws-7\nP" + secret + "\nJ" + secret + "\n\x00"), {0}})
	dissecttest.PlantedTalks(t, "lpd", 515, []string{secret}, job)
	sizes := job.Sizes()
	for cut := range sizes[0] + sizes[1] {
		r := dissecttest.Play(dissect.Config{}, to(515, job.Cut(cut).Segments(true)))
		if got := dissecttest.Said(r); got != "request 0 {\"command\":\"receive_job\",\"role\":\"client\"}\njob 0 {\"computer_name\":\"ws-7\",\"role\":\"client\"}" || strings.Contains(string(r.Everything()), secret) || r.Flows[0].Protocol != "lpd" {
			t.Fatalf("cut at %d: %s %s", cut, r.Flows[0].Protocol, got)
		}
	}
	for s, want := range map[string]string{
		"\x04lp " + secret + "\n": "request 0 {\"command\":\"queue_state_long\",\"role\":\"client\"}",
		"\x05lp root 1\n":         "request 0 {\"command\":\"remove_jobs\",\"role\":\"client\"}",
		"\x09lp\n":                "", "\x02\xfflp\n": "", "hello\n": "",
	} {
		r := dissecttest.Play(dissect.Config{}, to(515, dissecttest.Talk([2][]byte{[]byte(s), nil}).Segments(true)))
		if got := dissecttest.Said(r); got != want {
			t.Errorf("%q: %s", s, got)
		}
	}
	if v := printing.LPD.Recognise([]byte("\x02"+strings.Repeat("a", 200)), false); v != dissector.No {
		t.Error(v)
	}
}

// The ward's printer, as its truth sheet has it.
func TestWard(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/day.pcapng")))
	f := r.Of("jetdirect", "identity")
	if len(f) == 0 || f[0].Attributes.Get("model") != "LaserJet M507" {
		t.Errorf("%d facts", len(f))
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(uel+"@PJL INFO ID\r\n"), []byte("@PJL INFO ID\r\n\"HP\"\r\n\f"), 7)
	f.Add([]byte("\x02lp\n\x0283 cfA123ws\n"), []byte("\x00"), 7)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		c := dissecttest.Talk([2][]byte{a, b}, [2][]byte{a, b})
		dissecttest.Fuzz(t, "jetdirect", c, cut, cut/2)
		for _, port := range []uint16{515, 9100} {
			if r := dissecttest.Play(dissect.Config{}, to(port, c.Cut(cut).Segments(true))); len(r.Panics) > 0 {
				t.Fatal(r.Panics)
			}
		}
	})
}
