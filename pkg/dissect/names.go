package dissect

import (
	"slices"
)

// Names are the protocols that flows and frames are recognised as by their content,
// sorted.
func Names() []string {
	var list []string
	for _, p := range protocols {
		list = append(list, p.Name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
