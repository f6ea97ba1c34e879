package ssdp

import (
	"bytes"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is SSDP.
var Protocol = dissector.Protocol{Name: "ssdp", Ports: []uint16{port}, Datagram: datagram}

const (
	port = 1900

	maxHeaders = 64  // lines of one message that are read
	maxLine    = 512 // bytes of a line that is read
	maxText    = 128 // bytes of a value that is told
	maxKey     = 32
)

// The start lines (UPnP DA 1.2.2, 1.3.2, 1.3.3), with the version that all use.
var (
	lineNotify   = []byte("NOTIFY * HTTP/1.")
	lineSearch   = []byte("M-SEARCH * HTTP/1.")
	lineResponse = []byte("HTTP/1.1 200")
)

// message is one message: the headers that are read.
type message struct {
	header [headers][]byte
	read   int // lines
}

// The headers that are read.
const (
	hNT = iota
	hNTS
	hST
	hUSN
	hServer
	hLocation
	hMaxAge
	hUserAgent
	hBridge
	hModel
	hPhysicalUnit
	hServerInfo
	hWakeup
	headers
)

// names are the headers' names in lower case (UPnP DA 1.2.2), those of makers
// after them: Philips Hue, D-Link and others, Sony (DLNA), DIAL.
var names = map[string]int{
	"nt": hNT, "nts": hNTS, "st": hST, "usn": hUSN, "server": hServer, "location": hLocation, "cache-control": hMaxAge, "user-agent": hUserAgent,
	"hue-bridgeid": hBridge, "x-modelname": hModel, "x-av-physical-unit-info": hPhysicalUnit, "x-av-server-info": hServerInfo, "wakeup": hWakeup,
}

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	kind := ""
	switch {
	case bytes.HasPrefix(b, lineNotify):
		kind = "notify"
	case bytes.HasPrefix(b, lineSearch):
		kind = "search"
	case bytes.HasPrefix(b, lineResponse):
		kind = "response"
	default:
		return dissector.No
	}
	var m message
	malformed, skipped := m.parse(b)
	if kind == "response" && m.header[hST] == nil && m.header[hUSN] == nil && !known && c.Headers.SrcPort != port {
		return dissector.No // some other protocol's answer
	}
	for range malformed {
		c.Count("ssdp_line_malformed")
	}
	if skipped {
		c.Count("ssdp_headers_skipped")
	}
	if len(b) < c.Headers.PayloadLen {
		c.Count("ssdp_cut")
	}
	m.emit(c, kind)
	return dissector.Yes
}

