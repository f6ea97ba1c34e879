package sink

import (
	"fmt"
	"strconv"
	"strings"
)

// plan says that offsets from the committed one up to To (exclusive) are to be
// inserted, or have been, with tokens of this attempt. It travels as the
// metadata of a committed offset, as "wf1 TO ATTEMPT"; no plan is "".
type plan struct {
	To      int64
	Attempt int
}

const planMagic = "wf1"

func (p plan) String() string {
	if p.To == 0 {
		return ""
	}
	return planMagic + " " + strconv.FormatInt(p.To, 10) + " " + strconv.Itoa(p.Attempt)
}

// parsePlan reads metadata of an offset; ok is false when there is no plan in
// it, as when a person has moved the group's offsets.
func parsePlan(metadata string, offset int64) (p plan, ok bool) {
	f := strings.Fields(metadata)
	if len(f) != 3 || f[0] != planMagic {
		return plan{}, false
	}
	to, err := strconv.ParseInt(f[1], 10, 64)
	attempt, aerr := strconv.Atoi(f[2])
	if err != nil || aerr != nil || to <= offset || attempt < 1 {
		return plan{}, false
	}
	return plan{To: to, Attempt: attempt}, true
}

// token names an attempt to insert a range into a table.
func token(generation uint32, topic string, partition int32, from, to int64, attempt int) string {
	return fmt.Sprintf("%s/%d/%d/%d-%d/%d", topic, generation, partition, from, to, attempt)
}
