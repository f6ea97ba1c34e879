package wsdiscovery_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

const (
	now   = "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01"
	draft = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
	uid   = "6f1c2f0a-41a8-4b0e-9d07-0030e64a0701"
)

var (
	multicast = [2]uint16{50000, 3702}
	elsewhere = [2]uint16{50001, 50000}
)

// message is a SOAP message of WS-Discovery.
func message(space, action, body string) string {
	return `<?xml version="1.0" encoding="utf-8"?>` + "\n" + `<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://www.w3.org/2005/08/addressing" xmlns:wsd="` + space +
		`" xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof" xmlns:pub="http://schemas.microsoft.com/windows/pub/2005/07" xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:md="http://standards.ieee.org/downloads/11073/11073-20702-2016">` +
		`<soap:Header><wsa:To>urn:x</wsa:To><wsa:Action>` + space + `/` + action + `</wsa:Action><wsa:MessageID>urn:uuid:1</wsa:MessageID><wsd:AppSequence InstanceId="17" MessageNumber="7"/></soap:Header><soap:Body>` + body + `</soap:Body></soap:Envelope>`
}

// device is the description of one.
func device(element, id, types, scopes, xaddrs string) string {
	return `<wsd:` + element + `><wsa:EndpointReference><wsa:Address>` + id + `</wsa:Address></wsa:EndpointReference><wsd:Types>` + types + `</wsd:Types><wsd:Scopes>` + scopes + `</wsd:Scopes><wsd:XAddrs>` + xaddrs + `</wsd:XAddrs><wsd:MetadataVersion>3</wsd:MetadataVersion></wsd:` + element + `>`
}

func play(ports [2]uint16, messages ...string) *dissecttest.Result {
	var list []packet.Headers
	for i, m := range messages {
		h := dissecttest.Datagram(0, ports, []byte(m))
		h.Time = proto.Time(i)
		list = append(list, h)
	}
	return dissecttest.Play(dissect.Config{}, list)
}

func lines(r *dissecttest.Result) []string {
	return r.Lines(func(f *dissecttest.Fact) string { return f.Protocol + " " + f.Kind + " " + f.JSON() })
}

