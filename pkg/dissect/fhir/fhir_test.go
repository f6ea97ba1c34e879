package fhir_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

const (
	jsonType = "application/fhir+json; charset=utf-8"
	ok       = "HTTP/1.1 200 OK"

	pump = `{"resourceType":"Device","id":"PHI-CANARY-0001","status":"active","manufacturer":"ACME","deviceName":[{"name":"Infusor","type":"user-friendly-name"}],"modelNumber":"LVP-1","serialNumber":"SN77",` +
		`"lotNumber":"L5","version":[{"type":{"text":"firmware"},"value":"4.2"}],"udiCarrier":[{"deviceIdentifier":"09504000059118","carrierHRF":"(01)09504000059118(21)SN77"}],` +
		`"type":{"coding":[{"system":"urn:iso:std:iso:11073:10101","code":"69986","display":"MDC_DEV_PUMP_INFUS_VMD"}]},"note":[{"text":"note of a canary"}],"manufactureDate":"2024-01-31"}`
	pumpFact = `device 2 gateway=1 {"device_type":"MDC_DEV_PUMP_INFUS_VMD","equipment_id":"ACME^LVP-1^SN77","lot":"L5","manufactured":"2024-01-31","manufacturer":"ACME","model":"LVP-1",` +
		`"product":"Infusor","serial":"SN77","software_version":"4.2","status":"active","type_code":"69986","udi":"09504000059118"}`
	patient = `{"resourceType":"Patient","id":"PHI-CANARY-0001","identifier":[{"system":"urn:x","value":"PHI-CANARY-0001"}],"name":[{"family":"CANARY","given":["ALFA","XAVER"],"text":"CANARY ALFA XAVER"}],"birthDate":"1931-01-10"}`
	bundle  = `{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"http://x/Device/PHI-CANARY-0001","resource":` + pump + `},{"resource":` + patient + `},` +
		`{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/PHI-CANARY-0001","display":"CANARY ALFA"},"device":{"reference":"Device/7"},"valueQuantity":{"value":17.25},"contained":[{"resourceType":"DeviceMetric","type":{"coding":[{"code":"149514"}]},"operationalStatus":"on","category":"measurement"}]}},` +
		`{"resource":{"resourceType":"Observation","note":[{"text":"note of a canary"}]}}]}`
	xmlPump = `<?xml version="1.0"?><Bundle xmlns="http://hl7.org/fhir"><entry><resource><Device><text><div xmlns="http://www.w3.org/1999/xhtml"><p>note of a canary</p></div></text><status value="active"/><manufacturer value="ACME"/>` +
		`<deviceName><name value="Infusor"/></deviceName><modelNumber value="LVP-1"/><serialNumber value="SN77"/><lotNumber value="L5"/><version><value value="4.2"/></version><udiCarrier><deviceIdentifier value="09504000059118"/></udiCarrier>` +
		`<type><coding><code value="69986"/><display value="MDC_DEV_PUMP_INFUS_VMD"/></coding></type><manufactureDate value="2024-01-31"/></Device></resource></entry>` +
		`<entry><resource><Patient><name><family value="CANARY"/><given value="ALFA"/></name></Patient></resource></entry></Bundle>`
)

func message(first, kind, body string) string {
	return fmt.Sprintf("%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", first, kind, len(body), body)
}

func ask(method, target string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: ehr\r\nAccept: application/fhir+json\r\n\r\n"
}

func plain(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: ehr\r\n\r\n" }

// say alternates between the sides, the client first.
func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, p := range parts {
		if p != "" {
			c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(p)})
		}
	}
	return c
}

// lines are the facts as "kind side [gateway] {attributes}".
func lines(r *dissecttest.Result) (list []string) {
	for _, f := range r.Facts {
		if f.Protocol != "fhir" {
			continue
		}
		_, s, _ := strings.Cut((&dissecttest.Result{Facts: []dissecttest.Fact{{Fact: dissect.Fact{Attributes: f.Attributes}}}}).Text(), "{")
		gateway := ""
		if f.Subject.Equipment != "" {
			gateway = fmt.Sprintf(" gateway=%d", f.Subject.Gateway)
		}
		list = append(list, fmt.Sprintf("%s %d%s {%s", f.Kind, f.Subject.Side, gateway, strings.TrimSpace(s)))
	}
	return list
}

