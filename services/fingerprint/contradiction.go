package fingerprint

import (
	"cmp"
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// replaceable are the evidence attributes whose later value takes the place of an
// earlier one of the same protocol: a device is updated, renamed in its protocol's
// description, or moved. Of the others, as of serial numbers, two values are a
// contradiction whenever they were said.
var replaceable = map[string]bool{
	"software_version": true, "firmware_version": true, "hardware_version": true, "application_version": true, "os": true, "os_version": true,
	"system_description": true, "ssh_software": true, "native_os": true, "ntlm_version": true, "upnp_server": true,
	"dicom_implementation_version": true, "darwin_version": true, "ntp_system": true, "build": true, "location": true,
}

// outdated tells which of the evidence, sorted by attribute, was replaced. A value was,
// when another of the same attribute and protocol began after it was last said, and
// has lasted for longer than twice the pause between two sights of the old one:
// whoever says two in turn says the old one again by then, and contradicts itself.
func outdated(evidence []proto.Evidence) []bool {
	var out []bool
	for i := range evidence {
		old := &evidence[i]
		if !replaceable[old.Attribute] {
			continue
		}
		for j := range evidence {
			e := &evidence[j]
			if j == i || e.Attribute != old.Attribute || e.Protocol != old.Protocol || e.Value == old.Value || e.First <= old.Last {
				continue
			}
			if e.Last-old.Last > 2*pause(old) {
				if out == nil {
					out = make([]bool, len(evidence))
				}
				out[i] = true
				break
			}
		}
	}
	return out
}

// pause is the mean time between two sights.
func pause(e *proto.Evidence) proto.Time {
	if e.Count < 2 {
		return 0
	}
	return (e.Last - e.First) / proto.Time(e.Count-1)
}

// conflicting are the attributes whose contradictions are shown. A type has weak
// reasons for several values as a rule; they are in the evidence.
var conflicting = []string{"manufacturer", "model", "os", "os_version", "hardware_version", "software_version", "serial", "location"}

// minContradiction is the confidence from which a value beside the one told is shown.
const minContradiction = 0.05

// contradictions lists the values that were not told, and what speaks for them. Who made
// the network interface does not contradict who made the device.
func contradictions(votes map[string][]Vote, facts map[string]*proto.Fact) (list proto.Contradictions) {
	for _, name := range conflicting {
		all := hypotheses(votes[name])
		if len(all) < 2 {
			continue
		}
		for i, c := range confidences(all) {
			c = rounded(c)
			told := facts[name] != nil && facts[name].Value == all[i].value
			if told || c < minContradiction || (len(all[i].sources) == 1 && all[i].sources[0] == "oui") {
				continue
			}
			list = append(list, proto.Contradiction{Attribute: name, Value: all[i].value, Confidence: c, Sources: all[i].sources})
		}
	}
	slices.SortStableFunc(list, func(a, b proto.Contradiction) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(b.Confidence, a.Confidence))
	})
	return list
}