func TestMessages(t *testing.T) {
	for _, tc := range []struct {
		name  string
		ports [2]uint16
		b     string
		want  []string
		count string
	}{
		{
			"medical device", multicast,
			message(now, "Hello", device("Hello", "urn:uuid:"+uid, "wsdp:Device md:MedicalDevice", "sdc.ctxt.loc:/sdc.ctxt.loc.detail/X?fac=STALBAN&amp;poc=W3&amp;bed=B07\n sdc.cdc.type:///69965 sdc.ctxt.pat:/1.2/Nobody", "https://10.1.2.3:59501/6f1c?who=nobody http://[fe80::1%25eth0]/x")),
			[]string{
				`ws_discovery hello {"device_uid":"` + uid + `","instance_id":"17","metadata_version":"3","role":"server","types":["dpws:Device","mdpws:MedicalDevice"],"xaddrs":["https://10.1.2.3:59501","http://[fe80::1]:80"]}`,
				`sdc announcement {"equipment_type":"MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS","institution":"STALBAN","location":"W3^B07","patient_context":"associated","role":"provider"}`,
			},
			"",
		},
		{"medical device without scopes", multicast, message(now, "Hello", device("Hello", "urn:uuid:"+uid, "md:MedicalDevice", "", "")), []string{`ws_discovery hello {"device_uid":"` + uid + `","instance_id":"17","metadata_version":"3","role":"server","types":["mdpws:MedicalDevice"]}`, `sdc announcement {"role":"provider"}`}, ""},
		{"Windows", multicast, message(draft, "Hello", device("Hello", "urn:uuid:a53efa68-1d42-4990-8ae3-69cca9ed94ee", "wsdp:Device pub:Computer", "", "")), []string{`ws_discovery hello {"device_uid":"a53efa68-1d42-4990-8ae3-69cca9ed94ee","instance_id":"17","metadata_version":"3","role":"server","types":["dpws:Device","pub:Computer"]}`}, ""},
		{
			"camera", elsewhere,
			message(draft, "ProbeMatches", `<wsd:ProbeMatches>`+device("ProbeMatch", "urn:uuid:11223344-5566-1788-99aa-0cefaf010203", "dn:NetworkVideoTransmitter", "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/type/Nobody onvif://www.onvif.org/Profile/Streaming onvif://www.onvif.org/hardware/DS-2CD2042WD-I onvif://www.onvif.org/name/HIKVISION%20Nobody%27s onvif://www.onvif.org/location/city/Nobody onvif://www.onvif.org/location/Ward%203", "http://10.1.2.3/onvif/device_service")+`</wsd:ProbeMatches>`),
			[]string{`ws_discovery probe_matches {"device_uid":"11223344-5566-1788-99aa-0cefaf010203","instance_id":"17","location":"Ward 3","mac":"0c:ef:af:01:02:03","manufacturer":"HIKVISION","metadata_version":"3","model":"DS-2CD2042WD-I","onvif_profiles":["streaming"],"onvif_types":["video_encoder"],"role":"server","types":["dn:NetworkVideoTransmitter"],"xaddrs":["http://10.1.2.3:80"]}`},
			"",
		},
		{"name of a camera's owner", multicast, message(draft, "Hello", device("Hello", "x", "dn:NetworkVideoTransmitter other:T undeclared", "onvif://www.onvif.org/name/Nobody onvif://www.onvif.org/hardware/Some%20Body onvif://www.onvif.org/MAC/0c:ef:af:01:02:03 onvif://www.onvif.org/name/%zz", "ftp://10.1.2.3/ http://u:p@h/ http://h:0/ http://a")), []string{`ws_discovery hello {"instance_id":"17","mac":"0c:ef:af:01:02:03","metadata_version":"3","role":"server","types":["dn:NetworkVideoTransmitter","other"]}`}, "ws_discovery_address_malformed"},
		{"bye", multicast, message(now, "Bye", `<wsd:Bye><wsa:EndpointReference><wsa:Address>urn:uuid:`+uid+`</wsa:Address></wsa:EndpointReference></wsd:Bye>`), []string{`ws_discovery bye {"device_uid":"` + uid + `","instance_id":"17","role":"server"}`}, ""},
		{"probe", multicast, message(now, "Probe", `<wsd:Probe><wsd:Types>wsdp:Device</wsd:Types></wsd:Probe>`), []string{`ws_discovery probe {"role":"client","types":["dpws:Device"]}`}, ""},
		{"resolve", multicast, "\xef\xbb\xbf" + message(draft, "Resolve", `<wsd:Resolve><wsa:EndpointReference><wsa:Address>urn:uuid:`+uid+`</wsa:Address></wsa:EndpointReference></wsd:Resolve>`), []string{`ws_discovery resolve {"role":"client"}`}, ""},
		{"no matches", elsewhere, message(now, "ProbeMatches", `<wsd:ProbeMatches/>`), []string{`ws_discovery probe_matches {"instance_id":"17","role":"server"}`}, ""},
		{"cut", multicast, message(now, "Hello", device("Hello", "urn:uuid:"+uid, "wsdp:Device", "", ""))[:940], []string{`ws_discovery hello {"device_uid":"` + uid + `","instance_id":"17","role":"server","types":["dpws:Device"]}`}, "ws_discovery_incomplete"},
		{
			"proxy", elsewhere,
			message(now, "ResolveMatches", `<wsd:ResolveMatches>`+device("ResolveMatch", "urn:uuid:"+uid, "wsdp:Device", "", "http://10.9.9.9:80/x")+device("ResolveMatch", "urn:uuid:"+uid, "wsdp:Device", "", "http://10.1.2.3/x")+device("ResolveMatch", "urn:uuid:"+uid, "wsdp:Device", "", "http://8.8.8.8/")+`</wsd:ResolveMatches>`),
			[]string{`ws_discovery resolve_matches {"device_uid":"` + uid + `","instance_id":"17","metadata_version":"3","role":"server","types":["dpws:Device"],"xaddrs":["http://10.9.9.9:80"]}`, `ws_discovery resolve_matches {"device_uid":"` + uid + `","instance_id":"17","metadata_version":"3","role":"server","types":["dpws:Device"],"xaddrs":["http://10.1.2.3:80"]}`},
			"ws_discovery_matches_skipped",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.ports, tc.b, tc.b) // every message comes twice
			got := lines(r)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if tc.count != "" && r.Counters[tc.count] == 0 {
				t.Errorf("%s is not counted: %v", tc.count, r.Counters)
			}
			if f := r.Flows[0]; f.Protocol != "ws_discovery" || f.By != proto.ByContent || slices.Contains(f.Inner, "sdc") != strings.Contains(tc.b, "md:MedicalDevice") {
				t.Errorf("labelled %s by %s, %v", f.Protocol, f.By, f.Inner)
			}
		})
	}
}

// Who answers for others is not taken for them.
func TestProxy(t *testing.T) {
	r := play(elsewhere, message(now, "ResolveMatches", `<wsd:ResolveMatches>`+device("ResolveMatch", "urn:uuid:"+uid, "", "", "http://10.9.9.9:80/x")+device("ResolveMatch", "urn:uuid:"+uid, "", "", "http://10.1.2.3/x")+`</wsd:ResolveMatches>`))
	if len(r.Facts) != 2 || r.Facts[0].Subject.IP.String() != "10.9.9.9" || r.Facts[0].Subject.Side != dissect.Other || r.Facts[1].Subject.Side != dissect.Src {
		t.Error(r.Text())
	}
}

