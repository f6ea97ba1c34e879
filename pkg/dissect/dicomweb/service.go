package dicomweb

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
)

// Bodies are those of DICOMweb.
var Bodies = httpbody.Kind{Wants: wants, Request: request, New: func() httpbody.Reader { return new(reader) }}

// The services and levels, in a tag: service, level, and whether the request is
// DICOMweb's beyond doubt.
const (
	qido = iota + 1
	wado
	stow
	remove
	wadoURI
	ups

	levelShift = 8
	sure       = 1 << 16
)

var (
	serviceNames = [...]string{qido: "qido", wado: "wado", stow: "stow", remove: "delete", wadoURI: "wado_uri", ups: "ups"}
	levelNames   = [...]string{"", "study", "series", "instance"}
)

// request judges a request by its path: the names of resources, and UIDs after them
// (PS3.18 8.2, 10).
func request(m *httpbody.Message) uint32 {
	if q := m.Query(); bytes.Contains(q, []byte("requestType=WADO")) {
		return sure | wadoURI | 3<<levelShift
	}
	var tag uint32
	var before []byte
	level, uids, named := uint32(0), 0, false
	for part := range bytes.SplitSeq(m.Path(), []byte("/")) {
		switch string(part) {
		case "studies":
			level, named = 1, true
		case "series":
			level, named = 2, true
		case "instances":
			level, named = 3, true
		case "workitems":
			tag, named = ups, false
		default:
			switch string(before) {
			case "studies", "series", "instances", "workitems":
				if !isUID(part) {
					return 0
				}
				named = false
				if len(part) > 12 {
					uids++
				}
			}
		}
		if len(part) > 0 {
			before = part
		}
	}
	switch {
	case tag == 0 && level == 0:
		return 0
	case tag == ups:
	case m.Method == "POST":
		tag = stow
	case m.Method == "DELETE":
		tag = remove
	case m.Method != "GET" && m.Method != "HEAD":
		return 0
	case named:
		tag = qido
	default:
		tag = wado
	}
	if uids > 0 || bytes.Contains(m.Accept, []byte("application/dicom")) || dicomType(m) {
		tag |= sure
	}
	return tag | level<<levelShift
}

func isUID(b []byte) bool {
	for _, x := range b {
		if x != '.' && (x < '0' || x > '9') {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 64
}

// dicomType holds for the media types of DICOM.
func dicomType(m *httpbody.Message) bool {
	switch string(m.Type) {
	case "application/dicom", "application/dicom+json":
		return true
	case "multipart/related":
		return bytes.Contains(m.Parameters, []byte("application/dicom"))
	}
	return false
}

func wants(m *httpbody.Message) bool { return m.Tag != 0 || dicomType(m) }
