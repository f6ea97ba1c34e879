package fingerprint

import (
	"slices"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

const (
	// humanConfidence is that of a value that a person has set or confirmed. People
	// misread labels too: it is above all that traffic reaches alone, and not certain.
	humanConfidence = 0.99
	// conflictFrom is the confidence from which traffic that says something else is
	// worth a person's second look.
	conflictFrom = 0.5
)

// human puts what people have said over what traffic says. Where both differ, the
// person's value is shown and the difference is told as a conflict.
func (d *Device) human(tx *stream.Tx, sig *signatures, dev *proto.Device) {
	v := views.Get(tx, dev.DeviceID[:])
	if v == nil || v.Next == 0 {
		return
	}
	dev.Human, dev.Notes, dev.Rating = v.Values, v.Notes, v.Rating
	dev.Edits = &proto.EditCount{Kept: v.Kept, Folded: v.Folded, Last: v.Last}
	facts := factFields(dev)
	before := *dev
	var said []proto.Evidence
	for _, x := range v.Values {
		fact := facts[x.Attribute]
		if fact == nil {
			if dev.Lifecycle == nil {
				dev.Lifecycle = proto.Labels{}
			}
			dev.Lifecycle[x.Attribute] = x.Value
			continue
		}
		said = append(said, proto.Evidence{Attribute: x.Attribute, Value: x.Value, Protocol: proto.SourceHuman, First: x.Time, Last: x.Time, Count: 1, Weight: humanConfidence})
		traffic := *fact
		sources := proto.Strings{proto.SourceHuman}
		switch {
		case traffic == nil:
		case sig.key(x.Attribute, traffic.Value) == sig.key(x.Attribute, x.Value):
			sources = append(sources, traffic.Sources...)
		case traffic.Confidence >= conflictFrom:
			since := max(x.Time, since(sig, dev.Evidence, x.Attribute, traffic.Value))
			dev.Conflicts = append(dev.Conflicts, proto.Conflict{Attribute: x.Attribute, Human: x.Value, Traffic: traffic.Value, Confidence: traffic.Confidence, Since: since})
		}
		*fact = &proto.Fact{Value: x.Value, Confidence: humanConfidence, Sources: sources}
	}
	follow(sig, dev, &before, v)
	dev.Evidence = append(dev.Evidence, said...)
	slices.SortStableFunc(dev.Evidence, compareEvidence)
}

// factFields are where a device keeps the facts that a person may set.
func factFields(dev *proto.Device) map[string]**proto.Fact {
	return map[string]**proto.Fact{
		"category": &dev.Category, "type": &dev.Type, "manufacturer": &dev.Manufacturer, "model": &dev.Model, "os": &dev.OS,
		"os_version": &dev.OSVersion, "hardware_version": &dev.HardwareVersion, "software_version": &dev.SoftwareVersion,
		"serial": &dev.Serial, "location": &dev.Location,
	}
}

// since is when traffic began to say a value.
func since(sig *signatures, evidence []proto.Evidence, attribute, value string) proto.Time {
	var first proto.Time
	key := sig.key(attribute, value)
	for i := range evidence {
		e := &evidence[i]
		says := slices.ContainsFunc(sig.means(e.Attribute, e.Value), func(m meaning) bool { return m.attribute == attribute && m.key == key })
		if says && (first == 0 || e.First < first) {
			first = e.First
		}
	}
	return first
}

// follow lets facts follow from what a person has said: a type is in one category,
// and what traffic says of another category or system does not go with the person's.
func follow(sig *signatures, dev, before *proto.Device, v *editView) {
	says := func(name string) bool {
		return slices.ContainsFunc(v.Values, func(x proto.HumanValue) bool { return x.Attribute == name })
	}
	if says("type") {
		if c := sig.category[dev.Type.Value]; c != "" && (dev.Category == nil || dev.Category.Value != c) {
			dev.Category = &proto.Fact{Value: c, Confidence: humanConfidence, Sources: proto.Strings{proto.SourceHuman}}
			dev.Conflicts = slices.DeleteFunc(dev.Conflicts, func(c proto.Conflict) bool { return c.Attribute == "category" }) // that of the type says it
		}
	} else if says("category") && dev.Type != nil && sig.category[dev.Type.Value] != dev.Category.Value {
		dev.Type = nil
	}
	other := before.OS != nil && says("os") && sig.key("os", before.OS.Value) != sig.key("os", dev.OS.Value)
	if other && !says("os_version") {
		dev.OSVersion = nil
	}
}