func packed(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", jsonType, b.Len(), b.String())
}

func chunked(s string) string {
	out := "HTTP/1.1 200 OK\r\nContent-Type: " + jsonType + "\r\nTransfer-Encoding: chunked\r\n\r\n"
	for part := range slices.Chunk([]byte(s), 333) {
		out += fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
	}
	return out + "0\r\n\r\n"
}

func TestFHIR(t *testing.T) {
	metric := `device_metric 1 {"category":"measurement","status":"on","type_code":"149514"}`
	search := `request 0 {"interaction":"search","resource_type":"Device","role":"client"}`
	sum := func(operations, types, more string) string {
		return `transactions 0 {` + more + `"operations":["` + strings.ReplaceAll(operations, ",", `","`) + `"],"resource_types":["` + strings.ReplaceAll(types, ",", `","`) + `"],"role":"client"}`
	}
	all := []string{search, pumpFact, metric, sum("search Device:1", "Bundle:1,Device:1,DeviceMetric:1,Observation:2,Patient:1", `"device_observations":"1",`)}
	for _, tc := range []struct {
		name  string
		parts []string
		want  []string
	}{
		{"a bundle", []string{ask("GET", "/r4/Device?patient=PHI-CANARY-0001"), message(ok, jsonType, bundle)}, all},
		{"in chunks", []string{ask("GET", "/r4/Device?patient=PHI-CANARY-0001"), chunked(bundle)}, all},
		{"compressed", []string{ask("GET", "/r4/Device?patient=PHI-CANARY-0001"), packed(bundle)}, all},
		{"in XML", []string{ask("GET", "/r4/Device"), message(ok, "application/fhir+xml", xmlPump)}, []string{search, pumpFact, sum("search Device:1", "Bundle:1,Device:1,Patient:1", "")}},
		{"JSON of no name", []string{plain("/api/Device/7"), message(ok, "application/json", pump)}, []string{
			pumpFact, `request 0 {"interaction":"read","resource_type":"Device","role":"client"}`, sum("read Device:1", "Device:1", ""),
		}},
		{"JSON of others", []string{plain("/api/Account/7") + plain("/x"), message(ok, "application/json", `{"a":"`+strings.Repeat("x", 500)+`","resourceType":"Device"}`) + message(ok, "application/json", "[]")}, nil},
		{"JSON of others, with such a name", []string{plain("/x"), message(ok, "application/json", `{"resourceType":"Truck"}`)}, nil},
		{"lines", []string{plain("/x"), message(ok, "application/fhir+ndjson", pump+"\n"+pump+"\n"+patient+"\n")}, []string{
			pumpFact, `transactions 0 {"resource_types":["Device:2","Patient:1"],"role":"client"}`,
		}},
		{"capabilities", []string{ask("GET", "/fhir/metadata"), message(ok, jsonType, `{"resourceType":"CapabilityStatement","publisher":"CANARY","software":{"name":"HAPI FHIR Server","version":"5.6.0"},"fhirVersion":"4.0.1"}`)}, []string{
			`request 0 {"interaction":"capabilities","role":"client"}`, `capabilities 1 {"fhir_version":"4.0.1","product":"HAPI FHIR Server","role":"server","software_version":"5.6.0"}`,
			sum("capabilities:1", "CapabilityStatement:1", ""),
		}},
		{"a patient's own device", []string{ask("GET", "/Device/7"), message(ok, jsonType, strings.Replace(pump, `"status"`, `"patient":{"reference":"Patient/1"},"status"`, 1))}, []string{
			`request 0 {"interaction":"read","resource_type":"Device","role":"client"}`, sum("read Device:1", "Device:1", ""),
		}},
		{"a device that repeats a patient", []string{ask("GET", "/Device"), message(ok, jsonType, strings.ReplaceAll(bundle, "SN77", "phi-canary-0001"))}, []string{
			search, metric, sum("search Device:1", "Bundle:1,Device:1,DeviceMetric:1,Observation:2,Patient:1", `"device_observations":"1",`),
		}},
		{"cut", []string{ask("GET", "/Device"), "HTTP/1.1 200 OK\r\nContent-Type: " + jsonType + "\r\nContent-Length: 99999\r\n\r\n" + bundle[:850]}, []string{search, `transactions 0 {"operations":["search Device:1"],"resource_types":["Device:1"],"role":"client"}`}},
		{"all sorts", []string{
			ask("GET", "/Patient/PHI-CANARY-0001/_history/2") + ask("GET", "/Patient/1/_history") + ask("GET", "/Patient/1/Observation?x=y") + ask("POST", "/Patient/_search") + ask("PUT", "/Observation/1") +
				ask("PATCH", "/Observation/1") + ask("DELETE", "/Observation/1") + ask("GET", "/Patient/1/$everything") + ask("GET", "/$export") + message("POST / HTTP/1.1", jsonType, `{"resourceType":"Bundle"}`),
		}, []string{
			`request 0 {"interaction":"vread","resource_type":"Patient","role":"client"}`, `request 0 {"interaction":"history","resource_type":"Patient","role":"client"}`,
			`request 0 {"interaction":"search","resource_type":"Observation","role":"client"}`, `request 0 {"interaction":"search","resource_type":"Patient","role":"client"}`,
			`request 0 {"interaction":"update","resource_type":"Observation","role":"client"}`, `request 0 {"interaction":"patch","resource_type":"Observation","role":"client"}`,
			`request 0 {"interaction":"delete","resource_type":"Observation","role":"client"}`, `request 0 {"interaction":"operation","resource_type":"Patient","role":"client"}`,
			`request 0 {"interaction":"operation","role":"client"}`, `request 0 {"interaction":"batch","role":"client"}`,
			sum("batch:1,operation:1,search Observation:1,update Observation:1,patch Observation:1,delete Observation:1,vread Patient:1,history Patient:1,search Patient:1,operation Patient:1", "Bundle:1", ""),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := say(tc.parts...)
			n := c.Sizes()
			for i := 0; i < n[0]+n[1]; i += 1 + (n[0]+n[1])/200 {
				r := dissecttest.Play(dissect.Config{}, c.Cut(i, i+1, i+40).Segments(true))
				if got := lines(r); !slices.Equal(got, tc.want) || len(r.Panics) > 0 {
					t.Fatalf("cut at %d: got\n%s\nwant\n%s\n%v %v", i, strings.Join(got, "\n"), strings.Join(tc.want, "\n"), r.Counters, r.Panics)
				}
				if slices.Contains(r.Flows[0].Inner, "fhir") != (tc.want != nil) {
					t.Fatalf("rides %v", r.Flows[0].Inner)
				}
			}
		})
	}
}

