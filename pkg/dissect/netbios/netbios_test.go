package netbios_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/netbios"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var (
	names     = [2]uint16{137, 137}
	datagrams = [2]uint16{138, 138}
	elsewhere = [2]uint16{40000, 40001}
)

func padded(s string, suffix byte) string {
	return s + strings.Repeat(" ", 15-len(s)) + string([]byte{suffix})
}

// encoded is a name in letters.
func encoded(s string, suffix byte) string {
	b := []byte{32}
	for _, x := range []byte(padded(s, suffix)) {
		b = append(b, 'A'+x>>4, 'A'+x&15)
	}
	return string(b) + "\x00"
}

func u16(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }

func head(flags, questions, answers, more int) string {
	return "id" + u16(flags) + u16(questions) + u16(answers) + u16(0) + u16(more)
}

func question(name string, kind int) string { return name + u16(kind) + u16(1) }

func record(name string, kind int, data string) string {
	return name + u16(kind) + u16(1) + "\x00\x00\x0e\x10" + u16(len(data)) + data
}

const (
	nb     = 0x20
	status = 0x21
	me     = "\x0a\x01\x02\x03"
)

func registration(operation int, name string, flags int) string {
	return head(operation<<11|0x0110, 1, 0, 1) + question(name, nb) + record("\xc0\x0c", nb, u16(flags)+me)
}

// mail is a datagram to a mailslot, with a message of the browser.
func mail(kind byte, from, to, slot, message string) string {
	name := "\\MAILSLOT\\" + slot + "\x00"
	at := 32 + 1 + 34 + 2 + len(name)
	words := make([]byte, 34)
	binary.LittleEndian.PutUint16(words[22:], uint16(len(message)))
	binary.LittleEndian.PutUint16(words[24:], uint16(at))
	smb := "\xffSMB\x25" + strings.Repeat("\x00", 27) + "\x11" + string(words) + "\x00\x00" + name + message
	return string([]byte{kind, 2}) + "id" + me + u16(138) + u16(len(from+to+smb)) + u16(0) + from + to + smb
}

func announcement(code byte, name string, major, minor byte, bits uint32, comment string) string {
	b := string([]byte{code, 0, 0, 0, 0, 0}) + name + strings.Repeat("\x00", 16-len(name)) + string([]byte{major, minor})
	return b + string(binary.LittleEndian.AppendUint32(nil, bits)) + "\x0f\x01\x55\xaa" + comment + "\x00"
}

type said struct {
	side int
	b    string
}

func play(ports [2]uint16, list ...said) *dissecttest.Result {
	var packets []packet.Headers
	for _, s := range list {
		packets = append(packets, dissecttest.Datagram(s.side, ports, []byte(s.b)))
	}
	return dissecttest.Play(dissect.Config{}, packets)
}

func lines(r *dissecttest.Result) (list []string) {
	for _, f := range r.Facts {
		a, err := f.Attributes.MarshalJSON()
		if err != nil {
			panic(err)
		}
		who := fmt.Sprint(int(f.Subject.Side))
		if f.Subject.IP.IsValid() {
			who += "/" + f.Subject.IP.String()
		}
		list = append(list, f.Kind+" "+who+" "+string(a))
	}
	return list
}

