package sdc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/sdc"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func TestMessages(t *testing.T) {
	const (
		wholeMdib = `1 mdib {"battery":"discharging","equipment_type":"MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS","floor":"2","hardware_version":"HW 3","institution":"STALBAN","location":"W3^B07","manufacturer":"Draeger \u0026 Co","mode":"normal","model":"Infinity M540","model_number":"MS20407","patient_context":"associated","role":"provider","serial":"ASHK-0217","software_version":"VG6.1.2","state":"on","udi":"04049154000123"}`
		request   = `0 request {"role":"consumer"}`
		allData   = `1 metadata {"device_uid":"6f1c2f0a-41a8-4b0e-9d07-0030e64a0701","firmware_version":"VG6.1.2","hosted_types":["sdc:GetService","other"],"manufacturer":"Draeger","model":"Infinity M540","model_number":"MS20407","role":"provider","serial":"ASHK-0217","types":["dpws:Device","mdpws:MedicalDevice"]}`
	)
	for _, tc := range []struct {
		name  string
		c     dissecttest.Conversation
		want  []string
		count string
	}{
		{"mdib", dissecttest.Conversation{post("<m:GetMdib/>"), answer(mdib)}, []string{request, wholeMdib}, ""},
		{"mdib, compressed", dissecttest.Conversation{post("<m:GetMdib/>"), zipped(mdib)}, []string{request, wholeMdib}, ""},
		{"metadata", dissecttest.Conversation{post(""), answer(metadata)}, []string{allData}, ""},
		{"operations", dissecttest.Conversation{
			post(`<m:SetString><m:OperationHandleRef>set Nobody</m:OperationHandleRef><m:RequestedStringValue>Nobody</m:RequestedStringValue></m:SetString>`),
			answer(`<m:SetStringResponse SequenceId="1"><m:InvocationInfo><m:TransactionId>1</m:TransactionId><m:InvocationState>Wait</m:InvocationState></m:InvocationInfo></m:SetStringResponse>`),
			post(`<m:Activate><m:OperationHandleRef>x</m:OperationHandleRef></m:Activate>`), answer(`<m:ActivateResponse SequenceId="1"><m:InvocationInfo><m:InvocationState>Fail</m:InvocationState></m:InvocationInfo></m:ActivateResponse>`),
		}, []string{`0 operation {"operation":"set_string","role":"consumer"}`, `1 operation_response {"operation":"set_string","outcome":"waiting","role":"provider"}`, `0 operation {"operation":"activate","role":"consumer"}`, `1 operation_response {"operation":"activate","outcome":"failed","role":"provider"}`}, ""},
		{"subscriptions", dissecttest.Conversation{
			post(`<e:Subscribe><e:Filter Dialect="d">http://x/StateEventService/EpisodicMetricReport http://x/ContextService/EpisodicContextReport http://x/Nobody</e:Filter></e:Subscribe>`), ok(),
			post(`<e:Subscribe><e:Filter Dialect="d">http://x/ContextService/EpisodicContextReport http://x/StateEventService/EpisodicMetricReport</e:Filter></e:Subscribe>`), ok(),
			answer(`<e:SubscriptionEnd/>`),
		}, []string{`0 subscribe {"reports":["EpisodicContextReport","EpisodicMetricReport"],"role":"consumer"}`, `1 subscription_end {"role":"provider"}`}, ""},
		{"reports", dissecttest.Conversation{
			post(report("EpisodicContextReport", `<m:ContextState xsi:type="p:PatientContextState" DescriptorHandle="pc" Handle="h" ContextAssociation="Assoc"><p:CoreData><p:Familyname>Nobody</p:Familyname></p:CoreData></m:ContextState>`)), ok(),
			post(report("EpisodicMetricReport", metric("35.5"))), ok(), post(report("EpisodicMetricReport", metric("35.6"))), ok(),
			post(report("EpisodicContextReport", `<m:ContextState xsi:type="p:PatientContextState" DescriptorHandle="pc" Handle="h" ContextAssociation="Dis"/>`)), ok(),
			post(report("PeriodicMetricReport", metric(""))), ok(), post(report("PeriodicMetricReport", metric(""))), ok(), post(report("PeriodicMetricReport", metric(""))), ok(),
			post(report("EpisodicComponentReport", `<m:ComponentState xsi:type="p:MdsState" DescriptorHandle="m" ActivationState="StndBy" OperatingMode="Zzz"/>`)), ok(),
		}, []string{
			`0 state {"patient_context":"associated","role":"provider"}`, `0 state {"measuring":"true","role":"provider"}`, `0 state {"measuring":"true","patient_context":"disassociated","role":"provider"}`,
			`0 state {"measuring":"false","role":"provider"}`, `0 state {"measuring":"false","mode":"other","role":"provider","state":"standby"}`,
			`0 session {"reports":["EpisodicComponentReport:1","EpisodicContextReport:2","EpisodicMetricReport:2","PeriodicMetricReport:3"],"role":"provider"}`,
		}, ""},
		{"values that are not valid", dissecttest.Conversation{post(report("EpisodicMetricReport", strings.Replace(metric("7"), "Vld", "Inv", 1))), ok()}, []string{`0 state {"measuring":"false","role":"provider"}`, "0 session"}, ""},
		{"another's location", dissecttest.Conversation{post(report("EpisodicContextReport", `<m:ContextState xsi:type="p:LocationContextState" DescriptorHandle="l" Handle="h" ContextAssociation="Assoc"><p:LocationDetail PoC="Walt" Room="Disney" Facility="Of the Nobodys"/></m:ContextState>`)), ok()}, []string{"0 session"}, ""},
		{"patient for a serial number", dissecttest.Conversation{answer(strings.Replace(mdib, "ASHK-0217", "mrn-4711", 1))}, []string{strings.Replace(wholeMdib, `"serial":"ASHK-0217",`, "", 1)}, "sdc_identity_withheld"},
		{"end is missing", dissecttest.Conversation{answer(strings.Replace(mdib, "</p:State>", "", 1))}, []string{`1 mdib {"battery":"discharging","equipment_type":"MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS","incomplete":"true","mode":"normal","patient_context":"associated","role":"provider","state":"on"}`}, "sdc_incomplete"},
		{"fault", dissecttest.Conversation{post("<m:GetMdState/>"), answer(`<s:Fault><s:Reason><s:Text>Nobody</s:Text></s:Reason></s:Fault>`)}, []string{request, `1 session {"faults":"1","role":"provider"}`}, ""},
		{"not SDC", dissecttest.Conversation{post(`<q:Print xmlns:q="http://schemas.microsoft.com/windows/2006/08/wdp/print"/>`), answer(`<s:Fault/>`), post(`<e:Renew/>`), answer(`<e:SubscriptionEnd/>`)}, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Play(dissect.Config{}, tc.c.Segments(true))
			if len(tc.c) <= 4 {
				r = dissecttest.HoldsCut(t, tc.c)
			}
			got := lines(r, "sdc", "ws_discovery")
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
			if f := r.Flows[0]; f.Protocol != "http" || slices.Contains(f.Inner, "sdc") != (len(tc.want) > 0) {
				t.Errorf("labelled %s, %v", f.Protocol, f.Inner)
			}
		})
	}
}

