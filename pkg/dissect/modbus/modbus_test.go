package modbus_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/modbus"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// tcp is a message over TCP.
func tcp(transaction int, unit byte, pdu []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(transaction))
	b = binary.BigEndian.AppendUint32(b, uint32(len(pdu)+1))
	return append(append(b, unit), pdu...)
}

// rtu is a frame with its checksum.
func rtu(unit byte, pdu []byte) []byte {
	b := append([]byte{unit}, pdu...)
	crc := uint16(0xffff)
	for _, x := range b {
		crc ^= uint16(x)
		for range 8 {
			odd := crc&1 != 0
			if crc >>= 1; odd {
				crc ^= 0xa001
			}
		}
	}
	return binary.LittleEndian.AppendUint16(b, crc)
}

// objects are identification objects in their answer.
func objects(more byte, first byte, texts ...string) []byte {
	b := []byte{43, 14, 1, 1, more, 0, byte(len(texts))}
	for i, s := range texts {
		b = append(append(b, first+byte(i), byte(len(s))), s...)
	}
	return b
}

// talk is a conversation: of each pair, what the client asks and what it is told.
func talk(pairs ...[2][]byte) dissecttest.Conversation {
	var c dissecttest.Conversation
	for _, p := range pairs {
		for side, b := range p {
			if b != nil {
				c = append(c, dissecttest.Chunk{Side: side, Data: b})
			}
		}
	}
	return c
}

