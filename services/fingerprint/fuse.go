package fingerprint

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/wardflow/wardflow/proto"
)

// MinConfidence is the confidence under which a value is not told.
const MinConfidence = 0.2

// factNames are the attributes that are fused.
var factNames = []string{
	"category", "type", "manufacturer", "model", "os", "os_version", "hardware_version", "software_version", "serial", "location",
}

// Vote is one reason for one value of an attribute. Votes with the same Key are
// for the same value, whatever its spelling; the spelling that weighs most is told.
type Vote struct {
	Value    string
	Key      string
	Protocol string
	Weight   float64

	os string // key of the operating system whose version this is, "" for any
}

// hypothesis is one value and what speaks for it.
type hypothesis struct {
	key, value string
	best       float64 // weight of the vote whose spelling is told
	against    float64 // product of (1 - w) over protocols
	sources    []string
}

// Fuse makes a fact of votes by the formula of the package comment: nil when no
// value reaches MinConfidence. The order of votes does not matter.
func Fuse(votes []Vote) *proto.Fact {
	all := hypotheses(votes)
	if len(all) == 0 {
		return nil
	}
	top := 0
	list := confidences(all)
	for i, c := range list {
		if c > list[top] {
			top = i
		}
	}
	c := rounded(list[top])
	if c < MinConfidence {
		return nil
	}
	return &proto.Fact{Value: all[top].value, Confidence: c, Sources: all[top].sources}
}

// confidences are those of hypotheses that exclude each other, in their order.
func confidences(all []hypothesis) []float64 {
	nobody := 1.0
	for i := range all {
		nobody *= all[i].against
	}
	// With all.against > 0: s(v) * prod over u != v of (1 - s(u)) = s(v)/(1-s(v)) * nobody.
	list, k := make([]float64, len(all)), nobody
	for i := range all {
		list[i] = (1 - all[i].against) / all[i].against * nobody
		k += list[i]
	}
	for i := range list {
		list[i] /= k
	}
	return list
}

// rounded keeps four decimals of a confidence.
func rounded(c float64) float64 { return math.Round(c*1e4) / 1e4 }

// hypotheses groups votes by key and, within it, by protocol; sorted by key.
func hypotheses(votes []Vote) []hypothesis {
	votes = slices.Clone(votes)
	slices.SortFunc(votes, func(a, b Vote) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Value, b.Value))
	})
	var all []hypothesis
	for i, v := range votes {
		if i == 0 || v.Key != votes[i-1].Key {
			all = append(all, hypothesis{key: v.Key, against: 1})
		}
		h := &all[len(all)-1]
		if len(h.sources) > 0 && h.sources[len(h.sources)-1] == v.Protocol {
			continue // a weaker vote of the same protocol
		}
		w := min(v.Weight, 0.999) // nothing on the wire is certain
		h.against *= 1 - w
		h.sources = append(h.sources, v.Protocol)
		if h.tells(v.Value, w) {
			h.best, h.value = w, v.Value
		}
	}
	return all
}

// tells reports whether a value is to be told in place of the one so far: the one
// that weighs most, but the name of a distribution before the plain Linux.
func (h *hypothesis) tells(value string, weight float64) bool {
	if plain := h.value == "Linux"; h.value != "" && linux[value] && plain != (value == "Linux") {
		return plain
	}
	return weight > h.best
}

// judge makes all facts of a device from its evidence, which is sorted, and tells the
// contradictions among what they were made of.
func (s *signatures) judge(evidence []proto.Evidence) (map[string]*proto.Fact, proto.Contradictions) {
	votes := map[string][]Vote{}
	skip, old, medical := foreignTags(evidence), outdated(evidence), speaksMedical(evidence)
	for i := range evidence {
		v := &evidence[i]
		if len(old) > i && old[i] {
			continue
		}
		if skip && imageProtocol(v.Protocol) && dataSetTags[v.Attribute] {
			continue
		}
		if medical && v.Protocol == protocolBehaviour {
			continue
		}
		s.vote(votes, v)
	}
	for _, v := range votes["type"] { // each type is in one category
		votes["category"] = append(votes["category"], Vote{Value: s.category[v.Key], Key: s.category[v.Key], Protocol: v.Protocol, Weight: v.Weight})
	}
	out := map[string]*proto.Fact{}
	for _, name := range factNames {
		out[name] = Fuse(votes[name])
	}
	// The category has more reasons than any type: the type is the best within it.
	if c := out["category"]; c != nil {
		out["type"] = Fuse(slices.DeleteFunc(votes["type"], func(v Vote) bool { return s.category[v.Key] != c.Value }))
	}
	// A version is that of the system it was told with, and of no other.
	if o := out["os"]; o != nil {
		key := s.key("os", o.Value)
		votes["os_version"] = slices.DeleteFunc(votes["os_version"], func(v Vote) bool { return v.os != "" && v.os != key })
		out["os_version"] = Fuse(votes["os_version"])
	}
	return out, contradictions(votes, out)
}