// A bundle of thousands of devices is not held, and what repeats is told once.
func TestBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"resourceType":"Bundle","entry":[`)
	for i := range 500 {
		fmt.Fprintf(&b, `{"resource":{"resourceType":"Device","serialNumber":"SN%d","text":{"div":"%s"}}},`, i%20, strings.Repeat("x", 1000))
	}
	b.WriteString(`{"resource":{"resourceType":"Device"}}]}`)
	r := dissecttest.Play(dissect.Config{}, say(ask("GET", "/Device"), message(ok, jsonType, b.String())).Segments(true))
	if n := len(r.Of("fhir", "device")); n != 16 || r.Counters["fhir_devices_skipped"] != 1 {
		t.Errorf("%d devices, %v", n, r.Counters)
	}
	if got := fmt.Sprint(r.Of("fhir", "transactions")[0].Attributes.List("resource_types")); got != "[Bundle:1 Device:501]" {
		t.Error(got)
	}
	r = dissecttest.Play(dissect.Config{}, say(ask("GET", "/Device"), message(ok, jsonType, `{"resourceType":"Device",]`)+message(ok, "application/fhir+xml", `<Device xmlns="http://hl7.org/fhir"></x>`)).Segments(true))
	if r.Counters["fhir_malformed"] != 2 {
		t.Errorf("%v", r.Counters)
	}
}
