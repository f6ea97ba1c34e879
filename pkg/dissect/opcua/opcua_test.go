package opcua_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/opcua"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func u32(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

func str(s string) []byte { return append(u32(len(s)), s...) }

var none = u32(-1)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func message(kind string, body ...[]byte) []byte {
	b := join(body...)
	return join([]byte(kind), u32(8+len(b)), b)
}

// service is a message of a service: its id, and what follows.
func service(request int, id int, body ...[]byte) []byte {
	return message("MSGF", u32(1), u32(1), u32(7), u32(request), []byte{1, 0, byte(id), byte(id >> 8)}, join(body...))
}

var (
	requestHeader  = join([]byte{0, 0}, make([]byte, 16), none, u32(0), []byte{0, 0, 0})
	responseHeader = join(make([]byte, 12), u32(0), []byte{0}, none, []byte{0, 0, 0})
)

func application(uri, name string, kind int) []byte {
	return join(str(uri), str("urn:product"), []byte{2}, str(name), u32(kind), none, none, none)
}

func endpoint(mode int, policy string, tokens ...int) []byte {
	b := join(str("opc.tcp://x:4840/PHI-CANARY"), application("urn:server", "Server", 0), none, u32(mode), str("http://opcfoundation.org/UA/SecurityPolicy#"+policy), u32(len(tokens)))
	for _, k := range tokens {
		b = join(b, str("id"), u32(k), none, none, none)
	}
	return join(b, none, []byte{0})
}

func extension(id int, body []byte) []byte {
	return join([]byte{1, 0, byte(id), byte(id >> 8), 1}, u32(len(body)), body)
}

var (
	hello = message("HELF", u32(0), u32(65536), u32(65536), u32(0), u32(0), str("opc.tcp://x:4840/PHI-CANARY"))
	ack   = message("ACKF", u32(0), u32(65536), u32(65536), u32(0), u32(0))
	open  = message("OPNF", u32(0), str("http://opcfoundation.org/UA/SecurityPolicy#None"), none, none, u32(1), u32(1))
)

func TestEverything(t *testing.T) {
	text := func(s string) []byte { return join([]byte{1, 12}, str(s)) }
	readID := func(id int) []byte {
		return join([]byte{1, 0, byte(id), byte(id >> 8)}, u32(13), none, []byte{0, 0}, none)
	}
	c := dissecttest.Talk(
		[2][]byte{hello, ack}, [2][]byte{open, open},
		[2][]byte{service(1, 428, requestHeader), service(1, 431, responseHeader, u32(2), endpoint(1, "None", 0, 1), endpoint(3, "Basic256Sha256", 1))},
		[2][]byte{service(2, 461, requestHeader, application("urn:client", "Client", 1), none), service(2, 464, responseHeader, []byte{0, 1, 0, 2}, make([]byte, 8), none, none, u32(1), endpoint(1, "None", 0))},
		[2][]byte{service(3, 467, requestHeader, none, none, none, none, extension(324, join(str("id"), str("PHI-CANARY"), str("PHI-CANARY"), none))), nil},
		[2][]byte{service(4, 631, requestHeader, make([]byte, 12), u32(3), readID(85), readID(2263), readID(2264)), service(4, 634, responseHeader, u32(3), text("PHI-CANARY"), text("Maker"), text("4.2"))},
		[2][]byte{service(5, 631, requestHeader, make([]byte, 12), u32(1), readID(2260)), service(5, 634, responseHeader, u32(1), []byte{1, 22}, extension(340, join(str("uri"), str("Maker"), str("Product"), str("4.2"), str("7"), make([]byte, 8))))},
		[2][]byte{service(6, 673, requestHeader, str("PHI-CANARY")), service(6, 397, responseHeader)},
		[2][]byte{service(7, 673, requestHeader, str("PHI-CANARY")), nil},
	)
	dissecttest.SaysWhateverTheCut(t, c, "opcua", `hello 0 {"role":"client"}
open_channel 0 {"role":"client","security_policy":"none"}
open_channel 1 {"role":"server","security_policy":"none"}
endpoints 1 {"application_name":"Server","application_type":"server","application_uri":"urn:server","product_uri":"urn:product","role":"server","security":["none none","sign_and_encrypt basic256sha256"],"user_tokens":["anonymous","user_name"]}
application 0 {"application_name":"Client","application_type":"client","application_uri":"urn:client","product_uri":"urn:product","role":"client"}
login 0 {"account":"other","cleartext_credential":"user_pass","identity_token":"user_name","role":"client"}
identity 1 {"manufacturer":"Maker","role":"server","software_version":"4.2"}
identity 1 {"build":"7","manufacturer":"Maker","product":"Product","product_uri":"uri","role":"server","software_version":"4.2"}
change 0 {"role":"client","service":"write"}
error 1 {"role":"server","status":"0x00000000"}
transactions 0 {"role":"client","services":["activate_session:1","create_session:1","get_endpoints:1","read:2","write:2"]}`)
	dissecttest.KeepsToItself(t, []string{"PHI-CANARY"}, c)
	dissecttest.PlantedTalks(t, "opcua", 9999, []string{"PHI-CANARY"}, c)
	if r := dissecttest.Play(dissect.Config{}, c[4:].Segments(false)); len(r.Of("opcua", "endpoints")) != 1 {
		t.Errorf("from the middle on:\n%s", dissecttest.Said(r))
	}
}

func TestRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"a small buffer": message("HELF", u32(0), u32(100), u32(65536), u32(0), u32(0), none),
		"another policy": message("OPNF", u32(0), str("urn:of something else altogether, of some length"), none, none),
		"text":           []byte("HELO example.org\r\n"),
		"another chunk":  []byte("MSGX\x00\x01\x00\x00"),
		"a small size":   []byte("MSGF\x07\x00\x00\x00"),
	} {
		if v := opcua.Protocol.Recognise(b, false); v != dissector.No {
			t.Errorf("%s: %d", name, v)
		}
	}
}

// TestPeer compares with the logs that ICSNPP's tests expect of a session: under
// which policy it was, who the client says it is, how it signs on.
func TestPeer(t *testing.T) {
	root := repotest.Shared(t, "captures/icsnpp/opcua-binary")
	captures, err := filepath.Glob(root + "/pcaps/*.pcap")
	if err != nil || len(captures) < 20 {
		t.Fatal(len(captures), err)
	}
	for _, path := range captures {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, path))
		known := 0
		for _, f := range r.Flows {
			if f.Protocol == "opcua" && f.By == "content" {
				known++
			}
		}
		if known == 0 || len(r.Panics) > 0 || r.Counters["opcua_malformed"] > 0 {
			t.Errorf("%s: %d flows, %v %v", filepath.Base(path), known, r.Panics, r.Counters)
		}
	}
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/pcaps/open62541_client-server_mainloop-not-localhost-non-standard-port.pcap"))
	said := dissecttest.Said(r)
	b, err := os.ReadFile(root + "/tests/baseline/analyzer.non-standard-port/opcua_binary_create_session.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Split(line, "\t"); len(f) > 11 && line[0] != '#' && f[11] != "-" && !strings.Contains(said, `"application_uri":"`+f[11]+`"`) {
			t.Errorf("no %s in\n%s", f[11], said)
		}
	}
	for _, want := range []string{`"security_policy":"none"`, `"cleartext_credential":"user_pass"`, `"identity_token":"user_name"`} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in\n%s", want, said)
		}
	}
}

// Certificates of applications: in clear in a channel's opening (what Arkime's test expects
// of its capture), in sessions and endpoints; damaged ones are counted.
func TestCertificates(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/arkime/pcap/opcua_synthetic.pcap")))
	said := dissecttest.Said(r)
	for _, name := range []string{"opcua-synthetic-A", "opcua-synthetic-client"} {
		if !strings.Contains(said, `"certificate_serial":"11223344","certificate_sha256"`) || strings.Count(said, `"certificate_subject":"`+name+`"`) != 1 {
			t.Errorf("%s in\n%s", name, said)
		}
	}
	of := func(policy string, der []byte) []byte {
		return message("OPNF", u32(0), str("http://opcfoundation.org/UA/SecurityPolicy#"+policy), u32(len(der)), der, none)
	}
	for _, tc := range []struct {
		der  []byte
		want uint64
	}{{nil, 0}, {[]byte("PHI-CANARY"), 1}, {[]byte{0x30, 0x82, 0xff, 0xff, 1}, 1}, {[]byte{0x30, 3, 2, 1, 0}, 1}} {
		c := dissecttest.Talk([2][]byte{hello, ack}, [2][]byte{of("Basic256Sha256", tc.der), nil})
		if r := dissecttest.EveryCut(t, c); r.Counters["opcua_certificate_malformed"] != tc.want || strings.Contains(string(r.Everything()), "PHI-CANARY") {
			t.Errorf("%x: %v\n%s", tc.der, r.Counters, r.Text())
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add(service(1, 428, requestHeader), service(1, 431, responseHeader, u32(1), endpoint(1, "None", 0, 1)), 40)
	f.Add(service(3, 467, requestHeader, none, none, none, none, extension(324, str("id"))), join(hello, open), 40)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.Fuzz(t, "opcua", dissecttest.Talk([2][]byte{a, b}, [2][]byte{service(9, 461, requestHeader, a), service(9, 634, responseHeader, b)}), cut, cut/2)
	})
}
