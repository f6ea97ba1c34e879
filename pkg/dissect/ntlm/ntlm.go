package ntlm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Flags of a message (MS-NLMP 2.2.2.5).
const (
	flagUnicode       = 0x00000001
	flagESS           = 0x00080000 // extended session security
	flagDomain        = 0x00001000
	flagWorkstation   = 0x00002000
	flagTargetInfo    = 0x00800000
	flagVersion       = 0x02000000
	maxName           = 256 // characters
	maxPairs          = 32
	challengeOfLMv1   = 24 // bytes of an answer of version 1 (MS-NLMP 2.2.2.6)
	lengthOfSignature = 8
)

var signature = []byte("NTLMSSP\x00")

// Find gives the message inside a security blob, raw or wrapped in SPNEGO; nil
// where there is none. All offsets inside are relative to the signature, and a
// Kerberos token does not contain that.
func Find(blob []byte) []byte {
	if i := bytes.Index(blob, signature); i >= 0 {
		return blob[i:]
	}
	return nil
}

// Emit emits what the message m, which Find gave, says of its sender; it reports
// whether m was the last of an exchange.
//
//	0 signature (8) | 8 type (4) | type 1: flags (4) domain workstation version
//	                             | type 2: target (8) flags (4) challenge (8) reserved (8) info (8) version
//	                             | type 3: lm (8) nt (8) domain user workstation key (8 each) flags (4) version
//
// where names are a length, a capacity (2 bytes each) and an offset (4).
func Emit(c *dissector.Context, m []byte) (last bool) {
	if len(m) < 16 {
		c.Count("ntlm_malformed")
		return false
	}
	switch binary.LittleEndian.Uint32(m[lengthOfSignature:]) {
	case 1:
		negotiate(c, m)
	case 2:
		challenge(c, m)
	case 3:
		authenticate(c, m)
		return true
	default:
		c.Count("ntlm_malformed")
	}
	return false
}

func negotiate(c *dissector.Context, m []byte) {
	flags := binary.LittleEndian.Uint32(m[12:])
	f := dissector.Fact{Kind: "ntlm_negotiate", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("os_version", version(m, flags, 32))
	if flags&flagDomain != 0 {
		f.Attributes.Set("netbios_domain", oem(field(m, 16)))
	}
	if flags&flagWorkstation != 0 {
		f.Attributes.Set("computer_name", oem(field(m, 24)))
	}
	if len(f.Attributes) > 1 {
		c.Emit(&f)
	}
}

// pairs are the attributes of the target info (MS-NLMP 2.2.2.1).
var pairs = [...]string{
	1: "computer_name",
	2: "netbios_domain",
	3: "dns_computer_name",
	4: "dns_domain",
	5: "dns_forest",
}

func challenge(c *dissector.Context, m []byte) {
	if len(m) < 32 {
		c.Count("ntlm_malformed")
		return
	}
	flags := binary.LittleEndian.Uint32(m[20:])
	f := dissector.Fact{Kind: "ntlm_challenge", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "server")
	f.Attributes.Set("target_name", text(field(m, 12), flags))
	f.Attributes.Set("os_version", version(m, flags, 48))
	if flags&flagTargetInfo != 0 {
		info(c, &f, begun(m, 40))
	}
	c.Emit(&f)
}

func info(c *dissector.Context, f *dissector.Fact, b []byte) {
	for range maxPairs {
		if len(b) < 4 {
			break
		}
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if id == 0 {
			return
		}
		if n > len(b)-4 {
			break
		}
		if int(id) < len(pairs) {
			if name := pairs[id]; f.Attributes.Get(name) == "" {
				f.Attributes.Set(name, wide(b[4:4+n]))
			}
		}
		b = b[4+n:]
	}
	c.Count("ntlm_info_malformed")
}

func authenticate(c *dissector.Context, m []byte) {
	if len(m) < 52 {
		c.Count("ntlm_malformed")
		return
	}
	// Messages of before Windows 2000 end with the fields, which begin right there.
	flags := uint32(flagUnicode)
	if first := binary.LittleEndian.Uint32(m[32:]); len(m) >= 64 && first >= 64 {
		flags = binary.LittleEndian.Uint32(m[60:])
	}
	lm, nt := field(m, 12), field(m, 20)
	user := text(field(m, 36), flags)
	f := dissector.Fact{Kind: "ntlm_authenticate", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	name := func(attribute string, at int) {
		s := text(field(m, at), flags)
		if s != "" && strings.EqualFold(s, user) {
			c.Count("ntlm_identity_withheld")
			return
		}
		f.Attributes.Set(attribute, s)
	}
	if user != "" {
		f.Attributes.Set("account", dissector.Account([]byte(user)))
	}
	name("netbios_domain", 28)
	name("computer_name", 44)
	if flags&flagVersion != 0 && binary.LittleEndian.Uint32(m[32:]) >= 72 {
		f.Attributes.Set("os_version", version(m, flags, 64))
	}
	if v := strength(m, lm, nt, flags); v != "" {
		f.Attributes.Set("ntlm_version", v)
		if v == "v1" || v == "lm" {
			f.Attributes.Set("legacy", "true")
		}
	}
	c.Emit(&f)
}

// strength tells the versions of an answer apart by their lengths (MS-NLMP
// 2.2.2.3 to 2.2.2.8): 24 bytes are version 1, more are version 2.
func strength(m, lm, nt []byte, flags uint32) string {
	announced := binary.LittleEndian.Uint16(m[20:])
	switch {
	case announced > challengeOfLMv1:
		return "v2"
	case len(nt) == challengeOfLMv1:
		return "v1"
	case announced > 0:
		return ""
	case len(lm) == challengeOfLMv1 && flags&flagESS == 0 && !bytes.Equal(lm, make([]byte, challengeOfLMv1)):
		return "lm"
	case len(lm) <= 1:
		return "anonymous"
	}
	return ""
}

// version is "10.0.19041" of the eight bytes at off: major, minor, build.
func version(m []byte, flags uint32, off int) string {
	if flags&flagVersion == 0 || len(m) < off+8 || m[off] == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", m[off], m[off+1], binary.LittleEndian.Uint16(m[off+2:]))
}

// field is what the length and offset at off point at, nil where that is outside.
func field(m []byte, off int) []byte {
	if len(m) < off+8 {
		return nil
	}
	n, at := uint64(binary.LittleEndian.Uint16(m[off:])), uint64(binary.LittleEndian.Uint32(m[off+4:]))
	if n == 0 || at+n > uint64(len(m)) {
		return nil
	}
	return m[at : at+n]
}

// begun is a field, or the beginning of one that ends outside.
func begun(m []byte, off int) []byte {
	if len(m) < off+8 {
		return nil
	}
	n, at := uint64(binary.LittleEndian.Uint16(m[off:])), uint64(binary.LittleEndian.Uint32(m[off+4:]))
	if at > uint64(len(m)) {
		return nil
	}
	return m[at:min(at+n, uint64(len(m)))]
}

func text(b []byte, flags uint32) string {
	if flags&flagUnicode != 0 {
		return wide(b)
	}
	return oem(b)
}

func oem(b []byte) string { return dissector.Text(b, maxName) }

// wide is UTF-16LE.
func wide(b []byte) string {
	if len(b) > 2*maxName {
		return ""
	}
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return dissector.Text([]byte(string(utf16.Decode(u))), maxName)
}
