package proto

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the device as json.Marshal writes it, at a fraction of the
// cost: a device is told with every summary of its endpoints.
func (d *Device) AppendJSON(b []byte) []byte {
	b = appendID(append(b, `{"device_id":`...), d.DeviceID)
	b = appendList(append(b, `,"aliases":`...), d.Aliases, appendID)
	b = appendText(append(b, `,"site":`...), d.Site)
	b = appendList(append(b, `,"macs":`...), d.MACs, appendText)
	b = appendList(append(b, `,"ips":`...), d.IPs, appendText)
	b = appendList(append(b, `,"hostnames":`...), d.Hostnames, appendText)
	b = appendList(append(b, `,"ae_titles":`...), d.AETitles, appendText)
	b = appendID(append(b, `,"gateway":`...), d.Gateway)
	b = appendFact(append(b, `,"category":`...), d.Category)
	b = appendFact(append(b, `,"type":`...), d.Type)
	b = appendFact(append(b, `,"manufacturer":`...), d.Manufacturer)
	b = appendFact(append(b, `,"model":`...), d.Model)
	b = appendFact(append(b, `,"os":`...), d.OS)
	b = appendFact(append(b, `,"os_version":`...), d.OSVersion)
	b = appendFact(append(b, `,"hardware_version":`...), d.HardwareVersion)
	b = appendFact(append(b, `,"software_version":`...), d.SoftwareVersion)
	b = appendFact(append(b, `,"serial":`...), d.Serial)
	b = appendFact(append(b, `,"location":`...), d.Location)
	b = appendBehaviour(append(b, `,"behaviour":`...), d.Behaviour)
	b = appendText(append(b, `,"first_seen":`...), d.FirstSeen.String())
	b = appendText(append(b, `,"last_seen":`...), d.LastSeen.String())
	b = appendText(append(b, `,"last_state":`...), d.LastState)
	b = appendList(append(b, `,"evidence":`...), d.Evidence, appendEvidence)
	b = appendList(append(b, `,"endpoints":`...), d.Endpoints, appendID)
	return append(strconv.AppendUint(append(b, `,"version":`...), d.Version, 10), '}')
}

// AppendJSON appends the score as json.Marshal writes it.
func (r *Risk) AppendJSON(b []byte) []byte {
	b = appendText(append(b, `{"time":`...), r.Time.String())
	b = appendID(append(b, `,"device_id":`...), r.DeviceID)
	b = appendFloat(append(b, `,"score":`...), r.Score)
	b = appendText(append(b, `,"tier":`...), r.Tier)
	b = appendFloat(append(b, `,"likelihood":`...), r.Likelihood)
	b = appendFloat(append(b, `,"impact":`...), r.Impact)
	b = appendList(append(b, `,"factors":`...), r.Factors, appendFactor)
	b = appendText(append(b, `,"framework":`...), r.Framework)
	b = strconv.AppendUint(append(b, `,"version":`...), r.Version, 10)
	b = appendText(append(b, `,"cause":`...), r.Cause)
	b = appendText(append(b, `,"site":`...), r.Site)
	return append(appendID(append(b, `,"endpoint":`...), r.Endpoint), '}')
}

func appendFact(b []byte, f *Fact) []byte {
	if f == nil {
		return append(b, "null"...)
	}
	b = appendText(append(b, `{"value":`...), f.Value)
	b = appendFloat(append(b, `,"confidence":`...), f.Confidence)
	return append(appendList(append(b, `,"sources":`...), f.Sources, appendText), '}')
}

func appendBehaviour(b []byte, v *Behaviour) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	b = appendText(append(b, `{"label":`...), v.Label)
	b = appendFloat(append(b, `,"confidence":`...), v.Confidence)
	return append(appendList(append(b, `,"features":`...), v.Features, appendText), '}')
}

func appendEvidence(b []byte, v Evidence) []byte {
	b = appendText(append(b, `{"attribute":`...), v.Attribute)
	b = appendText(append(b, `,"value":`...), v.Value)
	b = appendText(append(b, `,"protocol":`...), v.Protocol)
	b = appendText(append(b, `,"first":`...), v.First.String())
	b = appendText(append(b, `,"last":`...), v.Last.String())
	b = strconv.AppendUint(append(b, `,"count":`...), v.Count, 10)
	return append(appendFloat(append(b, `,"weight":`...), v.Weight), '}')
}

func appendFactor(b []byte, f Factor) []byte {
	b = appendText(append(b, `{"name":`...), f.Name)
	b = appendFloat(append(b, `,"value":`...), f.Value)
	b = appendFloat(append(b, `,"share":`...), f.Share)
	b = appendText(append(b, `,"why":`...), f.Why)
	return append(appendList(append(b, `,"evidence":`...), f.Evidence, appendText), '}')
}

func appendList[T any](b []byte, list []T, each func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = each(b, v)
	}
	return append(b, ']')
}

func appendID(b []byte, id ID) []byte {
	if id.IsZero() {
		return append(b, "null"...)
	}
	return append(hex.AppendEncode(append(b, '"'), id[:]), '"')
}

// appendText leaves to encoding/json whatever must be escaped.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			if val, err := json.Marshal(s); err == nil { // text always marshals
				return append(b, val...)
			}
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// appendFloat writes the shortest form; what JSON has no word for is null.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		if val, err := json.Marshal(f); err == nil {
			return append(b, val...)
		}
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}
