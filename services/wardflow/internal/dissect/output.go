package dissect

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wardflow/wardflow/proto"
)

// Formats are how flows and observations are written: as JSON lines, for people and
// their tools, or as they go to Kafka, four times as small. That is a file of
//
//	length 4, big endian | proto.Batch in msgpack, of that length
//
// which hold the flows and observations as they came, without mirrors and heartbeats.
const (
	FormatJSON    = "json"
	FormatMsgpack = "msgpack"
)

// output writes one run: each file under another name first, so that an
// interrupted run leaves the files of the last one.
type output struct {
	dir                 string
	files               []*lines
	flows, observations *lines
	batch               *proto.BatchWriter // nil for JSON lines
	traffic             *lines
	head                proto.Batch
	parts               uint64
	err                 error
}

// lines is a file of JSON lines, and the bytes that wait to be written to it.
type lines struct {
	f    *os.File
	path string
	buf  []byte
}

const bufferSize = 256 << 10 // bytes that are written at once

func newOutput(dir, format string, head proto.Batch) (*output, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make output folder: %w", err)
	}
	o := &output{dir: dir, head: head}
	var err error
	if format == FormatMsgpack {
		o.batch = proto.NewBatchWriter()
		o.traffic, err = o.create("traffic.msgpack")
	} else if o.flows, err = o.create("flows.jsonl"); err == nil {
		o.observations, err = o.create("observations.jsonl")
	}
	if err != nil {
		o.abandon()
		return nil, err
	}
	return o, nil
}

func (o *output) create(name string) (*lines, error) {
	path := filepath.Join(o.dir, name)
	f, err := os.OpenFile(unfinished(path), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create output: %w", err)
	}
	l := &lines{f: f, path: path}
	o.files = append(o.files, l)
	return l, nil
}

func unfinished(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".unfinished")
}

// item writes a flow or an observation; mirrors and heartbeats are for whoever
// reads lanes.
func (o *output) item(it proto.Item) {
	switch {
	case o.err != nil || it.Mirror || it.Heartbeat != nil:
	case o.batch != nil:
		if it.Flow != nil {
			o.parts++
		}
		if o.err = o.batch.Add(&it); o.err == nil && o.batch.Size() >= bufferSize {
			o.err = o.finishBatch()
		}
	case it.Flow != nil:
		o.parts++
		o.flows.buf = it.Flow.AppendJSON(o.flows.buf)
		o.err = o.flows.end()
	case it.Observation != nil:
		o.observations.buf = it.Observation.AppendJSON(o.observations.buf)
		o.err = o.observations.end()
	}
}

// finishBatch writes the batch at hand.
func (o *output) finishBatch() error {
	n := o.batch.Len()
	if n == 0 {
		return nil
	}
	const length = 4
	b, err := o.batch.Append(append(o.traffic.buf, 0, 0, 0, 0), &o.head)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	binary.BigEndian.PutUint32(b[len(o.traffic.buf):], uint32(len(b)-len(o.traffic.buf)-length))
	o.head.FirstSeq += uint64(n)
	o.traffic.buf = b
	return o.traffic.flush()
}

// end ends a line.
func (l *lines) end() error {
	l.buf = append(l.buf, '\n')
	if len(l.buf) < bufferSize {
		return nil
	}
	return l.flush()
}

func (l *lines) flush() error {
	if _, err := l.f.Write(l.buf); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	l.buf = l.buf[:0]
	return nil
}

// finish gives the file its name.
func (l *lines) finish() error {
	if err := errors.Join(l.flush(), l.f.Close()); err != nil {
		return err
	}
	if err := os.Rename(unfinished(l.path), l.path); err != nil {
		return fmt.Errorf("finish output: %w", err)
	}
	l.f = nil
	return nil
}

// close writes the summary and gives all files their names.
func (o *output) close(s *Summary) error {
	if o.err != nil {
		return o.err
	}
	if o.batch != nil {
		if err := o.finishBatch(); err != nil {
			return err
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	sum, err := o.create("summary.json")
	if err != nil {
		return err
	}
	sum.buf = append(append(sum.buf, b...), '\n')
	for _, l := range o.files {
		if err := l.finish(); err != nil {
			return err
		}
	}
	return nil
}

// abandon removes what is not finished.
func (o *output) abandon() {
	for _, l := range o.files {
		if l.f != nil {
			_ = l.f.Close()
			_ = os.Remove(unfinished(l.path))
		}
	}
}
