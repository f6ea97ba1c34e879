package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// folderMemory is which files of a folder have been read: a JSON file that is
// replaced as a whole. Of files that are gone it forgets.
type folderMemory struct {
	path  string
	Files map[string]fileMark `json:"files"`
}

// fileMark is a file as it was when it was read.
type fileMark struct {
	Size     int64  `json:"size"`
	Modified int64  `json:"modified_ns"`
	Sum      string `json:"sha256"`           // of the bytes that were read
	Prefix   int64  `json:"prefix,omitempty"` // that many of them, where the file has grown since
}

// openFolderMemory reads it; none is an empty one.
func openFolderMemory(path string) (*folderMemory, error) {
	m := &folderMemory{path: path, Files: map[string]fileMark{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, m)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s, which remembers the files that were read (delete it, and all are read again, which changes nothing): %w", path, err)
	}
	if m.Files == nil {
		m.Files = map[string]fileMark{}
	}
	return m, nil
}

func (m *folderMemory) knows(name string, s sight) bool {
	f, ok := m.Files[name]
	return ok && f.Size == s.size && f.Modified == s.modified
}

// remember stores that a file has been read, and forgets those that are not there.
func (m *folderMemory) remember(name string, mark fileMark, there map[string]sight) error {
	for old := range m.Files {
		if _, ok := there[old]; !ok {
			delete(m.Files, old)
		}
	}
	m.Files[name] = mark
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	next := m.path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	if err := os.Rename(next, m.path); err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	return nil
}
