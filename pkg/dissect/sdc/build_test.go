package sdc_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

const (
	namespaces = `xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:m="http://standards.ieee.org/downloads/11073/11073-10207-2017/message" ` +
		`xmlns:p="http://standards.ieee.org/downloads/11073/11073-10207-2017/participant" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:d="http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01" ` +
		`xmlns:w="http://standards.ieee.org/downloads/11073/11073-20702-2016" xmlns:c="http://standards.ieee.org/downloads/11073/11073-20701-2018" xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/mex" ` +
		`xmlns:e="http://schemas.xmlsoap.org/ws/2004/08/eventing" xmlns:b="http://schemas.microsoft.com/windows/pub/2005/07"`

	// mdib is a description and states as an anaesthesia machine's; it is valid by the
	// schema of IEEE 11073-10207.
	mdib = `<m:GetMdibResponse SequenceId="urn:uuid:1" MdibVersion="7"><m:Mdib SequenceId="urn:uuid:1" MdibVersion="7">` +
		`<p:MdDescription><p:Mds Handle="mds0" SafetyClassification="MedB"><p:Type Code="69965"><p:ConceptDescription Lang="en">a monitor</p:ConceptDescription></p:Type>` +
		`<p:ProductionSpecification><p:SpecType Code="531975"/><p:ProductionSpec>VG6.1.2</p:ProductionSpec></p:ProductionSpecification>` +
		`<p:ProductionSpecification><p:SpecType Code="531974"/><p:ProductionSpec>HW 3</p:ProductionSpec></p:ProductionSpecification>` +
		`<p:ProductionSpecification><p:SpecType Code="999"/><p:ProductionSpec>of a patient</p:ProductionSpec></p:ProductionSpecification>` +
		`<p:MetaData><p:Udi><p:DeviceIdentifier>04049154000123</p:DeviceIdentifier><p:HumanReadableForm>(01)04049154000123(21)X</p:HumanReadableForm><p:Issuer Root="2.51.1.1"/></p:Udi>` +
		`<p:Manufacturer>Draeger &amp; Co</p:Manufacturer><p:Manufacturer Lang="de">Dräger</p:Manufacturer><p:ModelName>Infinity M540</p:ModelName><p:ModelNumber>MS20407</p:ModelNumber><p:SerialNumber>ASHK-0217</p:SerialNumber></p:MetaData>` +
		`<p:SystemContext Handle="sc0"><p:PatientContext Handle="pc0"/><p:LocationContext Handle="lc0"/></p:SystemContext><p:Battery Handle="bat0"/>` +
		`<p:Vmd Handle="vmd0"><p:Type Code="130000"/><p:ProductionSpecification><p:SpecType Code="531975"/><p:ProductionSpec>9.9</p:ProductionSpec></p:ProductionSpecification></p:Vmd>` +
		`</p:Mds></p:MdDescription>` +
		`<p:MdState StateVersion="1"><p:State xsi:type="p:MdsState" DescriptorHandle="mds0" ActivationState="On" OperatingMode="Nml"/>` +
		`<p:State xsi:type="p:BatteryState" DescriptorHandle="bat0" ActivationState="On" ChargeStatus="DisChB"/>` +
		`<p:State xsi:type="p:PatientContextState" DescriptorHandle="pc0" Handle="pcs0" ContextAssociation="Assoc"><p:Identification Root="1.2.3" Extension="MRN-4711"/><p:CoreData><p:Givenname>Some</p:Givenname><p:Familyname>Nobody</p:Familyname><p:DateOfBirth>1931-01-10</p:DateOfBirth></p:CoreData></p:State>` +
		`<p:State xsi:type="p:LocationContextState" DescriptorHandle="lc0" Handle="lcs1" ContextAssociation="Dis"><p:LocationDetail PoC="W9" Bed="B9"/></p:State>` +
		`<p:State xsi:type="p:LocationContextState" DescriptorHandle="lc0" Handle="lcs0" ContextAssociation="Assoc"><p:LocationDetail PoC="W3" Bed="B07" Facility="STALBAN" Floor="2"/></p:State></p:MdState>` +
		`</m:Mdib></m:GetMdibResponse>`

	metadata = `<x:Metadata><x:MetadataSection Dialect="http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01/ThisModel"><d:ThisModel><d:Manufacturer>Draeger</d:Manufacturer><d:Manufacturer>other</d:Manufacturer><d:ModelName>Infinity M540</d:ModelName><d:ModelNumber>MS20407</d:ModelNumber></d:ThisModel></x:MetadataSection>` +
		`<x:MetadataSection Dialect="d"><d:ThisDevice><d:FriendlyName>bed of Mr Nobody</d:FriendlyName><d:FirmwareVersion>VG6.1.2</d:FirmwareVersion><d:SerialNumber>ASHK-0217</d:SerialNumber></d:ThisDevice></x:MetadataSection>` +
		`<x:MetadataSection Dialect="r"><d:Relationship Type="host"><d:Host><a:EndpointReference><a:Address>urn:uuid:6f1c2f0a-41a8-4b0e-9d07-0030e64a0701</a:Address></a:EndpointReference><d:Types>d:Device w:MedicalDevice</d:Types></d:Host>` +
		`<d:Hosted><a:EndpointReference><a:Address>http://10.41.8.161:59501/x/Get</a:Address></a:EndpointReference><d:Types>c:GetService nobody:Service</d:Types><d:ServiceId>Get</d:ServiceId></d:Hosted></d:Relationship></x:MetadataSection></x:Metadata>`
)