// A monitor's state is told again when it goes on for long.
func TestRepeated(t *testing.T) {
	list := dissecttest.Conversation{post(report("EpisodicMetricReport", metric("1"))), post(report("EpisodicMetricReport", metric("1"))), post(report("EpisodicMetricReport", metric("1"))), ok()}.Segments(true)
	for i := range list[4:] {
		list[4+i].Time += proto.Time(11 * 60 * 1e9)
	}
	if r := dissecttest.Play(dissect.Config{}, list); len(r.Of("sdc", "state")) != 2 {
		t.Error(r.Text())
	}
}

// Printers and Windows hosts have the same metadata.
func TestMetadataOfOthers(t *testing.T) {
	printer := strings.NewReplacer("w:MedicalDevice", "", "c:GetService nobody:Service", "d:X", "Draeger", "Brother", "Infinity M540", "HL-L2350DW").Replace(metadata)
	computer := strings.NewReplacer("w:MedicalDevice", "b:Computer", "c:GetService nobody:Service", "", "</d:Host>", "<b:Computer>PC-7/Workgroup:WARDS</b:Computer></d:Host>", "Draeger", "Microsoft Corporation").Replace(metadata)
	r := dissecttest.HoldsCut(t, dissecttest.Conversation{post(""), answer(printer), post(""), answer(computer)})
	want := []string{
		`1 metadata {"device_uid":"6f1c2f0a-41a8-4b0e-9d07-0030e64a0701","firmware_version":"VG6.1.2","hosted_types":["dpws:X"],"manufacturer":"Brother","model":"HL-L2350DW","model_number":"MS20407","role":"server","serial":"ASHK-0217","types":["dpws:Device"]}`,
		`1 metadata {"computer_name":"PC-7","device_uid":"6f1c2f0a-41a8-4b0e-9d07-0030e64a0701","netbios_domain":"WARDS","os":"Windows","role":"server","types":["dpws:Device","pub:Computer"]}`,
	}
	if got := lines(r, "ws_discovery"); !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	if len(r.Flows[0].Inner) > 0 {
		t.Error(r.Flows[0].Inner)
	}
}

