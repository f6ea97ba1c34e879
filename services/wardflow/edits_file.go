package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
)

// readEdits reads a file of edits, one JSON object a line as on wardflow.edits, in
// order of time; edits of one time keep the order of the file. The error tells all
// that is wrong, with the lines.
func readEdits(path string) ([]*proto.Edit, error) {
	var list []*proto.Edit
	var errs []error
	lines := map[proto.ID]int{}
	err := results.Lines(path, func(line int, text []byte) error {
		e := new(proto.Edit)
		in := json.NewDecoder(bytes.NewReader(text))
		in.DisallowUnknownFields()
		err := in.Decode(e)
		if err == nil {
			err = fingerprint.CheckEdit(e)
		}
		if before, twice := lines[e.EditID]; err == nil && twice {
			err = fmt.Errorf("edit_id: line %d has it already; give each edit an id of its own", before)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, line %d: %s", path, line, strings.ReplaceAll(err.Error(), "\n", "; ")))
			return nil
		}
		lines[e.EditID] = line
		list = append(list, e)
		return nil
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b *proto.Edit) int { return cmp.Compare(a.Time, b.Time) })
	return list, nil
}

// writeEdits writes such a file.
func writeEdits(path string, list []*proto.Edit) error {
	var b bytes.Buffer
	for _, e := range list {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode edit: %w", err)
		}
		b.Write(append(line, '\n'))
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write edits: %w", err)
	}
	return nil
}
