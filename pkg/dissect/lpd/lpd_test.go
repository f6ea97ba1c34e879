package lpd_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/lpd"
	"github.com/wardflow/wardflow/proto"
)

func say(list ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, s := range list {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(s)})
	}
	return c
}

var job = say("\x02CANARYQUEUE\n", "\x00", "\x0247 cfA123ws7.ward.example\n", "\x00", "HCANARYHOST\nPjcanaryuser\nJCANARY-ALFA\nldfA123ws7\n\x00", "\x00", "\x0399 dfA123ws7.ward.example\n", "\x00", "PHI-0001-CANARY")

func TestJob(t *testing.T) {
	r := dissecttest.EveryCut(t, job)
	if r.Brief() != "lpd job > hostname=ws7.ward.example\n" || r.Flows[0].Protocol != "lpd" || r.Flows[0].By != proto.ByContent {
		t.Errorf("%+v %s", r.Flows[0], r.Brief())
	}
	dissecttest.NoLeak(t, []string{"CANARYQUEUE", "CANARYHOST", "jcanaryuser", "CANARY-ALFA", "PHI-0001-CANARY"}, job)
	if r := dissecttest.EveryCut(t, say("\x02lp\n", "\x00", "\x0399 dfA123bad name\n")); r.Brief() != "lpd job >\n" {
		t.Error(r.Brief())
	}
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{
		"\x02lp\n\x0212 cfA001x\n": dissector.Yes, "\x02lp\n\x0312 dfA001x\n": dissector.Yes, "\x02lp\n": dissector.More, "\x02": dissector.More, "\x02lp\n\x0212": dissector.More,
		"\x02\n\x0212 cfA001x\n": dissector.No, "\x02l p\n": dissector.No, "\x02lp\n\x0212 dfA001x\n": dissector.No, "\x02lp\n\x02x": dissector.No, "\x01lp\n": dissector.No, "\x02lp\n\x0212 cfAxxxx\n": dissector.No,
	} {
		if got := lpd.Protocol.Recognise([]byte(in), false); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("\x02lp\n\x0212 cfA001x\n"), []byte("\x00\x00"), 5)
	f.Fuzz(dissecttest.FuzzCut)
}
