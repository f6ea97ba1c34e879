package fox_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/fox"
)

const (
	hello = "fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\nhostName=s:ws-7\napp.name=s:Workbench\napp.version=s:4.10\n};;\n"
	reply = "fox a 0 -1 fox hello\n{\nfox.version=s:1.0.1\nid=i:24\nhostName=s:10.1.2.4\nhostAddress=s:10.1.2.4\napp.name=s:Station\napp.version=s:3.8.38\nvm.name=s:Java HotSpot(TM) Client VM\nos.name=s:QNX\nos.version=s:6.4.1\nstation.name=s:AHU_WEST\nlang=s:en\ntimeZone=s:Europe/Berlin;3600000\nhostId=s:Qnx-NPM6E-0000-1111\nbrandId=s:vykon\nsysInfo=o:bog 61[<bog version=\"1.0\">\nPHI-CANARY</bog>\n]\n};;\n"
	login = "fox a 2 -1 fox challenge\n{\nuserName=s:PHI-CANARY\n};;\n"
)

func TestEverything(t *testing.T) {
	c := dissecttest.Talk([2][]byte{[]byte(hello), []byte(reply)}, [2][]byte{[]byte(login), []byte(login)})
	dissecttest.SaysWhateverTheCut(t, c, "fox", `hello 0 {"application":"Workbench","fox_version":"1.0","hostname":"ws-7","role":"client","software_version":"4.10"}
hello 1 {"application":"Station","brand":"vykon","fox_version":"1.0.1","host_address":"10.1.2.4","host_id":"Qnx-NPM6E-0000-1111","hostname":"10.1.2.4","os":"QNX","os_version":"6.4.1","role":"server","software_version":"3.8.38","station_name":"AHU_WEST","time_zone":"Europe/Berlin","vm":"Java HotSpot(TM) Client VM"}`)
	dissecttest.KeepsToItself(t, []string{"PHI-CANARY"}, c)
	dissecttest.PlantedTalks(t, "fox", 9999, []string{"PHI-CANARY"}, c)
}

func TestLong(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, dissecttest.Talk([2][]byte{[]byte(hello[:23] + "hostName=s:x\n" + strings.Repeat("a", 9000)), []byte(reply)}).Segments(true))
	if r.Counters["fox_message_long"] != 1 || len(r.Of("fox", "hello")) != 2 {
		t.Error(r.Counters, dissecttest.Said(r))
	}
}

func TestRefused(t *testing.T) {
	for _, s := range []string{"fox a\n{", "fox a 1 -1 fox hello\nx", "foxy", "fox " + strings.Repeat("a", 90)} {
		if v := fox.Protocol.Recognise([]byte(s), false); v != dissector.No {
			t.Errorf("%q: %d", s, v)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(hello), []byte(reply), 9)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "fox", dissecttest.Talk([2][]byte{a, b}, [2][]byte{a, b}), cut, cut/2)
	})
}
