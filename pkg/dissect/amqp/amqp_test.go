package amqp_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/amqp"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func long(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func short(s string) []byte { return append([]byte{byte(len(s))}, s...) }

func method(class, m int, body ...[]byte) []byte {
	b := slices.Concat([]byte{byte(class >> 8), byte(class), byte(m >> 8), byte(m)}, slices.Concat(body...))
	return slices.Concat([]byte{1, 0, 0}, long(string(b)), []byte{0xce})
}

func table(pairs ...string) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = slices.Concat(b, short(pairs[i]), []byte{'S'}, long(pairs[i+1]))
	}
	return long(string(b))
}

func conversation() dissecttest.Conversation {
	caps := slices.Concat(short("capabilities"), []byte{'F'}, long(string(slices.Concat(short("publisher_confirms"), []byte{'t', 1}))))
	server := slices.Concat(caps, table("cluster_name", "rabbit@CANARYHOST", "product", "RabbitMQ", "version", "3.12.1", "platform", "Erlang/OTP 26.0")[4:])
	var c dissecttest.Conversation
	for i, b := range [][]byte{
		[]byte("AMQP\x00\x00\x09\x01"), method(10, 10, []byte{0, 9}, long(string(server)), long("PLAIN AMQPLAIN"), long("en_US")),
		method(10, 11, table("product", "pika", "version", "1.3", "information", "CANARY-ALFA"), short("PLAIN"), long("\x00guest\x00canarypassword"), short("en_US")), method(10, 30, make([]byte, 8)),
		method(10, 31, make([]byte, 8)), method(10, 41, short("")), method(60, 40, short("CANARY-ALFA")),
	} {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: b})
	}
	return c
}

func TestConversation(t *testing.T) {
	r := dissecttest.EveryCut(t, conversation())
	want := `amqp start < mechanisms=plain|amqplain platform=Erlang/OTP 26.0 software=RabbitMQ software_version=3.12.1
amqp login > account=guest cleartext_credential=plain mechanism=plain software=pika software_version=1.3
`
	if r.Brief() != want || r.Flows[0].Protocol != "amqp" {
		t.Errorf("got\n%swant\n%s", r.Brief(), want)
	}
	secrets := []string{"CANARYHOST", "canarypassword", "CANARY-ALFA"}
	dissecttest.NoLeak(t, secrets, conversation())
	dissecttest.PlantedTalks(t, "amqp", 9999, secrets, conversation())
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{"AMQP\x00\x00\x09\x01": dissector.Yes, "AMQP\x03\x01\x00\x00": dissector.Yes, "AMQ": dissector.More, "AMQPHTTP": dissector.No, "GET /": dissector.No} {
		if got := amqp.Protocol.Recognise([]byte(in), false); got != want {
			t.Errorf("%q: %d", in, got)
		}
	}
	if amqp.Protocol.Recognise(method(60, 40, short("x")), true) != dissector.Yes || amqp.Protocol.Recognise(method(60, 40, short("x")), false) != dissector.No {
		t.Error("frames")
	}
}

// nDPI's capture, which begins in the middle.
func TestCaptures(t *testing.T) {
	for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/amqp.pcap"))).Flows {
		if f.Protocol != "amqp" {
			t.Errorf("%+v", f)
		}
	}
}

func FuzzStream(f *testing.F) {
	parts := conversation().Sides()
	f.Add(parts[0], parts[1], 9)
	f.Fuzz(dissecttest.FuzzCut)
}