// parse reads the lines after the first one, up to an empty one. Some end their
// lines with LF alone. The first header of a name counts.
func (m *message) parse(b []byte) (malformed int, skipped bool) {
	var lower [maxKey]byte
	for first := true; ; first = false {
		var line []byte
		var more bool
		line, b, more = bytes.Cut(b, []byte("\n"))
		if first {
			if !more {
				return 0, false
			}
			continue
		}
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 || !more && len(b) == 0 && bytes.IndexByte(line, ':') < 0 {
			return malformed, false
		}
		if m.read++; m.read > maxHeaders {
			return malformed, true
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if name = bytes.TrimSpace(name); !ok || len(name) == 0 || len(line) > maxLine {
			malformed++
		} else if len(name) <= maxKey {
			for i, ch := range name {
				if ch >= 'A' && ch <= 'Z' {
					ch += 'a' - 'A'
				}
				lower[i] = ch
			}
			if h, wanted := names[string(lower[:len(name)])]; wanted && m.header[h] == nil {
				m.header[h] = bytes.TrimSpace(value)
			}
		}
		if !more {
			return malformed, false
		}
	}
}

// subtypes are the values of NTS.
var subtypes = map[string]string{"ssdp:alive": "alive", "ssdp:byebye": "byebye", "ssdp:update": "update"}

// emit says what the message tells about who sent it.
func (m *message) emit(c *dissector.Context, kind string) {
	if kind == "notify" {
		if kind = subtypes[strings.ToLower(string(m.header[hNTS]))]; kind == "" {
			c.Count("ssdp_no_subtype")
			return
		}
	}
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	role := "server"
	if kind == "search" {
		role = "client"
	}
	a.Set("role", role)
	m.target(c, a)
	m.server(a)
	a.Set("user_agent", dissector.Text(m.header[hUserAgent], maxText))
	a.Set("max_age_s", maxAge(string(m.header[hMaxAge])))
	if v := m.header[hLocation]; v != nil && kind != "byebye" {
		m.location(c, a, string(v))
	}
	m.vendor(a)
	c.Emit(&f)
}

// target reads what is announced, searched or found, and the device's id out of
// the unique service name, "uuid:ID" or "uuid:ID::TARGET".
func (m *message) target(c *dissector.Context, a *proto.Attributes) {
	v := m.header[hNT]
	if v == nil {
		v = m.header[hST]
	}
	id, _, _ := strings.Cut(string(m.header[hUSN]), "::")
	switch s := strings.ToLower(string(v)); {
	case v == nil:
	case strings.HasPrefix(s, "uuid:"):
		if id == "" && m.header[hNT] != nil {
			id = string(v)
		}
		a.Set("target", "uuid") // a search for one device; the id is not the searcher's
	default:
		t := word(v)
		if t == "" {
			c.Count("ssdp_target_withheld")
			break
		}
		a.Set("target", t)
		for _, what := range []string{"device", "service"} { // urn:DOMAIN:device:TYPE:VERSION
			if p := strings.Split(t, ":"); len(p) == 5 && p[0] == "urn" && p[2] == what {
				a.Set(what+"_type", p[3])
			}
		}
	}
	if len(id) > 5 && strings.EqualFold(id[:5], "uuid:") {
		uid := word([]byte(id[5:]))
		if !strings.ContainsAny(uid, "0123456789") {
			c.Count("ssdp_id_withheld")
			uid = ""
		}
		a.Set("device_uid", uid)
	}
}

// word is a value made of what URNs, UUIDs and product ids are made of; "" for
// any other, such as text with spaces in it.
func word(b []byte) string {
	s := dissector.Text(b, maxText)
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-_.:", r) {
			return ""
		}
	}
	return s
}

// server reads "OS/version UPnP/1.1 product/version" (UPnP DA 1.2.2). Many put
// commas between, and leave versions out.
func (m *message) server(a *proto.Attributes) {
	s := dissector.Text(m.header[hServer], maxText)
	a.Set("server", s)
	i := strings.Index(strings.ToLower(s), "upnp/")
	if i < 0 {
		return
	}
	system, rest := strings.Trim(s[:i], " ,"), s[i+len("upnp/"):]
	if j := strings.IndexAny(rest, " ,"); j >= 0 {
		product, productVersion := split(strings.Trim(rest[j:], " ,"))
		a.Set("product", product)
		a.Set("product_version", productVersion)
	}
	name, number := split(system)
	a.Set("os", name)
	a.Set("os_version", number)
}

// split parts a name from the version after its last slash.
func split(s string) (name, version string) {
	if i := strings.LastIndexByte(s, '/'); i > 0 {
		name, version = strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+1:])
		if strings.ContainsAny(version, "0123456789") && !strings.ContainsAny(version, " ,") {
			return name, version
		}
	}
	if strings.EqualFold(s, "unspecified") {
		return "", ""
	}
	return s, ""
}

// location keeps where the description lies as host and port: the path is the
// device's own, and may say more than that.
func (m *message) location(c *dissector.Context, a *proto.Attributes, s string) {
	u, err := url.Parse(s)
	// Without a slash after it the host may be a user's name that was cut short.
	if err != nil || u.Path == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		c.Count("ssdp_location_malformed")
		return
	}
	p := u.Port()
	switch {
	case p != "":
	case u.Scheme == "https":
		p = "443"
	default:
		p = "80"
	}
	host := word([]byte(u.Hostname()))
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || host == "" {
		c.Count("ssdp_location_malformed")
		return
	}
	a.Set("location", u.Scheme+"://"+net.JoinHostPort(host, p))
}

// maxAge reads "max-age = 1800".
func maxAge(s string) string {
	_, s, ok := strings.Cut(strings.ToLower(s), "max-age")
	s = strings.TrimLeft(s, " =")
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	if !ok || end == 0 || end > 9 {
		return ""
	}
	return s[:end]
}
