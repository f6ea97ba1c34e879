package fingerprint

import (
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Progress implements stream.Fold: the device fold waits for the endpoint fold,
// in every partition, because summaries are re-keyed.
func (e *Endpoint) Progress() []stream.ProgressTo {
	return []stream.ProgressTo{{Topic: proto.TopicSummaries, All: true}}
}

// Progress implements stream.Fold: what reads bindings waits for the device fold.
func (d *Device) Progress() []stream.ProgressTo {
	return []stream.ProgressTo{{Topic: proto.TopicBindings}}
}
