package ftp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

func TestRecognise(t *testing.T) {
	for _, tc := range []struct {
		in        string
		midstream bool
		want      dissector.Verdict
	}{
		{"220 (vsFTPd 3.0.3)\r\n", false, dissector.Yes},
		{"220-Welcome\r\n220-to the FTP server\r\n", false, dissector.Yes},
		{"220 (vsFTP", false, dissector.More},
		{"220 service ready\r\n", false, dissector.More},
		{"220 mail.example.org ESMTP Postfix\r\n", false, dissector.No},
		{"220 service ready\r\n", true, dissector.No},
		{"22", false, dissector.More},
		{"250 ok\r\n", false, dissector.No},
		{"227 Entering Passive Mode (10,1,2,3,4,5)\r\n", true, dissector.Yes},
		{"USER anonymous\r\n", false, dissector.Yes},
		{"user a", false, dissector.More},
		{"USER a 0 * :name\r\n", false, dissector.No},
		{"AUTH TLS\r\n", false, dissector.Yes},
		{"AUTH LOGIN\r\n", false, dissector.No},
		{"PORT 10,1,2,3,4,5\r\n", true, dissector.Yes},
		{"PORT here\r\n", true, dissector.No},
		{"GET / HTTP/1.1\r\n", false, dissector.No},
		{"\x16\x03\x01", false, dissector.No},
		{"USER \x00\x01\r\n", false, dissector.No},
	} {
		if got := recognise([]byte(tc.in), tc.midstream); got != tc.want {
			t.Errorf("%q: %d, want %d", tc.in, got, tc.want)
		}
	}
}

func TestVerbs(t *testing.T) {
	if !slices.IsSorted(verbs) || len(verbs) > len(stream{}.counts) {
		t.Error("the commands are searched in order")
	}
	for _, v := range verbs {
		if verb([]byte(strings.ToLower(v))) == other {
			t.Errorf("%s is not found", v)
		}
	}
	for _, v := range []string{"", "X", "USERS", "GETT"} {
		if verb([]byte(v)) != other {
			t.Errorf("%q is no command", v)
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"Entering Passive Mode (10,1,2,3,195,80).": "10.1.2.3:50000", "=10,1,2,3,195,80": "10.1.2.3:50000", "10,1,2,3,195,80": "10.1.2.3:50000",
		"(10,1,2,3,195)": "", "(10,1,2,256,195,80)": "", "(10,1,2,3,0,0)": "", "": "",
	} {
		a, p, ok := passive([]byte(in))
		if got := text(a, p, ok); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"|||6446|)": "any:6446", "|1|132.235.1.2|6275|": "132.235.1.2:6275", "|2|1080::8:800:200C:417A|5282|": "[1080::8:800:200c:417a]:5282",
		"|1|x|6275|": "", "|||0|": "", "|||": "", "": "", "1111111": "", "|||99999|": "",
	} {
		a, p, ok := extendedPort([]byte(in))
		if got := text(a, p, ok); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func text(a netip.Addr, port uint16, ok bool) string {
	if !ok {
		return ""
	}
	if !a.IsValid() {
		return fmt.Sprint("any:", port)
	}
	return fmt.Sprint(netip.AddrPortFrom(a, port))
}