func TestNotDiscovery(t *testing.T) {
	hello := message(now, "Hello", device("Hello", "x", "", "", ""))
	for _, s := range []string{
		"", "<", "<x/>", "<a>" + now + "</a>", strings.Replace(hello, "2003/05/soap", "2003/06/soap", 1), strings.NewReplacer("/Hello<", "/Other<", "wsd:Hello", "wsd:Other").Replace(hello), "M-SEARCH * HTTP/1.1\r\n\r\n", "?" + hello, hello[:300],
	} {
		if r := play(multicast, s); len(r.Flows) > 0 && r.Flows[0].Protocol == "ws_discovery" && r.Flows[0].By == proto.ByContent || len(lines(r)) > 0 && strings.Contains(r.Text(), "ws_discovery") {
			t.Errorf("%.60q is taken for WS-Discovery", s)
		}
	}
}

// The captures' README and truth sheet, and what Windows says in PcapPlusPlus' capture.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/clinical/sdc.pcap")))
	if k := r.Kinds(); k["ws_discovery hello"] != 1 || k["ws_discovery bye"] != 1 || k["ws_discovery probe"] != 1 || k["sdc announcement"] != 1 {
		t.Error(r.Text())
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/day.pcapng")))
	for _, f := range r.Of("ws_discovery", "hello") {
		if f.SrcIP.String() != "10.41.8.161" || f.Attributes.Get("device_uid") != uid || f.Attributes.Get("mac") != "00:30:e6:4a:07:01" {
			t.Errorf("hello of %s: %v", f.SrcIP, f.Attributes)
		}
	}
	for _, f := range r.Flows {
		if (f.DstPort == 3702 || f.SrcPort == 3702) && (f.Protocol != "ws_discovery" || f.By != proto.ByContent) {
			t.Errorf("%s:%d to %d is %s by %s", f.SrcIP, f.SrcPort, f.DstPort, f.Protocol, f.By)
		}
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/malcolm-artifacts/pcap/plugins/zeek-asyncrat-detector/9596cf60-0da6-47a7-a375-1f25ae32d843.pcap")))
	for _, f := range r.Of("ws_discovery", "hello") {
		if !slices.Equal(f.Attributes.List("types"), []string{"dpws:Device", "pub:Computer"}) || f.Attributes.Get("device_uid") != "eeeb5d54-7880-42a7-b542-739bbc26cf4b" {
			t.Errorf("%v", f.Attributes)
		}
	}
	if len(r.Of("ws_discovery", "hello")) == 0 {
		t.Error("the Windows host says no hello")
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"CANARYALFA", "PHI-CANARY-0001", "note of canary", "Nocanary"}
	const s = "PHI-CANARY-0001"
	var list [][]byte
	for _, kind := range []string{"Hello", "Bye", "Probe", "Resolve"} {
		list = append(list, []byte(message(now, kind, device(kind, "urn:uuid:"+s, "x:"+s+" "+s, "sdc.ctxt.pat:/1.2.3/"+s+"?name=CANARYALFA sdc.ctxt.opr:/CANARYALFA sdc.ctxt.loc:/"+s+"/CANARYALFA?poc=Nocanary&amp;note=CANARYALFA sdc.cdc.type:/"+s+"//"+s+" sdc.mds.pkp:"+s+
			" onvif://www.onvif.org/name/Nocanary onvif://www.onvif.org/location/CANARYALFA onvif://www.onvif.org/type/CANARYALFA onvif://www.onvif.org/Profile/CANARYALFA onvif://www.onvif.org/other/"+s+" ldap:///ou=CANARYALFA", "http://10.1.2.3/"+s+"?q=CANARYALFA#Nocanary http://CANARYALFA:CANARYALFA@10.1.2.3/")+
			"<x:Name>note of canary</x:Name>")))
	}
	dissecttest.HoldsBackDatagrams(t, secrets, multicast, list...)
	dissecttest.Planted(t, "ws_discovery", secrets, dissecttest.Datagrams(multicast, list...))
}

func FuzzDatagram(f *testing.F) {
	f.Add([]byte(message(now, "Hello", device("Hello", "urn:uuid:"+uid, "wsdp:Device md:MedicalDevice", "sdc.ctxt.loc:/x?poc=W3", "http://10.1.2.3/x"))))
	f.Add([]byte(message(draft, "ProbeMatches", `<wsd:ProbeMatches>`+device("ProbeMatch", "u", "dn:NetworkVideoTransmitter", "onvif://www.onvif.org/hardware/x", "http://h")+`</wsd:ProbeMatches>`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := play(multicast, string(b), string(b)); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
