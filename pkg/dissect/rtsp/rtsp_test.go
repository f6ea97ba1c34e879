package rtsp_test

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/rtsp"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var secrets = []string{"canaryuser", "CANARY-ALFA", "PHI-0001-CANARY", "canarypassword"}

func conversation() dissecttest.Conversation {
	basic := base64.StdEncoding.EncodeToString([]byte("admin:canarypassword"))
	var c dissecttest.Conversation
	say := func(side int, s string) { c = append(c, dissecttest.Chunk{Side: side, Data: []byte(s)}) }
	say(0, "DESCRIBE rtsp://10.1.2.4/CANARY-ALFA RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: LibVLC/3.0.16 (LIVE555 Streaming Media v2016.11.28)\r\n\r\n")
	say(1, "RTSP/1.0 401 Unauthorized CANARY-ALFA\r\nCSeq: 1\r\nServer: Rtsp Server/3.0\r\nWWW-Authenticate: Digest realm=\"IP Camera\", nonce=\"PHI-0001-CANARY\"\r\nWWW-Authenticate: Basic realm=\"IP Camera\"\r\n\r\n")
	say(0, "DESCRIBE rtsp://canaryuser:canarypassword@10.1.2.4/CANARY-ALFA RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Basic "+basic+"\r\nUser-Agent: LibVLC/3.0.16 (LIVE555 Streaming Media v2016.11.28)\r\n\r\n")
	say(1, "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Base: rtsp://CANARY-ALFA\r\nContent-Type: application/sdp\r\nServer: Rtsp Server/3.0\r\nContent-Length: 30\r\n\r\nv=0\r\ns=CANARY-ALFA\r\ni=PHI-0001\r\n")
	say(0, "SETUP rtsp://10.1.2.4/CANARY-ALFA/trackID=1 RTSP/1.0\r\nCSeq: 3\r\nAuthorization: Digest username=\"canaryuser\", response=\"canarypassword\"\r\nTransport: RTP/AVP;unicast;client_port=50220-50221\r\n\r\n")
	say(1, "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: CANARY-ALFA\r\nTransport: RTP/AVP;unicast;client_port=50220-50221;server_port=6256-6257;ssrc=CANARY\r\n\r\n")
	say(0, "PLAY rtsp://10.1.2.4/CANARY-ALFA RTSP/1.0\r\nCSeq: 4\r\nUser-Agent: canaryuser@example.org\r\n\r\n")
	say(1, "RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n$\x00\x00\x0bCANARY-ALFA$\x01\x00\x0fPHI-0001-CANARY")
	say(0, "$\x01\x00\x04RTCPTEARDOWN rtsp://10.1.2.4/ RTSP/1.0\r\nCSeq: 5\r\n\r\n")
	return c
}

func TestConversation(t *testing.T) {
	r := dissecttest.EveryCut(t, conversation())
	want := `rtsp request > method=describe user_agent=LibVLC/3.0.16 (LIVE555 Streaming Media v2016.11.28)
rtsp response < auth=basic realm=IP Camera server=Rtsp Server/3.0 status=401
rtsp request > account=administrator auth=basic cleartext_credential=basic method=describe user_agent=LibVLC/3.0.16 (LIVE555 Streaming Media v2016.11.28)
rtsp response < server=Rtsp Server/3.0 status=200
rtsp request > account=other auth=digest method=setup
rtsp response < status=200
rtsp request > method=play
rtsp session > methods=describe:2|setup:1|play:1|teardown:1
`
	f := r.Flows[0]
	if r.Brief() != want || f.Protocol != "rtsp" || f.By != proto.ByContent || strings.Join(f.Inner, " ") != "rtcp rtp" {
		t.Errorf("%+v got\n%swant\n%s", f, r.Brief(), want)
	}
}

func TestCanaries(t *testing.T) { dissecttest.NoLeak(t, secrets, conversation()) }

// The ports that both agree on.
func TestMedia(t *testing.T) {
	r := dissecttest.NewRunner(dissect.Config{})
	list := conversation().Segments(true)
	for i := range list {
		r.Headers(&list[i])
	}
	for _, ports := range [][2]uint16{{50220, 6256}, {50221, 6257}} {
		h := dissecttest.Datagram(1, [2]uint16{ports[0], ports[1]}, []byte("any bytes"))
		h.SrcIP, h.DstIP = netip.MustParseAddr("10.1.2.4"), netip.MustParseAddr("10.1.2.3")
		h.SrcPort, h.DstPort = 1, ports[0] // the server may speak from elsewhere
		r.Headers(&h)
	}
	f := r.Finish().Flows
	if len(f) != 3 || f[1].Protocol != "rtp" || f[1].By != proto.ByContext || f[2].Protocol != "rtcp" {
		t.Errorf("%+v %+v", f[1], f[2])
	}
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{
		"SETUP rtsp://a RTSP/1.0\r\n": dissector.Yes, "OPTIONS * RTSP/2.0\r\n": dissector.Yes, "RTSP/1.0 200 OK\r\n": dissector.Yes, "RTSP/1.0 2": dissector.More, "OPT": dissector.More, "OPTIONS rtsp": dissector.More,
		"RTSP/1.0 abc\r\n": dissector.No, "OPTIONS sip:a SIP/2.0\r\n": dissector.No, "OPTIONS / HTTP/1.1\r\n": dissector.No, "PLAY\x00": dissector.No, "GET / HTTP/1.1": dissector.No,
	} {
		if got := rtsp.Protocol.Recognise([]byte(in), false); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// A stream of media between the messages is not read for ever.
func TestStops(t *testing.T) {
	c := conversation()
	for range 500 {
		c = append(c, dissecttest.Chunk{Side: 1, Data: append([]byte("$\x00\xff\xf0"), make([]byte, 0xfff0)...)})
	}
	if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); r.Counters["tcp_segments"] > 200 || !strings.Contains(r.Brief(), "incomplete=true") {
		t.Errorf("%d segments: %s", r.Counters["tcp_segments"], r.Brief())
	}
}

// nDPI's result of this capture.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/rtsp_setup_http.pcapng")))
	if r.Flows[0].Protocol != "rtsp" || !strings.Contains(r.Brief(), "request > method=setup user_agent=LibVLC/3.0.16") {
		t.Error(r.Brief())
	}
}

func FuzzStream(f *testing.F) {
	var parts [2][]byte
	for _, x := range conversation() {
		parts[x.Side] = append(parts[x.Side], x.Data...)
	}
	f.Add(parts[0], parts[1], 40)
	f.Fuzz(dissecttest.FuzzCut)
}
