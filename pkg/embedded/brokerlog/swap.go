package brokerlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A swap puts staged files in the place of others as one step that a kill cannot tear: all files are staged and
// synced, then swap.json says what to do, then it is done, then swap.json goes. While swap.json is there the step is
// done again at the next start; without it, what is staged means nothing.
type swap struct {
	Moves   []move   `json:"moves"`
	Removes []string `json:"removes"` // relative to the broker's folder
}

type move struct {
	From string `json:"from"` // a name in the staging folder
	To   string `json:"to"`   // relative to the broker's folder
}

const (
	swapFile    = "swap.json"
	stagingName = "staging"
)

// FinishSwap does a swap that was decided before a kill, and forgets one that was not.
func FinishSwap(dir string) error {
	var s swap
	err := readJSON(filepath.Join(dir, swapFile), &s)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read swap: %w", err)
	default:
		if err := s.do(dir); err != nil {
			return fmt.Errorf("finish swap: %w", err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, stagingName)); err != nil {
		return fmt.Errorf("forget staged files: %w", err)
	}
	return nil
}

func (s swap) do(dir string) error {
	for _, m := range s.Moves {
		err := os.Rename(filepath.Join(dir, stagingName, m.From), filepath.Join(dir, m.To))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // moved before the kill
			return err
		}
	}
	for _, name := range s.Removes {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(filepath.Join(dir, swapFile))
}