func TestScopes(t *testing.T) {
	for scopes, want := range map[string]string{
		"sdc.ctxt.loc:/sdc.ctxt.loc.detail/HOSP%2F%2F%2FOR2%2F%2FB1?fac=HOSP&poc=OR2&bed=B1 sdc.cdc.type:/urn%3Aoid%3A1.2.840.10004.1.1.1.0.0.1//70041 sdc.mds.pkp:1.2.840.10004.20701.1.1": `{"equipment_type":"70041","institution":"HOSP","location":"OR2^B1","profile":"1.2.840.10004.20701.1.1","role":"provider"}`,
		"sdc.cdc.type:///69985": `{"equipment_type":"MDC_DEV_PUMP_INFUS_MDS","role":"provider"}`,
		"sdc.cdc.type:/urn%3Aoid%3A9//69985 sdc.ctxt.pat:/1.2.3/Nobo": `{"patient_context":"associated","role":"provider"}`,
		"sdc.ctxt.loc:/x/y?fac=A+B&bldng=North&flr=2&rm=12&poc=ICU":   `{"building":"North","floor":"2","location":"ICU^12","role":"provider"}`,
		"sdc.ctxt.loc:/x?poc=%zz":                                     `{"role":"provider"}`,
	} {
		s := sdc.ReadScopes([]byte(scopes))
		var a proto.Attributes
		s.Attributes(&a)
		if b, err := a.MarshalJSON(); err != nil || string(b) != want || !s.Known() {
			t.Errorf("%s: %s, want %s", scopes, b, want)
		}
	}
	if s := sdc.ReadScopes([]byte("onvif://www.onvif.org/type/ptz http://x")); s.Known() {
		t.Error("scopes of others are SDC's")
	}
}

// The captures' README and the ward's truth sheet.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/clinical/sdc.pcap")))
	if m := r.Of("sdc", "metadata"); len(m) == 0 || m[0].Attributes.Get("manufacturer") != "Draeger" || m[0].Attributes.Get("model") != "Atlan A350" || m[0].Attributes.Get("serial") != "ASLB-0042" || m[0].Attributes.Get("firmware_version") != "2.01" {
		t.Errorf("metadata:\n%s", r.Text())
	}
	if s := r.Of("sdc", "subscribe"); len(s) != 2 || len(s[0].Attributes.List("reports")) != 13 {
		t.Errorf("subscriptions:\n%s", r.Text())
	}
	if a := r.Of("sdc", "announcement"); len(a) != 1 || a[0].Attributes.Get("location") != "OR2^B1" {
		t.Errorf("announcement:\n%s", r.Text())
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/day.pcapng")))
	found := map[string]bool{}
	for _, f := range r.Facts {
		if f.Protocol != "sdc" || f.Attributes.Get("role") != "provider" {
			continue
		}
		if f.Speaker().String() != "10.41.8.161" {
			t.Errorf("%s speaks as a provider: %v", f.Speaker(), f.Attributes)
		}
		for _, a := range f.Attributes {
			found[a.Name+"="+a.Value] = true
		}
	}
	for _, w := range []string{"manufacturer=Draeger", "model=Infinity M540", "model_number=MS20407", "firmware_version=VG6.1.2", "serial=ASHK-0217", "location=W3^B07", "institution=STALBAN", "measuring=true", "patient_context=associated"} {
		if !found[w] {
			t.Errorf("%s is not told: %v", w, found)
		}
	}
}