// envelope is a SOAP message.
func envelope(body string) string {
	return `<?xml version='1.0' encoding='UTF-8'?>` + "\n<s:Envelope " + namespaces + `><s:Header><a:To>http://10.1.2.4:9999/secret</a:To><a:Action>http://x/y</a:Action></s:Header><s:Body>` + body + `</s:Body></s:Envelope>`
}

// post is a request with a SOAP message, answer a response with one.
func post(body string) dissecttest.Chunk {
	s := envelope(body)
	return dissecttest.Chunk{Side: 0, Data: fmt.Appendf(nil, "POST /6f1c2f0a/Get HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(s), s)}
}

func answer(body string) dissecttest.Chunk {
	s := envelope(body)
	return dissecttest.Chunk{Side: 1, Data: fmt.Appendf(nil, "HTTP/1.1 200 Ok\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(s), s)}
}

// zipped is an answer whose body is compressed.
func zipped(body string) dissecttest.Chunk {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(envelope(body))); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return dissecttest.Chunk{Side: 1, Data: fmt.Appendf(nil, "HTTP/1.1 200 Ok\r\nContent-Encoding: gzip\r\nContent-Type: application/soap+xml\r\nContent-Length: %d\r\n\r\n%s", b.Len(), b.String())}
}

func ok() dissecttest.Chunk {
	return dissecttest.Chunk{Side: 1, Data: []byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")}
}

// report is a notification of a device.
func report(name, states string) string {
	return `<m:` + name + ` SequenceId="urn:uuid:1" MdibVersion="8"><m:ReportPart>` + states + `</m:ReportPart></m:` + name + `>`
}

func metric(value string) string {
	if value != "" {
		value = ` Value="` + value + `"`
	}
	return `<m:MetricState xsi:type="p:NumericMetricState" DescriptorHandle="0x34F0"><p:MetricValue` + value + ` DeterminationTime="1"><p:MetricQuality Validity="Vld"/></p:MetricValue></m:MetricState>`
}

func lines(r *dissecttest.Result, protocols ...string) []string {
	var out []string
	for _, f := range r.Facts {
		for _, p := range protocols {
			if f.Protocol == p {
				s := dissecttest.Result{Facts: []dissecttest.Fact{f}}
				_, attributes, _ := strings.Cut(s.Text(), " gateway=0 ")
				out = append(out, fmt.Sprintf("%d %s %s", f.Subject.Side, f.Kind, strings.TrimSpace(attributes)))
			}
		}
	}
	return out
}
