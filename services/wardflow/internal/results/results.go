// Package results reads back what `wardflow replay --out` wrote, and other files of
// JSON lines that people hand in.
//
// What the lines mean is for whoever asks; writing them is internal/replay's.
package results

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wardflow/wardflow/proto"
)

// Devices are those of a folder that are of a site, "" for all, in the file's order.
func Devices(dir, site string) (list []*proto.Device, err error) {
	err = Lines(filepath.Join(dir, "devices.jsonl"), func(_ int, text []byte) error {
		d := new(proto.Device)
		if err := json.Unmarshal(text, d); err != nil {
			return err
		}
		if site == "" || d.Site == site {
			list = append(list, d)
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w; name a folder that `wardflow replay --out` wrote", err)
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Lines calls each for every line of a file that is not blank; its error ends the
// reading and is told with the file and the line.
func Lines(path string, each func(line int, text []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read lines: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReaderSize(f, 256<<10)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s:%d: %w", path, n, err)
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if err := each(n, text); err != nil {
				return fmt.Errorf("read %s:%d: %w", path, n, err)
			}
		}
		if err != nil {
			return nil
		}
	}
}
