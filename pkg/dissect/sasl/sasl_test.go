package sasl

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// sink keeps the kinds of facts.
type sink struct{ kinds []string }

func (s *sink) Emit(f *dissector.Fact)                       { s.kinds = append(s.kinds, f.Kind) }
func (*sink) Count(string)                                   {}
func (*sink) Inner(string)                                   {}
func (*sink) Expect(proto.Transport, netip.AddrPort, string) {}
func (*sink) Done()                                          {}

func TestExchange(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tc := range []struct {
		mechanism string
		tokens    []string
		want      string
	}{
		{"PLAIN", []string{b64("\x00root\x00canary")}, "[{account administrator []} {cleartext_credential plain []} {mechanism plain []}]"},
		{"plain", []string{b64("canary\x00jdoe\x00canary")}, "[{account other []} {cleartext_credential plain []} {mechanism plain []}]"},
		{"LOGIN", []string{b64("guest"), b64("canary")}, "[{account guest []} {cleartext_credential login []} {mechanism login []}]"},
		{"LOGIN", []string{"=", b64("root")}, "[{account empty []} {cleartext_credential login []} {mechanism login []}]"},
		{"CRAM-MD5", []string{b64("jdoe 1234")}, "[{legacy true []} {mechanism cram_md5 []}]"},
		{"XOAUTH2", []string{b64("user=canary\x01auth=Bearer canary")}, "[{cleartext_credential bearer []} {mechanism xoauth2 []}]"},
		{"ANONYMOUS", []string{b64("canary")}, "[{account anonymous []} {mechanism anonymous []}]"},
		{"CANARY", []string{"not base64!", "*"}, "[{mechanism other []}]"},
		{strings.Repeat("A", 99), nil, "[{mechanism other []}]"},
		{"NTLM", []string{b64("NTLMSSP\x00\x01\x00\x00\x00\x00\x00\x00\x02" + strings.Repeat("\x00", 16) + "\x0a\x00\x61\x4a\x00\x00\x00\x0f")}, "[{legacy true []} {mechanism ntlm []}]"},
	} {
		var x Exchange
		s := new(sink)
		c := &dissector.Context{Headers: new(packet.Headers), Sink: s}
		x.Begin([]byte(tc.mechanism))
		for _, token := range tc.tokens {
			x.Text(c, []byte(token), true)
		}
		var a proto.Attributes
		x.Set(&a)
		if got := fmt.Sprint(a); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.mechanism, got, tc.want)
		}
		if tc.mechanism == "NTLM" != (len(s.kinds) == 1) {
			t.Errorf("%s: %v", tc.mechanism, s.kinds)
		}
		if x.End(); x.Active() {
			t.Error("it has ended")
		}
	}
}
