package kerberos

import (
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/ber"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// etypes are the encryption types (IANA, Kerberos Encryption Type Numbers).
var etypes = map[int64]string{
	1: "des-cbc-crc", 2: "des-cbc-md4", 3: "des-cbc-md5", 5: "des3-cbc-md5", 7: "des3-cbc-sha1", 16: "des3-cbc-sha1-kd",
	17: "aes128-cts-hmac-sha1-96", 18: "aes256-cts-hmac-sha1-96", 19: "aes128-cts-hmac-sha256-128", 20: "aes256-cts-hmac-sha384-192", 23: "rc4-hmac", 24: "rc4-hmac-exp",
	25: "camellia128-cts-cmac", 26: "camellia256-cts-cmac", -128: "rc4-md4", -133: "rc4-hmac-old", -135: "rc4-hmac-old-exp",
}

func etype(n int64) string {
	if s := etypes[n]; s != "" {
		return s
	}
	return strconv.FormatInt(n, 10)
}

// weak holds for DES and RC4 (RFC 6649, RFC 8429).
func weak(n int64) bool {
	return n >= 1 && n <= 7 || n == 16 || n == 23 || n == 24 || n < 0
}

// classes are the services whose class is told by name (MS-KILE, Active Directory's
// service principal names).
var classes = map[string]bool{
	"host": true, "cifs": true, "ldap": true, "http": true, "https": true, "dns": true, "gc": true, "termsrv": true, "mssqlsvc": true, "rpcss": true, "rpc": true, "wsman": true, "krbtgt": true, "kadmin": true,
	"restrictedkrbhost": true, "nfs": true, "ftp": true, "imap": true, "pop": true, "smtp": true, "smtpsvc": true, "exchangemdb": true, "exchangerfr": true, "exchangeab": true, "exchange": true, "sip": true,
	"afpserver": true, "vnc": true, "xmpp": true, "postgres": true, "mongodb": true, "oracle": true, "kafka": true, "hdfs": true, "ipp": true, "print": true, "spooler": true, "netlogon": true, "protectedstorage": true,
	"msserverclustermgmtapi": true, "msclusvirtualserver": true, "dfsr-12f9a27c-bf97-4787-9364-d31b6c55eb04": true, "e3514235-4b06-11d1-ab04-00c04fc2dcd2": true, "tapinego": true, "hyper-v replica service": true, "microsoft virtual console service": true,
}

// principal is a PrincipalName (RFC 4120 5.2.2).
type principal struct {
	kind  int64
	parts []string
}

// principalOf reads { [0] kind, [1] strings }.
func principalOf(v ber.Value) (p principal) {
	if k, ok := ber.Field(v.Body, 0); ok {
		p.kind, _ = k.Int()
	}
	if list, ok := ber.Field(v.Body, 1); ok {
		ber.Each(list.Body, func(x ber.Value) bool {
			p.parts = append(p.parts, string(x.Body[:min(len(x.Body), maxName+1)]))
			return len(p.parts) < maxParts
		})
	}
	return p
}

const (
	maxName  = 255
	maxParts = 4
)

// setService tells the service and its host. A name of one part may be a user's
// (user-to-user authentication), unless it is a computer's account.
func (p principal) setService(a *proto.Attributes) {
	switch {
	case len(p.parts) == 1:
		a.Set("service_host", computer(p.parts[0]))
	case len(p.parts) >= 2 && p.kind != 10: // an enterprise name is a user's
		class := strings.ToLower(p.parts[0])
		if !classes[class] {
			class = "other"
		}
		a.Set("service_class", class)
		if class == "krbtgt" {
			a.Set("service_realm", realm([]byte(p.parts[1])))
			return
		}
		host, _, _ := strings.Cut(p.parts[1], ":") // a port or an instance
		a.Set("service_host", banner.Host([]byte(host), class != "other" && class != "kadmin"))
	}
}

// client is the computer that a client's name stands for, "" for a user's.
func (p principal) client() string {
	switch {
	case len(p.parts) == 1:
		return computer(p.parts[0])
	case len(p.parts) == 2 && strings.EqualFold(p.parts[0], "host"):
		return banner.Host([]byte(p.parts[1]), true)
	}
	return ""
}

// computer is the name in a computer's account, "WS7$".
func computer(s string) string {
	name, ok := strings.CutSuffix(s, "$")
	if !ok || name == "" {
		return ""
	}
	if i := strings.IndexByte(name, '\\'); i >= 0 { // DOMAIN\WS7$
		name = name[i+1:]
	}
	if banner.Host([]byte(name), true) == "" {
		return ""
	}
	return dissector.Text([]byte(name), 63)
}

// realm is a realm's name where it looks like one: a domain, in any case.
func realm(b []byte) string {
	s := dissector.Text(b, maxName)
	if banner.Host([]byte(s), true) == "" {
		return ""
	}
	return s
}

// netbios is the name in a client's addresses (RFC 4120 7.5.3, type 20): fifteen
// characters with spaces, and the kind of name.
func netbios(b []byte) string {
	if len(b) != 16 {
		return ""
	}
	s := dissector.Text(b[:15], 15)
	if banner.Host([]byte(s), true) == "" {
		return ""
	}
	return s
}
