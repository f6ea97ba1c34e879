package ssh_test

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/proto"
)

// kexinit is a KEXINIT packet of ten lists.
func kexinit(lists ...string) []byte {
	body := append([]byte{20}, make([]byte, 16)...)
	for i := range 10 {
		s := ""
		if i < len(lists) {
			s = lists[i]
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(s))), s...)
	}
	body = append(body, 0, 0, 0, 0, 0)
	padding := make([]byte, 8)
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(body)+len(padding)))
	return slices.Concat(b, []byte{byte(len(padding))}, body, padding)
}

func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, p := range parts {
		if p != "" {
			c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(p)})
		}
	}
	return c
}

func play(parts ...string) *dissecttest.Result {
	return dissecttest.Play(dissect.Config{}, say(parts...).Segments(true))
}

var offer = kexinit("kex", "host", "e-cs", "e-sc", "m-cs", "m-sc", "c-cs", "c-sc")

func sum(s string) string {
	x := md5.Sum([]byte(s))
	return hex.EncodeToString(x[:])
}

func TestBanners(t *testing.T) {
	r := play("", "SSH-2.0-OpenSSH_9.6p1 Debian-4\r\n", "SSH-2.0-PuTTY_0.80\r\n"+string(offer), string(offer))
	want := []string{
		`banner 1 role=server software=OpenSSH_9.6p1 comment=Debian-4 ssh_version=2.0`,
		`banner 0 role=client software=PuTTY_0.80 comment= ssh_version=2.0`,
		`kexinit 0 role=client hassh=` + sum("kex;e-cs;m-cs;c-cs") + ` hassh_server=`,
		`kexinit 1 role=server hassh= hassh_server=` + sum("kex;e-sc;m-sc;c-sc"),
	}
	var got []string
	for _, f := range r.Facts {
		s := fmt.Sprintf("%s %d", f.Kind, f.Subject.Side)
		names := []string{"role", "software", "comment", "ssh_version"}
		if f.Kind == "kexinit" {
			names = []string{"role", "hassh", "hassh_server"}
		}
		for _, n := range names {
			s += " " + n + "=" + f.Attributes.Get(n)
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if f := r.Flows[0]; f.Protocol != "ssh" || f.By != proto.ByContent {
		t.Errorf("%+v", f)
	}
}

// Names that only one side says beat who opened the connection.
func TestRoles(t *testing.T) {
	r := play("SSH-2.0-a\r\n"+string(kexinit("curve,kex-strict-s-v00@openssh.com")), "SSH-2.0-b\r\n"+string(kexinit("curve,ext-info-c")))
	f := r.Of("ssh", "kexinit")
	if len(f) != 2 || f[0].Attributes.Get("hassh_server") == "" || f[1].Attributes.Get("hassh") == "" {
		t.Error(r.Text())
	}
}

func TestBroken(t *testing.T) {
	for _, tc := range []struct{ name, text, counter string }{
		{"no software", "SSH-2.0\r\n", "ssh_banner_malformed"},
		{"a banner of 300 bytes", "SSH-2.0-" + strings.Repeat("x", 300), "ssh_banner_malformed"},
		{"a list that is longer than the packet", "SSH-2.0-x\r\n" + strings.Replace(string(offer), "\x00\x00\x00\x04host", "\x00\xff\x00\x04host", 1), "ssh_kexinit_malformed"},
		{"a packet of a gigabyte", "SSH-2.0-x\r\n\x40\x00\x00\x00\x04\x14aaa", "ssh_kexinit_size"},
		{"an empty packet", "SSH-2.0-x\r\n\x00\x00\x00\x00\x04\x14aaa", "ssh_kexinit_size"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.text)
			if r.Counters[tc.counter] != 1 || len(r.Panics) > 0 || r.Flows[0].Protocol != "ssh" || len(r.Of("ssh", "kexinit")) > 0 {
				t.Errorf("%v %v %s", r.Counters, r.Panics, r.Text())
			}
		})
	}
	if r := play("SSH-3.0-x\r\n"); r.Flows[0].By == proto.ByContent {
		t.Error("SSH 3 is unheard of")
	}
	if r := play("SSH-1.5-old\r\n\x00\x00\x01\x07"); len(r.Of("ssh", "banner")) != 1 || len(r.Counters) > 1 {
		t.Error(r.Text(), r.Counters)
	}
}

// Nothing behind the two KEXINIT is read: there people log in.
func TestStops(t *testing.T) {
	c := say("SSH-2.0-a\r\n"+string(offer), "SSH-2.0-b\r\n"+string(offer))
	for range 100 {
		c = append(c, say("user canary password canary", "secret")...)
	}
	r := dissecttest.Play(dissect.Config{}, c.Segments(true))
	if n := r.Counters["tcp_segments"]; n != 2 || strings.Contains(string(r.Everything()), "canary") {
		t.Errorf("%d segments were read: %s", n, r.Text())
	}
	dissecttest.PlantedTalks(t, "ssh", 9999, []string{"user canary password canary"}, c[:6])
	// A server that never answers is waited for in vain, but not for ever.
	c = say("SSH-2.0-a\r\n" + string(offer))
	for range 100 {
		c = append(c, dissecttest.Chunk{Data: make([]byte, 1400)})
	}
	if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); r.Counters["tcp_segments"] > 50 {
		t.Errorf("%d segments were read", r.Counters["tcp_segments"])
	}
}

// A capture that begins after the handshake of TCP still has the banners.
func TestMidstream(t *testing.T) {
	r := dissecttest.Play(dissect.Config{}, say("SSH-2.0-a\r\n"+string(offer), "SSH-2.0-b\r\n"+string(offer)).Segments(false))
	if len(r.Of("ssh", "banner")) != 2 || len(r.Of("ssh", "kexinit")) != 2 {
		t.Error(r.Text())
	}
}

// FuzzStream also holds any input to the rule that cuts change nothing.
func FuzzStream(f *testing.F) {
	f.Add("SSH-2.0-a\r\n", "SSH--\n", 3)
	f.Add("SSH-2.0-a\r\n"+string(offer), "hello\r\nSSH-2.0-b c\n"+string(offer), 40)
	f.Fuzz(func(t *testing.T, a, b string, cut int) {
		c := say(a, b, a)
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 {
			t.Fatal(got.Panics)
		}
		// Which protocol's beginning a first segment looks like is for where it is cut to say.
		if want.Flows[0].Protocol == "ssh" && got.Flows[0].Protocol == "ssh" && got.Text() != want.Text() {
			t.Fatalf("got\n%swant\n%s", got.Text(), want.Text())
		}
	})
}

// BenchmarkConnection is both banners and both KEXINIT.
func BenchmarkConnection(b *testing.B) {
	list := say("SSH-2.0-a\r\n"+string(offer), "SSH-2.0-b\r\n"+string(offer)).Segments(true)
	e := dissect.New(dissect.Config{Key: dissecttest.Key, Emit: func(*dissect.Packet, *dissect.Fact) {}})
	b.ReportAllocs()
	for b.Loop() {
		var f dissect.Flow
		var p dissect.Packet
		for i := range list {
			p = dissect.Packet{Headers: &list[i], Flow: &f, FromSrc: list[i].SrcPort == list[0].SrcPort}
			e.Packet(&p)
		}
		e.Close(&f)
	}
}
