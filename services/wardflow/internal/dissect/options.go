// Package dissect turns capture files into what capture alone says of them: flows
// and observations, in the order in which capture tells them, and no more.
//
// Here lives which files make one run and where its output goes. What packets mean
// is services/capture's, whose Processor is the very one of the live sensor and of
// replay. Nothing here sorts, keeps or folds: memory is bounded by the Processor's
// own limits, whatever the size of the files, and the time taken is that of the
// packet path, of encoding and of writing. The conformance tables and the figures
// of speed are made with it.
package dissect

import (
	"errors"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// DefaultSensor names the sensor that saw the files unless said otherwise; it is
// replay's, so that both write the same.
const DefaultSensor = "replay"

// Options say what is dissected.
type Options struct {
	Files []string
	Out   string // the folder that is written

	Format string // FormatJSON, which "" means, or FormatMsgpack

	// Each makes a run of every file, with a folder of its own below Out; else they
	// are one run, merged by time.
	Each bool

	// Capture says all about the packets; Emit and OnPanic are ours.
	Capture capture.Config

	// Progress is called now and then; it may be nil.
	Progress func(Progress)
	// Note is told what a person should know; it may be nil.
	Note func(format string, args ...any)
}

// Progress is how far it has come.
type Progress struct {
	Files   int // that are done; with Each
	Packets uint64
	Clock   proto.Time
	Read    int64 // bytes of the files so far
	Size    int64 // of the files; 0 when it is not known
}

// ErrNoInput is wrapped by the error of a run that could read none of its files.
var ErrNoInput = errors.New("no input file could be read")

// Summary is summary.json.
type Summary struct {
	capture.Summary
	FlowParts uint64 `json:"flow_parts"` // lines of flows.jsonl
}

// Result is what all files came to together.
type Result struct {
	Runs    int // with output
	Damaged int // files that could not be read, or not to their end
	Packets uint64
	Bytes   uint64 // on the wire
	Flows   uint64
	Facts   uint64 // observations
}
