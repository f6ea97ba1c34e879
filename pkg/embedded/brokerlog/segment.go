package brokerlog

import (
	"os"
	"path/filepath"
	"time"
)

// Segment is one file of a partition, as the file system shows it.
type Segment struct {
	Base     int64 // offset of its first record
	Size     int64
	Modified time.Time
}

// Segments lists the files of every partition by topic, oldest first. It may be called while a broker has them open:
// a file that goes meanwhile is left out.
func Segments(dir string) (map[string]map[int32][]Segment, error) {
	parts, err := partitions(dir)
	if err != nil {
		return nil, err
	}
	out := map[string]map[int32][]Segment{}
	for _, p := range parts {
		bases, err := p.segments()
		if err != nil {
			continue // the topic was deleted
		}
		var segs []Segment
		for _, base := range bases {
			if info, err := os.Stat(filepath.Join(p.dir, segmentName(base))); err == nil {
				segs = append(segs, Segment{base, info.Size(), info.ModTime()})
			}
		}
		if out[p.topic] == nil {
			out[p.topic] = map[int32][]Segment{}
		}
		out[p.topic][p.id] = segs
	}
	return out, nil
}