var secrets = []string{"CANARYALFA", "PHI-CANARY-0001", "DELTACANARY", "note of canary", "K\u00c4NARI", "1931-01-10"}

// canaries are messages with a secret wherever no device is.
func canaries() dissecttest.Conversation {
	fill := strings.NewReplacer("MRN-4711", "PHI-CANARY-0001", "Nobody", "CANARYALFA", "Some<", "DELTACANARY<", "of a patient", "note of canary", "a monitor", "CANARYALFA", "(01)04049154000123(21)X", "PHI-CANARY-0001", "bed of Mr", "DELTACANARY", "0x34F0", "PHI-CANARY-0001")
	person := `<p:Identification Root="PHI-CANARY-0001" Extension="PHI-CANARY-0001"><p:IdentifierName>CANARYALFA</p:IdentifierName></p:Identification><p:Validator Extension="CANARYALFA"/><p:CoreData><p:Givenname>DELTACANARY</p:Givenname><p:Middlename>K` + "\u00c4" + `NARI</p:Middlename><p:Familyname>CANARYALFA</p:Familyname><p:DateOfBirth>1931-01-10</p:DateOfBirth></p:CoreData>`
	var c dissecttest.Conversation
	for _, kind := range []string{"Patient", "Operator", "Workflow", "Means", "Ensemble"} {
		c = append(c, post(report("EpisodicContextReport", `<m:ContextState xsi:type="p:`+kind+`ContextState" Handle="PHI-CANARY-0001" ContextAssociation="Assoc">`+person+`</m:ContextState>`)), ok())
	}
	return append(
		c, post(`<m:SetContextState><m:OperationHandleRef>CANARYALFA</m:OperationHandleRef><m:ProposedContextState xsi:type="p:PatientContextState" DescriptorHandle="CANARYALFA" ContextAssociation="Assoc">`+person+`</m:ProposedContextState></m:SetContextState>`),
		answer(fill.Replace(mdib)), post(`<m:SetString><m:RequestedStringValue>CANARYALFA</m:RequestedStringValue></m:SetString>`), answer(fill.Replace(metadata)),
		post(report("EpisodicAlertReport", `<m:AlertState xsi:type="p:AlertSignalState" Location="CANARYALFA">note of canary</m:AlertState>`)), answer(`<s:Fault><s:Text>CANARYALFA</s:Text></s:Fault>`),
		post(report("SystemErrorReport", `<m:ErrorInfo>CANARYALFA</m:ErrorInfo>`)), zipped(fill.Replace(mdib)),
	)
}

func TestCanaries(t *testing.T) {
	dissecttest.HoldsBack(t, secrets, canaries(), "<>\"'/&= \x00\xff.:")
	misused := strings.NewReplacer("MRN-4711", "PHI-CANARY-0001", "Nobody", "CANARYALFA", "ASHK-0217", "phi-canary-0001", "Infinity M540", "Canary's", "W3", "CANARYALFA", "04049154000123", "PHI CANARYALFA 0001").Replace(mdib)
	dissecttest.HoldsBack(t, secrets, dissecttest.Conversation{post("<m:GetMdib/>"), answer(misused)}, "")
	dissecttest.PlantedTalks(t, "sdc", 9999, secrets[:5], canaries(), dissecttest.Conversation{post("<m:GetMdib/>"), answer(misused)}) // without the date, which others may have
}

func FuzzBodies(f *testing.F) {
	f.Add([]byte(mdib), 900)
	f.Add([]byte(metadata), 100)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		c := dissecttest.Conversation{post("<m:GetMdib/>"), answer(string(b)), post(report("EpisodicMetricReport", metric("1")))}
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
