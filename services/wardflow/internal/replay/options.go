// Package replay turns capture files into what the running system would have
// stored of them: through the very same capture code and folds, in memory, in
// event time, without broker and database.
//
// Here lives what is replay's alone: which files, in which order, with which
// policy; sorting more results than fit memory; which device an endpoint was at a
// time (as the views of pkg/store answer it); the output folder. What packets
// mean is services/capture's, what follows from it the folds'. Nothing here knows
// the clock, the host's name or the order of a map, so twice the same input gives
// the same bytes.
package replay

import (
	"errors"
	"net/netip"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// DefaultSensor names the sensor that saw a file unless said otherwise.
const DefaultSensor = "replay"

// File is a capture file and the sensor that saw it.
type File struct {
	Path   string
	Sensor string // "" means DefaultSensor
}

// Options say what is replayed.
type Options struct {
	Site     string
	Files    []File
	Baseline []File     // learned from, before Files; nothing of them is a detection
	Learn    proto.Time // learn from everything before; 0 for none
	Until    proto.Time // event time goes on to here; 0 ends it at the last packet
	Home     []netip.Prefix
	Key      []byte // of the HMACs; nil derives one from Site
	Policies []proto.Policy
	Controls []*proto.Control // what else is in force from the start

	// Edits are what people have decided, in order of time. Each applies when event
	// time has come to its own, and those of later at the end.
	Edits []*proto.Edit

	// Folds are run upstream first. They must be fresh.
	Folds []stream.Fold
	// Capture has the bounds and timeouts of capture; what is said here wins.
	Capture capture.Config

	// Out is the folder that is written; "" keeps the results in Result.
	Out string
	// Memory bounds what waits to be sorted, in bytes; 0 means 128 MiB.
	Memory int
	// Progress is called now and then; it may be nil.
	Progress func(Progress)
	// Note is told what a person should know; it may be nil.
	Note func(format string, args ...any)
}

const defaultMemory = 128 << 20

// Progress is how far a replay has come.
type Progress struct {
	Packets uint64
	Bytes   uint64 // on the wire
	Clock   proto.Time
	Read    int64 // bytes of the files so far
	Size    int64 // of the files; 0 when it is not known
	Writing bool  // all packets have been read
}

// ErrNoInput is wrapped by the error of a run that could read none of its files.
var ErrNoInput = errors.New("no input file could be read")

// Result is what a run came to. The lists are filled only without Options.Out;
// they are sorted as the files are.
type Result struct {
	Summary Summary
	Damaged []error // files that could not be read, or not to their end

	Flows        []*proto.Flow
	Observations []*proto.Observation
	Devices      []*proto.Device
	Detections   []*proto.Detection
	Risk         []*proto.Risk
	Usage        []*proto.Usage
}

// Summary is summary.json.
type Summary struct {
	Packets      uint64            `json:"packets"`
	Bytes        uint64            `json:"bytes"` // on the wire
	Flows        uint64            `json:"flows"`
	Seconds      float64           `json:"seconds"` // first to last packet
	Drops        map[string]uint64 `json:"drops"`
	Dissect      map[string]uint64 `json:"dissect"` // what the dissectors counted, by reason
	FlowParts    uint64            `json:"flow_parts"`
	Observations uint64            `json:"observations"`
	Devices      uint64            `json:"devices"`
	Detections   uint64            `json:"detections"`
	Risk         uint64            `json:"risk"`
	Usage        uint64            `json:"usage"`

	// Copies of what another sensor has told are in the files, marked, and in none of
	// the counts above but packets and bytes, which are of what was read.
	DuplicateFlowParts    uint64 `json:"duplicate_flow_parts"`
	DuplicateObservations uint64 `json:"duplicate_observations"`
}
