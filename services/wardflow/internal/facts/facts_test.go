package facts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/proto"
)

func at(hour int) proto.Time { return proto.TimeOf(time.Date(2026, 11, 17, hour, 5, 0, 0, time.UTC)) }

func talk(client, server, ip, transport string, port uint16, protocol string, hour int) Talk {
	return Talk{Client: client, Server: server, ClientIP: "10.0.0.1", ServerIP: ip, Transport: transport, Port: port, Protocol: protocol, Flows: 1, Bytes: 10, First: at(hour), Last: at(hour)}
}

func TestSheet(t *testing.T) {
	kinds := map[string]string{"ct1": "ct", "ct2": "ct", "pacs": "pacs", "ws": "it"}
	s := Of("X", []string{"ct1", "ct2"}, kinds, []Talk{
		talk("ct1", "pacs", "", "tcp", 104, "dicom", 8), talk("ct2", "pacs", "", "tcp", 104, "dicom", 9), talk("ct1", "pacs", "", "tcp", 104, "dicom", 9),
		talk("ct1", "", "198.51.100.7", "tcp", 443, "tls", 12), talk("ct1", "", "239.255.255.250", "udp", 1900, "ssdp", 3),
		talk("ct1", "", "10.9.9.9", "udp", 50123, "unknown", 3), talk("ws", "ct1", "", "tcp", 80, "http", 3), talk("ws", "pacs", "", "tcp", 104, "dicom", 3),
		talk("ct1", "other", "", "icmp", 8, "icmp", 3),
	}, []Login{{"ct1", "smb", "ntlm", "client"}, {"ct2", "smb", "ntlm", "client"}, {"pacs", "ldap", "simple", ""}})
	var got []string
	for _, n := range s.Needs {
		got = append(got, fmt.Sprintf("%s %s %s/%d %s peers=%d devices=%d flows=%d hours=%s", n.Direction, n.Peer, n.Transport, n.Port, n.Protocol, n.Peers, n.Devices, n.Flows, Hours(n.Hours)))
	}
	want := []string{
		"asks pacs tcp/104 dicom peers=1 devices=2 flows=3 hours=8-9", "asks elsewhere udp/0 unknown peers=1 devices=1 flows=1 hours=3",
		"asks internet tcp/443 tls peers=1 devices=1 flows=1 hours=12", "asks multicast udp/1900 ssdp peers=1 devices=1 flows=1 hours=3",
		"asks unknown icmp/0 icmp peers=1 devices=1 flows=1 hours=3", "answers it tcp/80 http peers=1 devices=1 flows=1 hours=3",
	}
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
	if got := fmt.Sprint(s.Credentials); got != "[{smb ntlm client 2}]" {
		t.Errorf("credentials %s", got)
	}
	if got := Hours([]int{0, 1, 2, 7, 22, 23}); got != "0-2, 7, 22-23" {
		t.Errorf("hours %s", got)
	}
}

func TestPlaces(t *testing.T) {
	to := func(ip, country string, asn uint32, bytes uint64) Talk {
		x := talk("ct1", "", ip, "tcp", 443, "tls", 8)
		x.Bytes, x.Place = bytes, geo.Place{Country: country, ASN: asn}
		return x
	}
	s := Of("", []string{"ct1"}, nil, []Talk{
		to("130.59.31.80", "CH", 559, 5), to("130.59.31.81", "CH", 559, 5), to("192.0.2.1", "", 0, 7), to("10.9.9.9", "", 0, 100), to("130.59.31.80", "CH", 559, 5),
	}, nil)
	var got []string
	for _, n := range s.Needs {
		for _, p := range n.Places {
			got = append(got, fmt.Sprintf("%s %s peers=%d flows=%d bytes=%d", n.Peer, p, p.Peers, p.Flows, p.Bytes))
		}
	}
	if got := strings.Join(got, "\n"); got != "internet CH AS559 peers=2 flows=3 bytes=15\ninternet unknown peers=1 flows=1 bytes=7" {
		t.Errorf("got\n%s", got)
	}
}

func TestSelect(t *testing.T) {
	all := []*proto.Device{
		{DeviceID: proto.ID{1}, Model: &proto.Fact{Value: "X"}, Type: &proto.Fact{Value: "ct"}, MACs: proto.Strings{"00:11:22:33:44:55"}, Hostnames: proto.Strings{"CT1"}},
		{DeviceID: proto.ID{1, 1}, Model: &proto.Fact{Value: "x"}, IPs: proto.Strings{"10.0.0.2"}},
	}
	for _, c := range []struct {
		model, name string
		want        int
		err         string
	}{
		{"X", "", 2, ""},
		{"", "ct1", 1, ""},
		{"", "00-11-22-33-44-55", 1, ""},
		{"", "10.0.0.2", 1, ""},
		{"", "0101", 1, ""},
		{"", "nobody", 0, "no device"},
		{"Y", "", 0, "no device of model"},
	} {
		ids, _, _, err := Select(all, c.model, c.name)
		if len(ids) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v, %v", c, ids, err)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Folder(dir, geo.Embedded()); err == nil {
		t.Error("an empty folder is none that replay wrote")
	}
	write("flows.jsonl", `{"part":0,"start":"2026-11-17T08:05:00Z","end":"2026-11-17T08:06:00Z","transport":"tcp","src_device":"a","dst_device":null,"dst_ip":"130.59.31.80","dst_port":443,"src_bytes":3,"dst_bytes":4,"protocol":"tls","duplicate_of_sensor":""}
{"part":1,"start":"2026-11-17T08:06:00Z","end":"2026-11-17T08:07:00Z","src_device":"a","duplicate_of_sensor":""}
{"part":0,"start":"2026-11-17T08:06:00Z","end":"2026-11-17T08:07:00Z","src_device":"a","duplicate_of_sensor":"tap"}
`)
	write("observations.jsonl", `{"device":"a","protocol":"smb","attributes":{"mechanism":"ntlm","role":"client"}}
{"device":"a","protocol":"ftp","attributes":{"cleartext_credential":"user_pass","account":"other"}}
{"device":"a","protocol":"dns","attributes":{"names":["x"]}}`)
	talks, logins, err := Folder(dir, geo.Embedded())
	if err != nil || len(talks) != 2 || talks[0].Flows != 1 || talks[1].Flows != 0 || talks[0].Bytes != 7 || talks[0].Place.Country != "CH" || fmt.Sprint(logins) != "[{a smb ntlm client} {a ftp user_pass }]" {
		t.Errorf("%+v %v %v", talks, logins, err)
	}
	write("observations.jsonl", "{}\n{")
	if _, _, err := Folder(dir, geo.Embedded()); err == nil || !strings.Contains(err.Error(), "observations.jsonl:2") {
		t.Errorf("a broken line: %v", err)
	}
}
