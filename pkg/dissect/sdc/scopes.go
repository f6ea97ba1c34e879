package sdc

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Scopes is what the scopes of WS-Discovery say of an SDC device (IEEE
// 11073-20701 9.3 and 9.4).
type Scopes struct {
	place
	kind    string // type code
	profile string
	patient bool
	known   bool
}

// place is where a device is (IEEE 11073-10207 LocationDetail).
type place struct {
	facility, building, floor, ward, room, bed string
}

// The schemes of the scopes.
const (
	schemeLocation = "sdc.ctxt.loc:"
	schemePatient  = "sdc.ctxt.pat:"
	schemeType     = "sdc.cdc.type:"
	schemeProfile  = "sdc.mds.pkp:"
)

const maxScopes = 32

// ReadScopes reads a list of scopes.
func ReadScopes(list []byte) Scopes {
	var s Scopes
	for n, w := range bytes.Fields(list) {
		if n == maxScopes {
			break
		}
		scope := string(w)
		switch {
		case strings.HasPrefix(scope, schemeLocation):
			s.known = true
			_, query, _ := strings.Cut(scope, "?")
			s.locate(query)
		case strings.HasPrefix(scope, schemePatient): // who it is stays in it
			s.known, s.patient = true, true
		case strings.HasPrefix(scope, schemeType):
			s.known = true
			if s.kind == "" {
				s.kind = typeCode(scope[len(schemeType):])
			}
		case strings.HasPrefix(scope, schemeProfile):
			s.known = true
			if oid := scope[len(schemeProfile):]; len(oid) <= 64 && strings.Trim(oid, "0123456789.") == "" {
				s.profile = oid
			}
		}
	}
	return s
}

// Known reports whether any of the scopes is of SDC.
func (s *Scopes) Known() bool { return s.known }

// Attributes says what the scopes say.
func (s *Scopes) Attributes(a *proto.Attributes) {
	a.Set("role", roleProvider)
	a.Set("equipment_type", s.kind)
	a.Set("profile", s.profile)
	if s.patient {
		a.Set("patient_context", "associated")
	}
	s.attributes(a)
}

// locate reads "fac=HOSP&poc=W3&bed=B07".
func (s *Scopes) locate(query string) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return
	}
	s.place = place{q.Get("fac"), q.Get("bldng"), q.Get("flr"), q.Get("poc"), q.Get("rm"), q.Get("bed")}
}

// attributes says where the device is: the form is that of HL7's PV1-3.
func (p *place) attributes(a *proto.Attributes) {
	a.Set("location", dissector.Place(p.ward, p.room, p.bed))
	a.Set("institution", part(p.facility))
	a.Set("building", part(p.building))
	a.Set("floor", part(p.floor))
}

// part is the name of a facility, a building or a floor: one word, or with a digit.
func part(s string) string {
	s = dissector.Text([]byte(s), 32)
	if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-./#") != "" {
		return ""
	}
	if strings.Contains(s, " ") && !strings.ContainsAny(s, "0123456789") {
		return ""
	}
	return s
}

// typeCode reads "/coding system/version/code", and gives the name of a code of
// ISO/IEEE 11073-10101 or its number; that nomenclature is the default.
func typeCode(s string) string {
	p := strings.Split(strings.TrimPrefix(s, "/"), "/")
	if len(p) != 3 {
		return ""
	}
	system, err := url.PathUnescape(p[0])
	if err != nil || system != "" && system != nomenclature {
		return ""
	}
	return deviceType(p[2])
}

// nomenclature is the coding system of ISO/IEEE 11073-10101.
const nomenclature = "urn:oid:1.2.840.10004.1.1.1.0.0.1"

// deviceTypes are reference ids of ISO/IEEE 11073-10101 for whole devices.
var deviceTypes = map[string]string{
	"69649": "MDC_DEV_ANALY_CONC_GAS_MULTI_PARAM_MDS",
	"69801": "MDC_DEV_METER_CONC_SKIN_GAS_MDS",
	"69965": "MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS",
	"69985": "MDC_DEV_PUMP_INFUS_MDS",
	"70001": "MDC_DEV_SYS_PT_VENT_MDS",
	"70029": "MDC_DEV_SYS_MULTI_MODAL_MDS",
	"70745": "MDC_DEV_SYS_VS_CONFIG_MDS",
	"70749": "MDC_DEV_SYS_VS_UNCONFIG_MDS",
}

func deviceType(code string) string {
	if name := deviceTypes[code]; name != "" {
		return name
	}
	if code == "" || len(code) > 9 || strings.Trim(code, "0123456789") != "" {
		return ""
	}
	return code
}
