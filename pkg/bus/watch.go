package bus

import (
	"context"
	"fmt"
)

// Ends gives the next offset of committed records of each partition, by topic. A
// topic that does not exist is left out.
func (w *LagWatcher) Ends(ctx context.Context, topics ...string) (map[string][]int64, error) {
	list, err := w.adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	out := map[string][]int64{}
	for topic, partitions := range list {
		ends := make([]int64, len(partitions))
		whole := true
		for p, o := range partitions {
			if o.Err != nil || int(p) >= len(ends) || p < 0 {
				whole = false
				break
			}
			ends[p] = o.Offset
		}
		if whole {
			out[topic] = ends
		}
	}
	return out, nil
}
