package embedded

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/embedded/brokerlog"
)

// The cap is met by other topics than one that is kept for ever, however old it is.
func TestKeptForEverIsNotTrimmed(t *testing.T) {
	now := time.Now()
	old := func(age time.Duration) map[int32][]brokerlog.Segment {
		var list []brokerlog.Segment
		for i := range 4 {
			list = append(list, brokerlog.Segment{Base: int64(i), Size: 100, Modified: now.Add(-age)})
		}
		return map[int32][]brokerlog.Segment{0: list}
	}
	l := newLedger(map[string]map[string]string{
		"edits":   {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"},
		"traffic": {"cleanup.policy": "delete", "retention.ms": "3600000"},
	}, map[string]map[int32][]brokerlog.Segment{"edits": old(10 * 365 * 24 * time.Hour), "traffic": old(time.Minute)})
	got := l.trim(now, 550)
	if len(got) != 1 || got[0] != (trimmed{"traffic", 0, 3}) {
		t.Errorf("trimmed %+v, want all of traffic but its last segment and nothing of edits", got)
	}
}
