package brokerlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
)

// The broker appends producers to pids.log and committed offsets to groups.log, as framed JSON:
//
//	length u32 of what follows the checksum | crc32c u32 of it | version u16 = 1 | JSON
//
// The integers are little endian. It ignores all that follows a torn entry, but appends behind it.
const frameHeader = 10

// readFrames returns the JSON of the entries and the length of the intact part.
func readFrames(raw []byte) (entries [][]byte, intact int) {
	for {
		b := raw[intact:]
		if len(b) < frameHeader {
			return entries, intact
		}
		length := int64(binary.LittleEndian.Uint32(b))
		if length < 2 || length > int64(len(b)-8) || checksum(b[8:8+length]) != binary.LittleEndian.Uint32(b[4:]) {
			return entries, intact
		}
		entries = append(entries, b[frameHeader:8+length])
		intact += 8 + int(length)
	}
}

func appendFrame(dst []byte, v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(2+len(raw)))
	dst = append(dst, 0, 0, 0, 0, 1, 0)
	dst = append(dst, raw...)
	binary.LittleEndian.PutUint32(dst[at+4:], checksum(dst[at+8:]))
	return dst, nil
}

// cutTornTail shortens a state log to its intact part and returns its entries.
func cutTornTail(path string) ([][]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, intact := readFrames(raw)
	if intact < len(raw) {
		err = os.Truncate(path, int64(intact))
	}
	return entries, err
}

// appendToLog appends raw to a state log and syncs it.
func appendToLog(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}

// producerEntry is an entry of pids.log.
type producerEntry struct {
	Type    string `json:"type"` // init, endtx, timeout
	PID     int64  `json:"pid"`
	Epoch   int16  `json:"epoch"`
	TxID    string `json:"txid,omitempty"`
	Timeout int32  `json:"timeout,omitempty"` // ms
	Commit  *bool  `json:"commit,omitempty"`
}

// producers folds pids.log the way the broker does.
func producers(entries [][]byte) map[int64]producerEntry {
	out := map[int64]producerEntry{}
	for _, raw := range entries {
		var e producerEntry
		if json.Unmarshal(raw, &e) != nil {
			continue
		}
		if e.Type != "init" {
			known, ok := out[e.PID]
			if !ok {
				continue
			}
			known.Epoch = e.Epoch
			e = known
		}
		out[e.PID] = e
	}
	return out
}
