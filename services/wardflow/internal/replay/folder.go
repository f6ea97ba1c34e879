package replay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/proto/schema"
)

// folder is the sink that writes the output folder: every file under another name
// first, so that an interrupted run leaves the files of the last one.
type folder struct {
	dir   string
	files map[string]*file
	room  []byte // for a line
}

type file struct {
	*os.File
	w *bufio.Writer
}

func newFolder(dir string) (*folder, error) {
	f := &folder{dir: dir, files: map[string]*file{}}
	for _, s := range schema.Files() {
		out, err := os.OpenFile(f.unfinished(s.Name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			f.abandon()
			return nil, fmt.Errorf("create output: %w", err)
		}
		f.files[s.Name] = &file{out, bufio.NewWriterSize(out, 256<<10)}
	}
	return f, nil
}

func (f *folder) unfinished(name string) string { return filepath.Join(f.dir, "."+name+".unfinished") }

func (f *folder) line(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return f.write(name, b)
}

func (f *folder) write(name string, b []byte) error {
	if _, err := f.files[name].w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (f *folder) flow(v *proto.Flow) error {
	f.room = v.AppendJSON(f.room[:0])
	return f.write("flows.jsonl", f.room)
}

func (f *folder) observation(v *proto.Observation) error {
	f.room = v.AppendJSON(f.room[:0])
	return f.write("observations.jsonl", f.room)
}

func (f *folder) device(v *proto.Device) error       { return f.line("devices.jsonl", v) }
func (f *folder) detection(v *proto.Detection) error { return f.line("detections.jsonl", v) }
func (f *folder) score(v *proto.Risk) error          { return f.line("risk.jsonl", v) }
func (f *folder) use(v *proto.Usage) error           { return f.line("usage.jsonl", v) }

// close writes the summary and gives all files their names.
func (f *folder) close(s *Summary) error {
	if err := f.line("summary.json", s); err != nil {
		return err
	}
	for _, s := range schema.Files() {
		out := f.files[s.Name]
		if err := errors.Join(out.w.Flush(), out.Close()); err != nil {
			return fmt.Errorf("write %s: %w", s.Name, err)
		}
		if err := os.Rename(f.unfinished(s.Name), filepath.Join(f.dir, s.Name)); err != nil {
			return fmt.Errorf("finish output: %w", err)
		}
		delete(f.files, s.Name)
	}
	return nil
}

// abandon removes what is not finished.
func (f *folder) abandon() {
	for name, out := range f.files {
		_ = out.Close()
		_ = os.Remove(f.unfinished(name))
	}
}
