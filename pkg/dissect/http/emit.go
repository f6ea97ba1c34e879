package http

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const (
	maxFacts    = 16 // of a side of a connection
	maxStatuses = 16
)

// seen is what was said of a connection, so that it is said once.
type seen struct {
	client   dissector.Side
	requests int
	methods  [otherMethod + 1]int32
	statuses []statusCount
	told     [2][]uint64 // hashes of what was told of clients and of servers
	told2    bool        // all is told
}

type statusCount struct{ code, n int }

func (s *seen) size() int { return 8*(cap(s.told[0])+cap(s.told[1])) + 16*cap(s.statuses) }

// news reports whether a combination of values was not told yet.
func (s *seen) news(c *dissector.Context, side int, extra uint8, values ...[]byte) bool {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write([]byte{extra})
	for _, v := range values {
		_, _ = d.Write(v)
		_, _ = d.Write([]byte{0})
	}
	sum := d.Sum64()
	if slices.Contains(s.told[side], sum) {
		return false
	}
	if len(s.told[side]) == maxFacts {
		c.Count("http_values_skipped")
		return false
	}
	s.told[side] = append(s.told[side], sum)
	return true
}

func (s *seen) request(c *dissector.Context, m *message) {
	s.client = c.Side
	s.requests++
	s.methods[m.method]++
	if in := inner(m.kind); in != "" {
		c.Sink.Inner(in)
	}
	if s.news(c, 0, uint8(m.scheme), m.host, m.agent, []byte(m.account)) {
		f := dissector.Fact{Kind: "request", Subject: dissector.Subject{Side: c.Side}}
		a := &f.Attributes
		a.Set("role", "client")
		a.Set("host", host(m.host))
		a.Set("user_agent", agent(c, m.agent))
		a.Set("method", methodName(m.method))
		a.Set("http_version", version(m.minor))
		a.Set("auth", schemeNames[m.scheme])
		a.Set("account", m.account)
		if m.scheme.secret() {
			a.Set("cleartext_credential", schemeNames[m.scheme])
		}
		a.Set("upgrade", upgrades[string(bytes.ToLower(m.upgrade))])
		c.Emit(&f)
	}
	m.tell(c)
}

func (s *seen) response(c *dissector.Context, m *message) {
	s.status(m.status)
	if in := inner(m.kind); in != "" {
		c.Sink.Inner(in)
	}
	if s.news(c, 1, uint8(m.scheme), m.server, m.powered, m.realm) {
		f := dissector.Fact{Kind: "response", Subject: dissector.Subject{Side: c.Side}}
		a := &f.Attributes
		a.Set("role", "server")
		a.Set("server", dissector.Text(m.server, maxValue))
		a.Set("status", strconv.Itoa(m.status))
		a.Set("http_version", version(m.minor))
		a.Set("content_type", family(m.kind))
		a.Set("powered_by", dissector.Text(m.powered, maxValue))
		a.Set("auth", schemeNames[m.scheme])
		a.Set("realm", dissector.Text(m.realm, maxValue))
		c.Emit(&f)
	}
	m.tell(c)
}

func (s *seen) status(code int) {
	for i := range s.statuses {
		if s.statuses[i].code == code {
			s.statuses[i].n++
			return
		}
	}
	if len(s.statuses) < maxStatuses {
		s.statuses = append(s.statuses, statusCount{code, 1})
	}
}

// finish tells the sums of a connection with several requests, once.
func (s *seen) finish(c *dissector.Context, incomplete bool) {
	if s.requests < 2 || s.told2 {
		return
	}
	s.told2 = true
	f := dissector.Fact{Kind: "transactions", Subject: dissector.Subject{Side: s.client}}
	a := &f.Attributes
	a.Set("role", "client")
	var list []string
	for i, n := range s.methods {
		if n > 0 {
			list = append(list, methodName(i)+":"+strconv.Itoa(int(n)))
		}
	}
	a.SetList("methods", list)
	slices.SortFunc(s.statuses, func(a, b statusCount) int { return cmp.Compare(a.code, b.code) })
	list = nil
	for _, x := range s.statuses {
		list = append(list, strconv.Itoa(x.code)+":"+strconv.Itoa(x.n))
	}
	a.SetList("statuses", list)
	if incomplete {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
}

func methodName(i int) string {
	if i < len(methods) {
		return methods[i]
	}
	return "other"
}

// minorTwo stands for version 2, which has no minor one.
const minorTwo = '!'

func version(minor byte) string {
	switch {
	case minor == minorTwo:
		return "2"
	case !digit(minor):
		return ""
	}
	return "1." + string(minor)
}

// host is the host of a Host header in lower case, without its port and only
// where it looks like one: a name or an address (RFC 9110 7.2).
func host(b []byte) string {
	if len(b) > 0 && b[0] == '[' {
		if i := bytes.IndexByte(b, ']'); i > 0 {
			if ip, err := netip.ParseAddr(string(b[1:i])); err == nil {
				return ip.WithZone("").String()
			}
		}
		return ""
	}
	if i := bytes.LastIndexByte(b, ':'); i >= 0 {
		b = b[:i]
	}
	for _, x := range b {
		if ok := x >= 'a' && x <= 'z' || x >= 'A' && x <= 'Z' || digit(x) || x == '.' || x == '-' || x == '_'; !ok {
			return ""
		}
	}
	return dissector.Text(bytes.ToLower(b), maxHost)
}

// agent withholds a program's name that has a mail address in it.
func agent(c *dissector.Context, b []byte) string {
	if bytes.IndexByte(b, '@') >= 0 {
		c.Count("http_user_agent_withheld")
		return ""
	}
	return dissector.Text(b, maxAgent)
}

// families are the words for content types: nothing of a type itself leaves.
var families = map[string]string{
	"text/html": "html", "application/xhtml+xml": "html", "text/css": "css", "text/javascript": "javascript", "application/javascript": "javascript",
	"application/x-javascript": "javascript", "application/json": "json", "application/xml": "xml", "text/xml": "xml", "application/soap+xml": "soap",
	"application/pdf": "pdf", "application/octet-stream": "binary", "application/x-www-form-urlencoded": "form", "multipart/form-data": "form",
	"application/ipp": "ipp", "application/fhir+json": "fhir", "application/fhir+xml": "fhir", "application/json+fhir": "fhir", "application/xml+fhir": "fhir",
	"application/dicom": "dicom", "application/dicom+json": "dicom", "application/dicom+xml": "dicom", "application/hl7-v2": "hl7", "application/hl7-v2+er7": "hl7",
	"x-application/hl7-v2+er7": "hl7", "application/grpc": "grpc", "application/grpc+proto": "grpc", "application/grpc-web": "grpc", "application/grpc-web+proto": "grpc",
}

// family is the word for a content type in lower case: the table's, else its first half where
// that is a registered one (RFC 6838).
func family(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if bytes.Contains(b, []byte("application/dicom")) { // multipart/related; type="application/dicom"
		return "dicom"
	}
	kind, _, _ := bytes.Cut(b, []byte(";"))
	kind = bytes.TrimSpace(kind)
	if f := families[string(kind)]; f != "" {
		return f
	}
	top, _, _ := bytes.Cut(kind, []byte("/"))
	switch string(top) {
	case "text", "image", "audio", "video", "font", "multipart":
		return string(top)
	}
	return "other"
}

// inners are the protocols that a content type shows.
var inners = map[string]string{"ipp": "ipp", "fhir": "fhir", "dicom": "dicomweb", "hl7": "hl7", "grpc": "grpc"}

func inner(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return inners[family(b)]
}