func said(t *testing.T, r *dissecttest.Result) string {
	t.Helper()
	var out []string
	for _, f := range r.Facts {
		a, err := json.Marshal(f.Attributes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d%s %s", f.Kind, f.Subject.Side, f.Subject.Equipment, a))
	}
	return strings.Join(out, "\n")
}

// everything is a conversation with a bit of everything.
func everything(frame func(transaction int, unit byte, pdu []byte) []byte) dissecttest.Conversation {
	pair := func(n int, unit byte, request, response string) [2][]byte {
		return [2][]byte{frame(n, unit, unhex(request)), frame(n, unit, unhex(response))}
	}
	return talk(
		pair(1, 1, "03 0000 0002", "03 04 00010002"),
		pair(2, 1, "06 0004 0001", "06 0004 0001"),
		pair(3, 1, "06 0004 0002", "06 0004 0002"),
		pair(4, 1, "10 0005 0002 04 00010002", "10 0005 0002"),
		pair(5, 2, "05 0010 ff00", "05 0010 ff00"),
		pair(6, 2, "01 0000 0008", "81 02"),
		pair(7, 2, "01 0000 0008", "81 02"),
		pair(8, 1, "08 0004 0000", "08 0004 0000"),
		pair(9, 1, "11", "11 06 "+hex.EncodeToString([]byte("PLC-7"))+"ff"),
	)
}

const everythingSaid = `write 0 {"function":"write_single_register","quantity":"1","register":"4","role":"client","unit":"1"}
write 0 {"function":"write_multiple_registers","quantity":"2","register":"5","role":"client","unit":"1"}
write 0 {"function":"write_single_coil","quantity":"1","register":"16","role":"client","unit":"2"}
exception 1 {"exception":"illegal_data_address","function":"read_coils","role":"server","unit":"2"}
diagnostics 0 {"operation":"force_listen_only_mode","role":"client","unit":"1"}
server_id 1 {"role":"server","running":"true","server_id":"PLC-7","unit":"1"}
transactions 0 {"exceptions":["read_coils illegal_data_address:2"],"functions":["read_coils:2","read_holding_registers:1","write_single_coil:1","write_single_register:2","diagnostics:1","write_multiple_registers:1","report_server_id:1"],"requests":"9","responses":"9","role":"client","units":["1","2"],"units_count":"2","written":["unit 1 registers 4-6:3","unit 2 coils 16:1"]}`

// TestEverything plays the same over TCP and in RTU frames, whole, cut at every
// byte, and from the middle on.
func TestEverything(t *testing.T) {
	for name, frame := range map[string]func(int, byte, []byte) []byte{
		"tcp": tcp,
		"rtu": func(_ int, unit byte, pdu []byte) []byte { return rtu(unit, pdu) },
	} {
		c := everything(frame)
		sizes := c.Sizes()
		for cut := range sizes[0] + sizes[1] {
			r := dissecttest.Play(dissect.Config{}, c.Cut(cut).Segments(true))
			if got := said(t, r); got != everythingSaid || len(r.Panics) > 0 {
				t.Fatalf("%s cut at %d: %v\n%s", name, cut, r.Panics, got)
			}
			if f := r.Flows[0]; f.Protocol != "modbus" || f.By != "content" {
				t.Fatalf("%s: %q %q", name, f.Protocol, f.By)
			}
		}
		if r := dissecttest.Play(dissect.Config{}, c.Segments(false)); said(t, r) != everythingSaid {
			t.Errorf("%s from the middle on:\n%s", name, said(t, r))
		}
	}
}

func TestIdentification(t *testing.T) {
	ask := func(n int, unit byte) []byte { return tcp(n, unit, unhex("2b 0e 01 00")) }
	for _, tc := range []struct {
		name string
		c    dissecttest.Conversation
		want string
	}{
		{
			"basic", talk([2][]byte{ask(1, 1), tcp(1, 1, objects(0, 0, "Maker", "P-1", "1.0"))}),
			`identification 1 {"manufacturer":"Maker","product_code":"P-1","role":"server","software_version":"1.0","unit":"1"}`,
		},
		{
			"in two answers", talk([2][]byte{ask(1, 1), tcp(1, 1, objects(0xff, 0, "Maker", "P-1"))}, [2][]byte{ask(2, 1), tcp(2, 1, objects(0, 2, "1.0", "http://secret/", "Name", "M", "App"))}),
			`identification 1 {"application":"App","manufacturer":"Maker","model_name":"M","product":"Name","product_code":"P-1","role":"server","software_version":"1.0","unit":"1"}`,
		},
		{
			"twice the same", talk([2][]byte{ask(1, 1), tcp(1, 1, objects(0, 0, "Maker", "P-1", "1.0"))}, [2][]byte{ask(2, 1), tcp(2, 1, objects(0, 0, "Maker", "P-1", "1.0"))}),
			`identification 1 {"manufacturer":"Maker","product_code":"P-1","role":"server","software_version":"1.0","unit":"1"}`,
		},
		{
			"a gateway's units", talk([2][]byte{ask(1, 1), tcp(1, 1, objects(0, 0, "Maker", "P-1", "1.0"))}, [2][]byte{ask(2, 255), tcp(2, 255, objects(0, 0, "Maker", "P-1", "1.0"))}, [2][]byte{ask(3, 7), tcp(3, 7, objects(0, 0, "Other", "Q", "2"))}),
			`identification 1 {"manufacturer":"Maker","product_code":"P-1","role":"server","software_version":"1.0","unit":"1"}
identification 1 {"manufacturer":"Maker","product_code":"P-1","role":"server","software_version":"1.0","unit":"255"}
identification 2modbus:10.1.2.4:7 {"manufacturer":"Other","product_code":"Q","role":"server","software_version":"2","unit":"7"}`,
		},
		{
			"damaged", talk([2][]byte{ask(1, 1), tcp(1, 1, append(objects(0, 0, "Maker"), unhex("01 ff 41")...)[:14])}),
			`identification 1 {"manufacturer":"Maker","role":"server","unit":"1"}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Play(dissect.Config{}, tc.c.Segments(true))
			got := said(t, r)
			if i := strings.LastIndex(got, "\ntransactions"); i >= 0 {
				got = got[:i]
			}
			if got != tc.want || len(r.Panics) > 0 {
				t.Errorf("%v got\n%s\nwant\n%s", r.Panics, got, tc.want)
			}
		})
	}
}

func TestUMAS(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, talk(
		[2][]byte{tcp(1, 0, unhex("5a 00 10 00")), tcp(1, 0, unhex("5a 00 fe 01"))},
		[2][]byte{tcp(2, 0, unhex("5a 01 41 ff")), tcp(2, 0, unhex("5a 01 fe"))},
		[2][]byte{tcp(3, 0, append(unhex("5a 01 34"), make([]byte, 1000)...)), tcp(3, 0, unhex("5a 01 fe"))},
	).Segments(true))
	if len(r.Of("modbus", "umas")) != 2 || r.Of("modbus", "umas")[1].Attributes.Get("operation") != "stop" || r.Flows[0].Inner[0] != "umas" || r.Counters["modbus_not_a_message"] > 0 {
		t.Error(said(t, r), r.Counters)
	}
}

// A scan of functions begins with one that does not exist; the answer gives it away.
func TestScan(t *testing.T) {
	var pairs [][2][]byte
	for f := range 60 {
		pairs = append(pairs, [2][]byte{tcp(0, 1, []byte{byte(f), 0, 1, 0, 1}), tcp(0, 1, []byte{byte(f) | 0x80, 1})})
	}
	r := dissecttest.Play(dissect.Config{}, talk(pairs...).Segments(true))
	if r.Flows[0].Protocol != "modbus" || len(r.Of("modbus", "exception")) != 32 || r.Counters["modbus_exceptions_skipped"] == 0 {
		t.Error(r.Flows[0].Protocol, r.Counters, said(t, r))
	}
}

// What a connection that lasts for days came to is told every hour.
func TestEveryHour(t *testing.T) {
	var pairs [][2][]byte
	for n := range 100 {
		pairs = append(pairs, [2][]byte{tcp(n, 1, unhex("03 0000 0001")), tcp(n, 1, unhex("03 02 0001"))})
	}
	list := talk(pairs...).Segments(true)
	for i := range list {
		list[i].Time *= 60e3 / 2 // half a minute apart
	}
	r := dissecttest.Play(dissect.Config{}, list)
	requests := 0
	for _, f := range r.Of("modbus", "transactions") {
		n := 0
		if _, err := fmt.Sscan(f.Attributes.Get("requests"), &n); err != nil {
			t.Fatal(err)
		}
		requests += n
	}
	if n := len(r.Of("modbus", "transactions")); n != 2 || requests != 100 {
		t.Errorf("%d summaries of %d requests", n, requests)
	}
}

func TestRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"another protocol id": unhex("0001 0001 0006 01 03 0000 0001"),
		"too long":            unhex("0001 0000 0106 01 03 0000 0001"),
		"another length":      unhex("0001 0000 0008 01 03 0000 0001 0000"),
		"no function":         unhex("0001 0000 0006 01 3b 0000 0001"),
		"too many registers":  unhex("0001 0000 0006 01 03 0000 0fff"),
		"another message":     unhex("0001 0000 0006 01 03 0000 0001 0002 0100 0006"),
		"a wrong checksum":    unhex("01 03 0000 0001 0000 000000000000000000000000"),
		"SMB":                 unhex("00000054 ff534d42 72 000000001843c8 0000000000000000000000000000 fffe 0000 0000"),
	} {
		if v := modbus.Protocol.Recognise(b, false); v == dissector.Yes {
			t.Errorf("%s is taken for Modbus", name)
		}
	}
	other := []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { modbus.Protocol.Recognise(other, false) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Functions that nobody knows are told by their number where Modbus is at home, and
// after messages that are known; a scan of them is what it is. Elsewhere, and where the
// frame is not right, they are nothing.
func TestUnknownFunctions(t *testing.T) {
	scan := talk(
		[2][]byte{tcp(1, 1, unhex("1d 00000000")), tcp(1, 1, unhex("9d 01"))}, [2][]byte{tcp(2, 1, unhex("1e 00000000")), tcp(2, 1, unhex("9e 01"))},
		[2][]byte{append(unhex("0000"), tcp(3, 1, unhex("40 00000000"))...), nil}, [2][]byte{tcp(4, 1, unhex("41 00000000")), tcp(4, 1, unhex("c1 01"))}, // out of step
	)
	want := `exception 1 {"exception":"illegal_function","function":"29","role":"server","unit":"1"}
exception 1 {"exception":"illegal_function","function":"30","role":"server","unit":"1"}
exception 1 {"exception":"illegal_function","function":"65","role":"server","unit":"1"}
transactions 0 {"exceptions":["29 illegal_function:1","30 illegal_function:1","65 illegal_function:1"],"functions":["29:1","30:1","64:1","65:1"],"requests":"4","responses":"3","role":"client","units":["1"],"units_count":"1"}`
	if got := said(t, dissecttest.EveryCutOn(t, 502, scan)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	ask := tcp(1, 1, unhex("1d 00000000"))
	silent := talk([2][]byte{ask, nil}, [2][]byte{ask, nil})
	if r := dissecttest.EveryCutOn(t, 502, silent); r.Flows[0].Protocol != "modbus" || !strings.Contains(said(t, r), `"functions":["29:2"]`) {
		t.Error(r.Flows[0], said(t, r))
	}
	if r := dissecttest.EveryCutOn(t, 5020, silent); r.Flows[0].Protocol == "modbus" || len(r.Facts) > 0 {
		t.Error(r.Flows[0], said(t, r))
	}
	for name, b := range map[string][]byte{
		"another protocol id": unhex("0001 0001 0006 01 1d 00000000"), "too long": unhex("0001 0000 0106 01 1d 00000000"), "no function": unhex("0001 0000 0006 01 00 00000000"),
		"only an exception bit": unhex("0001 0000 0003 01 80 01"), "more behind it": append(append([]byte{}, ask...), "GET / HTTP"...), "SMB": unhex("00000054 ff534d42 72 000000001843c8"),
		"zeros": make([]byte, 64), "TLS": unhex("160301 002d 010000290303"), "ASTM": []byte("\x05H|\\^&|||"),
	} {
		if v := modbus.Home.Recognise(b, false); v == dissector.Yes {
			t.Errorf("%s is taken for Modbus", name)
		}
	}
	if v := modbus.Home.Recognise(ask[:9], false); v != dissector.More {
		t.Error(v)
	}
}

// TestCanaries plants secrets in values, files and the words of devices that have
// no name.
func TestCanaries(t *testing.T) {
	secrets := []string{"CANARY^ALFA^XAVER", "PHI-CANARY-0001"}
	s := canary.New(secrets)
	var all []dissecttest.Conversation
	for _, secret := range secrets {
		x := []byte(secret)
		if len(x)%2 == 1 {
			x = append(x, ' ')
		}
		n := byte(len(x))
		c := talk(
			[2][]byte{tcp(1, 1, append([]byte{16, 0, 0, 0, n / 2, n}, x...)), tcp(1, 1, []byte{16, 0, 0, 0, n / 2})},
			[2][]byte{tcp(2, 1, unhex("03 0000 0009")), tcp(2, 1, append([]byte{3, n}, x...))},
			[2][]byte{tcp(3, 1, append([]byte{21, n + 7, 6, 0, 1, 0, 0, 0, n / 2}, x...)), tcp(3, 1, append([]byte{21, n + 7, 6, 0, 1, 0, 0, 0, n / 2}, x...))},
			[2][]byte{tcp(4, 1, append([]byte{90, 0, 0x23}, x...)), tcp(4, 1, append([]byte{90, 0, 0xfe}, x...))},
			[2][]byte{tcp(5, 1, unhex("2b 0e 01 00")), tcp(5, 1, append(objects(0, 3, secret), append([]byte{0x80, n}, x...)...))},
			[2][]byte{tcp(6, 1, append([]byte{0x41}, x...)), tcp(6, 1, append([]byte{0x41}, x...))},
			[2][]byte{x, x},
		)
		all = append(all, c)
		sizes := c.Sizes()
		for cut := range sizes[0] + sizes[1] {
			r := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut+9).Segments(cut%2 == 0))
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("%v %v in\n%s", hits, r.Panics, r.Text())
			}
		}
	}
	dissecttest.PlantedTalks(t, "modbus", 9999, secrets, all...)
}

// recognised is the better of both verdicts.
func recognised(b []byte) dissector.Verdict {
	v := modbus.Protocol.Recognise(b, false)
	if home := modbus.Home.Recognise(b, false); home == dissector.Yes || v == dissector.No {
		v = home
	}
	return v
}

// taken reports whether b is refused as a whole, and one of its beginnings is Modbus: a
// message with junk behind it. Where such a one is cut decides whether it is recognised.
func taken(b []byte) bool {
	if recognised(b) != dissector.No {
		return false
	}
	for n := range b {
		if recognised(b[:n]) == dissector.Yes {
			return true
		}
	}
	return false
}

// FuzzStream also holds any input to the rule that cuts change nothing, but for the cut
// between a message and junk.
func FuzzStream(f *testing.F) {
	f.Add(tcp(1, 1, unhex("03 0000 0002")), tcp(1, 1, unhex("03 04 00010002")), 3)
	f.Add(rtu(1, unhex("10 0005 0002 04 00010002")), rtu(1, unhex("10 0005 0002")), 5)
	f.Add(tcp(1, 1, unhex("2b 0e 01 00")), tcp(1, 1, objects(0, 0, "a", "b")), 20)
	f.Add(tcp(1, 1, unhex("1d 00000000")), append(unhex("0000"), tcp(3, 1, unhex("40 00000000"))...), 3)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		c := talk([2][]byte{a, b}, [2][]byte{a, b})
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || len(want.Panics) > 0 {
			t.Fatalf("%v %v", got.Panics, want.Panics)
		}
		if taken(a) || taken(b) {
			return
		}
		if want.Flows[0].Protocol == "modbus" && got.Flows[0].Protocol == "modbus" && got.Text() != want.Text() {
			t.Fatalf("got\n%swant\n%s", got.Text(), want.Text())
		}
	})
}
