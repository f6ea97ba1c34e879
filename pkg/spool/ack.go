package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/wardflow/wardflow/pkg/failpoint"
)

const (
	ackName  = "acknowledged"
	ackMagic = "wfsa"
	slotLen  = 20
	slotStep = 512
)

// ackFile holds the number up to which all is done, in two slots: the one that
// does not count is overwritten, so that a torn write leaves the other.
type ackFile struct {
	f    File
	sync bool
	slot int64 // the one that counts
}

// openAck opens the file or makes it; known is false if neither slot is whole.
func openAck(fsys FS, path string, sync bool) (a *ackFile, number uint64, known bool, err error) {
	f, err := fsys.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.Create(path)
	}
	if err != nil {
		return nil, 0, false, err
	}
	a = &ackFile{f: f, sync: sync}
	for slot := range int64(2) {
		n, err := readSlot(f, slot*slotStep)
		var other *versionError
		switch {
		case errors.As(err, &other):
			return nil, 0, false, errors.Join(fmt.Errorf("%s %w", path, err), f.Close())
		case err == nil && (!known || n >= number):
			a.slot, number, known = slot, n, true
		}
	}
	return a, number, known, nil
}

func readSlot(f io.ReaderAt, off int64) (uint64, error) {
	b := make([]byte, slotLen)
	if err := readFull(f, b, off); err != nil {
		return 0, err
	}
	if string(b[:4]) != ackMagic || le.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli) {
		return 0, errDamaged
	}
	if v := le.Uint16(b[4:]); v != version {
		return 0, &versionError{v}
	}
	return le.Uint64(b[8:]), nil
}

// store writes the number. After an error either number may count.
func (a *ackFile) store(number uint64) error {
	b := make([]byte, 0, slotLen)
	b = append(b, ackMagic...)
	b = le.AppendUint16(b, version)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, number)
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	failpoint.Hit("spool.ack.before")
	if err := writeFull(a.f, b, (1-a.slot)*slotStep); err != nil {
		return fmt.Errorf("store what is acknowledged: %w", err)
	}
	if a.sync {
		if err := a.f.Sync(); err != nil {
			return fmt.Errorf("sync what is acknowledged: %w", err)
		}
	}
	a.slot = 1 - a.slot
	failpoint.Hit("spool.ack.after")
	return nil
}