func (s *signatures) vote(votes map[string][]Vote, v *proto.Evidence) {
	list, os := s.means(v.Attribute, v.Value), ""
	if i := slices.IndexFunc(list, func(m meaning) bool { return m.attribute == "os" }); i >= 0 {
		os = list[i].key
	}
	for _, m := range list {
		x := Vote{Value: m.value, Key: m.key, Protocol: v.Protocol, Weight: v.Weight * m.weight}
		if m.attribute == "os_version" {
			x.os = os
		}
		votes[m.attribute] = append(votes[m.attribute], x)
	}
}

// meaning is a vote that evidence makes, whoever it is about.
type meaning struct {
	attribute, value, key string
	weight                float64
}

// maxMeanings bounds what is remembered; evidence that somebody makes up must not
// fill the memory.
const maxMeanings = 1 << 16

// means gives what evidence means. Few values are told of many devices, and
// matching them is what costs: they are remembered. That is no state: it follows
// from the signatures alone.
func (s *signatures) means(attribute, value string) []meaning {
	return s.remembered.of(attribute, value, s.match)
}

// remembering keeps what follows from evidence, for several partitions at once.
type remembering[V any] struct {
	mu   sync.RWMutex
	made map[[2]string]V
}

// of gives what follows from a value of an attribute, which is worked out when it is not
// remembered.
func (m *remembering[V]) of(attribute, value string, work func(attribute, value string) V) V {
	k := [2]string{attribute, value}
	m.mu.RLock()
	v, known := m.made[k]
	m.mu.RUnlock()
	if known {
		return v
	}
	v = work(attribute, value)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made == nil || len(m.made) >= maxMeanings {
		m.made = map[[2]string]V{}
	}
	m.made[k] = v
	return v
}

func (s *signatures) match(attribute, value string) (list []meaning) {
	if slices.Contains(factNames, attribute) {
		list = append(list, meaning{attribute: attribute, value: value, key: s.key(attribute, value), weight: 1})
	}
	lower := strings.ToLower(value)
	for i := range s.rules[attribute] {
		r := &s.rules[attribute][i]
		if !strings.HasPrefix(lower, r.starts) {
			continue
		}
		at := r.is.FindStringSubmatchIndex(value)
		if at == nil {
			continue
		}
		for _, say := range r.says {
			said := say.value
			if strings.Contains(said, "$") {
				said = string(r.is.ExpandString(nil, said, value, at))
			}
			list = append(list, meaning{attribute: say.attribute, value: said, key: s.key(say.attribute, said), weight: say.weight})
		}
	}
	return list
}

// key is under which values of an attribute count as the same.
func (s *signatures) key(attribute, value string) string {
	switch attribute {
	case "manufacturer":
		return s.makerKey(value)
	case "os":
		// A distribution is a Linux: who says the one and who says the other agree,
		// and the name that weighs most is told.
		if linux[value] {
			return "linux"
		}
		return strings.ToLower(strings.Join(strings.Fields(value), " "))
	case "location":
		return place(value)
	case "model":
		return strings.ToLower(strings.Join(strings.Fields(value), " "))
	}
	return value
}

// linux are the distributions that signatures name.
var linux = map[string]bool{"Linux": true, "Debian GNU/Linux": true, "Ubuntu": true, "Raspbian": true}

// dataSetTags are what a C-STORE data set says about the device that made the
// image.
var dataSetTags = map[string]bool{
	"manufacturer": true, "model": true, "serial": true, "software_version": true, "station_name": true, "institution": true,
	"department": true, "device_uid": true, "last_calibration": true, "dicom_modality": true, "location": true,
}

// foreignTags reports that the sender of data sets is not the device that made
// them: an archive forwards what others made, as does whoever sends the images
// of several serial numbers.
func foreignTags(evidence []proto.Evidence) bool {
	serials := 0
	for i := range evidence {
		v := &evidence[i]
		switch {
		case !imageProtocol(v.Protocol):
		case v.Attribute == "dicom_service" && (v.Value == "storage_scp" || v.Value == "query_retrieve_scp"):
			return true
		case v.Attribute == "serial":
			serials++
		}
	}
	return serials > 1
}

// imageProtocol reports that a protocol carries data sets of other makers.
func imageProtocol(protocol string) bool { return protocol == "dicom" || protocol == "dicomweb" }
