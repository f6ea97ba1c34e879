package jetdirect_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/jetdirect"
	"github.com/wardflow/wardflow/proto"
)

const uel = "\x1b%-12345X"

func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for _, p := range parts {
		side := 0
		if p[0] == '<' {
			side = 1
		}
		c = append(c, dissecttest.Chunk{Side: side, Data: []byte(p[1:])})
	}
	return c
}

var job = say(">"+uel+"@PJL\r\n@PJL INFO ID\r\n", "<@PJL INFO ID\r\n\"HP LaserJet 4000\"\r\n\f\r\n", ">@PJL INFO STATUS\r\n", "<@PJL INFO STATUS\r\nCODE=10001\r\nDISPLAY=\"CANARY-ALFA\"\r\nONLINE=TRUE\r\n\f",
	">@PJL INFO PAGECOUNT\r\n", "<@PJL INFO PAGECOUNT\r\nPAGECOUNT=53\r\n\f", ">@PJL SET JOBNAME=\"CANARY-ALFA\"\r\n@PJL SET USERNAME=\"jcanaryuser\"\r\n@PJL JOB NAME=\"PHI-0001-CANARY\"\r\n@PJL ENTER LANGUAGE = PCL\r\n\x1bEPHI-0001-CANARY\r\n@PJL ENTER LANGUAGE=PDF\r\n")

func TestJob(t *testing.T) {
	r := dissecttest.EveryCut(t, job)
	want := `jetdirect printer < manufacturer=HP model=HP LaserJet 4000
jetdirect printer < online=true status=10001
jetdirect job > language=pcl
jetdirect printer < pages=53
`
	if r.Brief() != want || r.Flows[0].Protocol != "jetdirect" || r.Flows[0].By != proto.ByContent {
		t.Errorf("got\n%swant\n%s", r.Brief(), want)
	}
	dissecttest.NoLeak(t, []string{"CANARY-ALFA", "jcanaryuser", "PHI-0001-CANARY"}, job)
}

func TestLanguages(t *testing.T) {
	for in, want := range map[string]string{
		"%!PS-Adobe-3.0\n%%Title: CANARY\n": "postscript", "\x1bE\x1b&l1OCANARY": "pcl", ") HP-PCL XL;2;0;CANARY\n": "pclxl", "^XA^FO50,50^FDCANARY^FS^XZ": "zpl", uel + "@PJL ENTER LANGUAGE=CANARY\r\n": "other", uel + "%!PS\n": "other",
	} {
		c := say(">" + in)
		if r := dissecttest.EveryCut(t, c); r.Brief() != "jetdirect job > language="+want+"\n" {
			t.Errorf("%q: %s", in, r.Brief())
		}
	}
	for in, want := range map[string]dissector.Verdict{"\x1b": dissector.More, "%!PS": dissector.More, "\x1b[2J": dissector.No, "^XB": dissector.No, "GET ": dissector.No, "@PJL X": dissector.Yes} {
		if got := jetdirect.Protocol.Recognise([]byte(in), false); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
	if jetdirect.Protocol.Recognise([]byte("%!PS-Adobe-3.0\n"), true) == dissector.Yes {
		t.Error("in the middle of a connection that is anything")
	}
}

// A long document is not read.
func TestStops(t *testing.T) {
	c := job
	for range 1000 {
		c = append(c, say(">"+strings.Repeat("x", 1000)+"\n")...)
	}
	if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); r.Counters["tcp_segments"] > 100 {
		t.Errorf("%d segments were read", r.Counters["tcp_segments"])
	}
}

func FuzzStream(f *testing.F) {
	var parts [2][]byte
	for _, x := range job {
		parts[x.Side] = append(parts[x.Side], x.Data...)
	}
	f.Add(parts[0], parts[1], 40)
	f.Fuzz(dissecttest.FuzzCut)
}
