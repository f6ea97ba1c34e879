package modbus_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// zeekNames are ours for Zeek's functions, where they differ in more than case.
var zeekNames = map[string]string{
	"report_slave_id": "report_server_id", "encap_interface_transport": "encapsulated_interface_transport",
}

// TestZeek compares with the logs of Zeek's and ICSNPP's tests: how often each
// function was asked for on a connection, and which exceptions answered.
func TestZeek(t *testing.T) {
	root := repotest.Shared(t, "captures")
	total, equal := 0, 0
	for capture, log := range map[string]string{
		"icsnpp/modbus/testing/traces/modbus_example.pcap":            "icsnpp/modbus/testing/baseline/analyzer.basic/modbus.log",
		"zeek/Traces/modbus/modbus-and-non-modbus-p502.pcap":          "zeek/Baseline/scripts.base.protocols.modbus.modbus_and_non_modbus_on_port_502/modbus.log",
		"suricata-verify/modbus/modbus.pcap":                          "",
		"zeek/Traces/modbus/4SICS-GeekLounge-151022-min.pcap":         "",
		"malcolm-artifacts/pcap/other/Digital_Bond_S4/Advantech.pcap": "",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/"+capture))
		if len(r.Of("modbus", "transactions")) == 0 {
			t.Errorf("%s: nothing was told", capture)
		}
		if log == "" {
			continue
		}
		b, err := os.ReadFile(root + "/" + log)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{} // by port of the client, and function
		for _, line := range strings.Split(string(b), "\n") {
			f := strings.Split(line, "\t")
			if len(f) < 6 || line[0] == '#' {
				continue
			}
			function, said := f[6], f[7] // of old, requests and exceptions have a line
			answer := said != "-"
			if len(f) > 10 { // now every message has one
				function, said, answer = f[8], f[10], f[9] == "RESP"
			}
			function = strings.TrimSuffix(strings.ToLower(function), "_exception")
			if n := zeekNames[function]; n != "" {
				function = n
			}
			if said != "-" {
				want[f[3]+" exception "+function+" "+strings.ToLower(said)]++
			}
			if !answer || len(f) <= 10 {
				want[f[3]+" "+function]++
			}
		}
		got := map[string]int{}
		for _, f := range r.Of("modbus", "transactions") {
			for _, prefix := range []string{"functions", "exceptions"} {
				for _, s := range f.Attributes.List(prefix) {
					name, n, _ := strings.Cut(s, ":")
					if prefix == "exceptions" {
						name = "exception " + name
					}
					if got[strconv.Itoa(int(f.SrcPort))+" "+name], err = strconv.Atoi(n); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for k, n := range want {
			if total++; got[k] == n {
				equal++
			} else {
				t.Errorf("%s: %s: %d, Zeek has %d", capture, k, got[k], n)
			}
		}
	}
	t.Logf("%d of %d as Zeek has them", equal, total)
	if total < 15 {
		t.Errorf("only %d values: the logs are no longer read", total)
	}
}

// TestArkime compares which functions and exceptions a session had.
func TestArkime(t *testing.T) {
	root := repotest.Shared(t, "captures/arkime/pcap")
	b, err := os.ReadFile(root + "/modbus.test")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Sessions []struct {
			Body struct {
				Modbus *struct {
					Functions  []json.RawMessage `json:"funccode"`
					Exceptions []json.RawMessage `json:"exccode"`
				}
				Source struct{ Port uint16 }
			}
		} `json:"sessions3"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/modbus.pcap"))
	total := 0
	for _, s := range doc.Sessions {
		if s.Body.Modbus == nil {
			continue
		}
		functions, exceptions := map[string]bool{}, map[string]bool{}
		for _, f := range r.Of("modbus", "transactions") {
			if f.SrcPort != s.Body.Source.Port {
				continue
			}
			for _, x := range f.Attributes.List("functions") {
				name, _, _ := strings.Cut(x, ":")
				functions[name] = true
			}
			for _, x := range f.Attributes.List("exceptions") {
				exceptions[x] = true
			}
		}
		total++
		// Arkime lists codes of exceptions once, whatever the function, and functions
		// of requests alone.
		if len(functions) < len(s.Body.Modbus.Functions) || len(exceptions) < len(s.Body.Modbus.Exceptions) {
			t.Errorf("port %d: %v %v, Arkime has %s %s", s.Body.Source.Port, functions, exceptions, s.Body.Modbus.Functions, s.Body.Modbus.Exceptions)
		}
	}
	if t.Logf("%d sessions", total); total < 3 {
		t.Errorf("only %d sessions", total)
	}
}