func TestMessages(t *testing.T) {
	table := string([]byte{5}) + padded("PUMP-GW", 0) + u16(0x0400) + padded("WARD", 0) + u16(0x8400) + padded("NOBODY", 3) + u16(0x0400) + padded("PUMP-GW", 0x20) + u16(0x0400) + padded("WARD", 0x1e) + u16(0x8400)
	for _, tc := range []struct {
		name  string
		ports [2]uint16
		list  []said
		want  []string
	}{
		{"registration", names, []said{{0, registration(5, encoded("PUMP-GW", 0x20), 0x6000)}}, []string{`registration 0 {"computer_name":"PUMP-GW","ip":"10.1.2.3","node_type":"h","roles":["file_server"]}`}},
		{"of a domain", names, []said{{0, registration(5, encoded("WARD", 0), 0x8000)}}, []string{`registration 0 {"ip":"10.1.2.3","netbios_domain":"WARD","node_type":"b"}`}},
		{"of a domain controller", names, []said{{0, registration(15, encoded("WARD", 0x1c), 0x8000)}}, []string{`registration 0 {"ip":"10.1.2.3","netbios_domain":"WARD","node_type":"b","roles":["domain_controller"]}`}},
		{"of a user", names, []said{{0, registration(8, encoded("NOBODY", 3), 0)}}, []string{`refresh 0 {"ip":"10.1.2.3","node_type":"b","roles":["messenger"]}`}},
		{"of the browser", names, []said{{0, registration(5, encoded("\x01\x02__MSBROWSE__\x02", 1), 0x8000)}}, []string{`registration 0 {"ip":"10.1.2.3","node_type":"b","roles":["master_browser"]}`}},
		{"release", names, []said{{0, registration(6, encoded("PUMP-GW", 0), 0)}}, []string{`release 0 {"computer_name":"PUMP-GW","ip":"10.1.2.3","node_type":"b","roles":["workstation"]}`}},
		{
			"query and answer", names,
			[]said{{0, head(0x0110, 1, 0, 0) + question(encoded("LOOKED-UP", 0x20), nb)}, {1, head(0x8580, 0, 1, 0) + record(encoded("PUMP-GW", 0x20), nb, u16(0)+"\x0a\x01\x02\x04"+u16(0)+"\x0a\x09\x09\x09"+u16(0)+"\x08\x08\x08\x08")}},
			[]string{`query 0 {"name_type":"file_server","role":"client"}`, `query_response 1 {"role":"server"}`, `name 1/10.1.2.4 {"computer_name":"PUMP-GW","roles":["file_server"]}`, `name 2/10.9.9.9 {"computer_name":"PUMP-GW","roles":["file_server"]}`},
		},
		{"no such name", names, []said{{1, head(0x8583, 0, 1, 0) + record(encoded("LOOKED-UP", 0x20), 10, "")}}, []string{`query_response 0 {"role":"server"}`}},
		{
			"node status", names,
			[]said{{0, head(0, 1, 0, 0) + question(encoded("*"+strings.Repeat("\x00", 14), 0), status)}, {1, head(0x8400, 0, 1, 0) + record(encoded("*"+strings.Repeat("\x00", 14), 0), status, table+"\x02\x00\x00\x00\x00\x07"+strings.Repeat("\x00", 40))}},
			[]string{`node_status_query 0 {"name_type":"workstation","role":"client"}`, `node_status 1 {"computer_name":"PUMP-GW","mac":"02:00:00:00:00:07","netbios_domain":"WARD","roles":["workstation","messenger","file_server","potential_browser"]}`},
		},
		{"said once", names, []said{{0, registration(5, encoded("PUMP-GW", 0), 0)}, {0, registration(5, encoded("PUMP-GW", 0), 0)}}, []string{`registration 0 {"computer_name":"PUMP-GW","ip":"10.1.2.3","node_type":"b","roles":["workstation"]}`}},
		{"host announcement", datagrams, []said{{0, mail(0x11, encoded("PUMP-GW", 0), encoded("WARD", 0x1d), "BROWSE", announcement(1, "PUMP-GW", 6, 1, 1|2|1<<12, "gateway of nobody"))}}, []string{`announcement 0 {"computer_name":"PUMP-GW","netbios_domain":"WARD","os_version":"6.1","roles":["workstation","file_server","nt_workstation"]}`}},
		{"domain announcement", datagrams, []said{{0, mail(0x11, encoded("PUMP-GW", 0), encoded("\x01\x02__MSBROWSE__\x02", 1), "BROWSE", announcement(12, "WARD", 6, 1, 0x80000000, "PUMP-GW"))}}, []string{`domain_announcement 0 {"computer_name":"PUMP-GW","netbios_domain":"WARD"}`}},
		{"a logon", datagrams, []said{{0, mail(0x11, encoded("PUMP-GW", 0), encoded("WARD", 0x1c), "NET\\NETLOGON", "\x12\x00nobody")}}, []string{`datagram 0 {"computer_name":"PUMP-GW","netbios_domain":"WARD"}`}},
		{"from a user", datagrams, []said{{0, mail(0x10, encoded("NOBODY", 3), encoded("SOMEBODY", 3), "MESSNGR", "hello nobody")}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.ports, tc.list...)
			if got := lines(r); !slices.Equal(got, tc.want) || len(r.Panics) > 0 {
				t.Errorf("%v got\n%s\nwant\n%s", r.Panics, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if f := r.Flows[0]; f.Protocol != "netbios" || f.By != proto.ByContent || len(r.Counters) > 0 {
				t.Errorf("%s by %s, %v", f.Protocol, f.By, r.Counters)
			}
			if s := strings.ToLower(string(r.Everything())); strings.Contains(s, "nobody") || strings.Contains(s, "somebody") || strings.Contains(s, "looked-up") {
				t.Errorf("a name leaves:\n%s", r.Everything())
			}
		})
	}
	if f := play(elsewhere, said{0, registration(5, encoded("PUMP-GW", 0x20), 0)}).Flows[0]; f.By != proto.ByContent {
		t.Error("the name service is known by its names alone")
	}
}

func TestRefused(t *testing.T) {
	h := dissecttest.Datagram(0, names, nil)
	c := &dissector.Context{Headers: &h}
	long := encoded("PUMP-GW", 0)
	for name, b := range map[string]string{
		"DNS": head(0x0100, 1, 0, 0) + "\x03www\x07example\x00" + u16(1) + u16(1), "two questions": head(0x0110, 2, 0, 0) + question(long, nb), "no question": head(0x0110, 0, 0, 0),
		"another type": head(0x0110, 1, 0, 0) + question(long, 1), "lower case": head(0x0110, 1, 0, 0) + question(strings.ToLower(long), nb), "cut": (head(0x0110, 1, 0, 0) + question(long, nb))[:40],
		"an unknown operation": head(3<<11, 1, 0, 0) + question(long, nb), "a pointer to itself": head(0x0110, 1, 0, 0) + question("\xc0\x0c", nb),
	} {
		if netbios.Protocol.Datagram(c, []byte(b), false) != dissector.No {
			t.Errorf("%s is not refused", name)
		}
	}
	h = dissecttest.Datagram(0, datagrams, nil)
	for name, b := range map[string]string{
		"a type that nobody has": "\x17" + mail(0x11, long, long, "BROWSE", "x")[1:], "no names": "\x11\x02id" + me + u16(138) + u16(0) + u16(0) + "text", "a length beyond the end": mail(0x11, long, long, "BROWSE", "x")[:10] + "\xff\xff" + mail(0x11, long, long, "BROWSE", "x")[12:],
	} {
		h.PayloadLen = len(b)
		if netbios.Protocol.Datagram(c, []byte(b), false) != dissector.No {
			t.Errorf("%s is not refused", name)
		}
	}
	for b, counter := range map[string]string{
		registration(5, long, 0)[:60]:                                                                   "netbios_record_malformed",
		head(0x8400, 0, 1, 0) + record(long, status, "\x09short"):                                       "netbios_record_malformed",
		head(0x8580, 0, 1, 0) + long + u16(nb) + u16(1) + "\x00\x00\x00\x00" + u16(60) + "short":        "netbios_record_malformed",
		head(0x8580, 0, 1, 0) + record(long, nb, u16(0)+"\x0a\x01\x02\x04"+strings.Repeat("\x00", 900)): "",
	} {
		if r := play(names, said{0, b}); counter != "" && r.Counters[counter] != 1 || len(r.Panics) > 0 {
			t.Errorf("counted %v, want %s", r.Counters, counter)
		}
	}
	if r := play(datagrams, said{0, mail(0x11, long, long, "BROWSE", "\x01short")}); r.Counters["netbios_announcement_malformed"] != 1 {
		t.Errorf("counted %v", r.Counters)
	}
}

// TestArkime compares the names that hosts register with those of the sessions
// that Arkime's own tests expect.
func TestArkime(t *testing.T) {
	b, err := os.ReadFile(repotest.Shared(t, "captures/arkime/pcap/nbns.test"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Sessions3 []struct {
			Body struct {
				Source, Destination struct{ IP string }
				Protocol            []string
			}
		}
	}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/arkime/pcap/nbns.pcap")))
	same, total := 0, 0
	for _, s := range want.Sessions3 {
		if !slices.ContainsFunc(s.Body.Protocol, func(p string) bool { return p == "nbns" || p == "nbds" }) {
			continue
		}
		total++
		for _, f := range r.Flows {
			if f.SrcIP.String() == s.Body.Source.IP && f.DstIP.String() == s.Body.Destination.IP && f.Protocol == "netbios" && f.By == proto.ByContent {
				same++
				break
			}
		}
	}
	if same != total || total == 0 {
		t.Errorf("%d of %d sessions", same, total)
	}
	for _, v := range []string{`"computer_name":"MDJR98"`, `"netbios_domain":"WORKGROUP"`, `"os_version":"4.0"`} {
		if !strings.Contains(r.Text(), v) {
			t.Errorf("no %s in\n%s", v, r.Text())
		}
	}
}

// Users' names, comments, names that are looked up and what logons carry never
// leave.
func TestCanaries(t *testing.T) {
	secrets := []string{"CANARELLA", "canary comment"}
	s := canary.New(secrets)
	var packets []packet.Headers
	user := encoded("CANARELLA", 3)
	for ports, list := range map[[2]uint16][]string{
		names:     {registration(5, user, 0), head(0x0110, 1, 0, 0) + question(encoded("CANARELLA", 0x20), nb), head(0x8583, 0, 1, 0) + record(encoded("CANARELLA", 0x20), 10, ""), head(0x8400, 0, 1, 0) + record(user, status, "\x01"+padded("CANARELLA", 3)+u16(0x0400)+"\x02\x00\x00\x00\x00\x07")},
		datagrams: {mail(0x10, user, user, "MESSNGR", "CANARELLA"), mail(0x11, encoded("HOST", 0), encoded("WARD", 0x1c), "NET\\NETLOGON", "\x12CANARELLA"), mail(0x11, encoded("HOST", 0), encoded("WARD", 0x1d), "BROWSE", announcement(1, "HOST", 6, 1, 3, "canary comment of CANARELLA"))},
	} {
		for _, b := range list {
			packets = append(packets, dissecttest.Datagram(0, ports, []byte(b)))
			for cut := range len(b) + 1 {
				h := dissecttest.Datagram(0, ports, []byte(b[:cut]))
				h.PayloadLen = len(b)
				if hits := s.Search(dissecttest.Play(dissect.Config{}, []packet.Headers{h}).Everything()); len(hits) > 0 {
					t.Fatalf("cut at %d: %v", cut, hits)
				}
			}
		}
	}
	slices.SortStableFunc(packets, func(a, b packet.Headers) int { return int(a.DstPort) - int(b.DstPort) })
	dissecttest.Planted(t, "netbios", secrets, packets)
}

func FuzzDatagram(f *testing.F) {
	f.Add(registration(5, encoded("PUMP-GW", 0x20), 0x6000))
	f.Add(head(0x8400, 0, 1, 0) + record(encoded("*", 0), status, "\x01"+padded("PUMP-GW", 0)+u16(0x0400)+"\x02\x00\x00\x00\x00\x07"))
	f.Add(mail(0x11, encoded("PUMP-GW", 0), encoded("WARD", 0x1d), "BROWSE", announcement(1, "PUMP-GW", 6, 1, 3, "x")))
	f.Fuzz(func(t *testing.T, b string) {
		for _, ports := range [][2]uint16{names, datagrams} {
			if r := play(ports, said{0, b}, said{1, b}); len(r.Panics) > 0 || len(r.Facts) > 60 {
				t.Fatal(r.Panics, len(r.Facts))
			}
		}
	})
}
