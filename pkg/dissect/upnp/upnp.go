// Package upnp reads the descriptions that UPnP devices give of themselves over
// HTTP (UPnP Device Architecture 2.0, chapter 2): the document that the location of
// an SSDP announcement points to.
//
// Here live the few elements that may leave: maker, model, numbers, kinds of
// devices. What an owner typed (the friendly name), descriptions, addresses and
// services stay.
package upnp

import (
	"bytes"
	"encoding/xml"
	"io"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
	"github.com/wardflow/wardflow/proto"
)

// Bodies are the descriptions among the bodies of HTTP: XML that a GET gives.
var Bodies = httpbody.Kind{Wants: wants, New: func() httpbody.Reader { return new(reader) }, Limit: maxBody}

const (
	maxBody    = 64 << 10
	maxStart   = 1 << 10 // bytes of a body in which the namespace must show
	maxDepth   = 16
	maxTokens  = 4096
	maxText    = 96
	maxDevices = 16

	namespace = "urn:schemas-upnp-org:device-1-0"
)

func wants(m *httpbody.Message) bool {
	return m.Response && m.Status == 200 && (m.Method == "GET" || m.Method == "") && m.Tag == 0 &&
		(string(m.Type) == "text/xml" || string(m.Type) == "application/xml")
}

// reader collects a body that begins like a description.
type reader struct{ half [2][]byte }

// Body takes bytes, as long as they may be a description's.
func (r *reader) Body(c *dissector.Context, _ *httpbody.Message, b []byte) bool {
	buf := &r.half[c.Side&1]
	*buf = append(*buf, b...)
	if len(*buf) >= maxStart && !bytes.Contains((*buf)[:maxStart], []byte(namespace)) {
		*buf = nil
		return false
	}
	return true
}

// End tells what the body says.
func (r *reader) End(c *dissector.Context, m *httpbody.Message) {
	b := r.half[c.Side&1]
	r.half[c.Side&1] = nil
	a := Description(b)
	if len(a) == 0 {
		return
	}
	if m.Incomplete {
		a.Set("incomplete", "true")
	}
	c.Sink.Inner("upnp")
	c.Emit(&dissector.Fact{Protocol: "upnp", Kind: "description", Subject: dissector.Subject{Side: c.Side}, Attributes: a})
}

// Close has nothing to say.
func (r *reader) Close(*dissector.Context) {}

// Size is the bytes that are kept.
func (r *reader) Size() int { return cap(r.half[0]) + cap(r.half[1]) + 64 }

// elements are what is read of the outermost device, and how it is called.
var elements = map[string]string{"manufacturer": "manufacturer", "modelName": "model", "modelNumber": "model_number", "serialNumber": "serial"}

// Description reads a device description, or its beginning; nothing comes out of
// what is none.
func Description(b []byte) (a proto.Attributes) {
	if !bytes.Contains(b[:min(len(b), maxStart)], []byte(namespace)) {
		return nil
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var path, kinds []string
	var text []byte // of the element in hand, which counts once its end was seen
	for range maxTokens {
		t, err := d.RawToken()
		if err != nil {
			break
		}
		switch t := t.(type) {
		case xml.StartElement:
			text = text[:0]
			if path = append(path, t.Name.Local); len(path) > maxDepth {
				return a
			}
		case xml.EndElement:
			if len(path) > 0 {
				element(&a, &kinds, path, text)
				path, text = path[:len(path)-1], text[:0]
			}
		case xml.CharData:
			text = append(text, t[:min(len(t), maxText+1)]...)
		}
	}
	a.SetList("device_types", kinds)
	return a
}

// element takes a text. The device is root/device; those in it have kinds only.
func element(a *proto.Attributes, kinds *[]string, path []string, text []byte) {
	if len(path) < 3 || path[0] != "root" || path[1] != "device" {
		return
	}
	switch name := path[len(path)-1]; {
	case name == "deviceType" && path[len(path)-2] == "device":
		// urn:DOMAIN:device:TYPE:VERSION
		if p := strings.Split(dissector.Text(text, maxText), ":"); len(p) == 5 && p[0] == "urn" && p[2] == "device" && word(p[3]) && len(*kinds) < maxDevices && !slices.Contains(*kinds, p[3]) {
			*kinds = append(*kinds, p[3])
		}
	case len(path) != 3:
	case name == "UDN":
		if id, ok := strings.CutPrefix(strings.ToLower(dissector.Text(text, maxText)), "uuid:"); ok && word(id) && strings.ContainsAny(id, "0123456789") {
			a.Set("device_uid", id)
		}
	case elements[name] != "" && a.Get(elements[name]) == "":
		a.Set(elements[name], value(name, text))
	}
}

func word(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return s != ""
}

// value is a maker, a model or a number, and nobody's: no possessive, no address,
// and of a serial number a digit.
func value(name string, text []byte) string {
	s := dissector.Text(text, maxText)
	for _, mark := range []string{"'s ", "\u2019s ", "s' ", "@"} {
		if strings.Contains(s, mark) {
			return ""
		}
	}
	if name == "serialNumber" && (!strings.ContainsAny(s, "0123456789") || strings.Contains(s, " ")) {
		return ""
	}
	return s
}
