package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/packet"
)

// merged are the collections that the file for the measurement of speed is made of.
var merged = []string{"nDPI", "zeek", "suricata-verify", "malcolm-artifacts"}

// leastPackets is how many packets the file has at least: copies are added until then.
const leastPackets = 2_400_000

// merge writes the file: the Ethernet frames of every capture of the collections, one
// capture after the other by their names, each on from where the one before has ended
// (after ten seconds at the latest, so that a capture of days does not end all flows),
// and all of it again until there are enough. With own every copy has IPv4 addresses
// of its own (the first byte differs; checksums are left wrong, which none of the
// programs minds). The same captures give the same bytes.
func merge(captures, path string, own bool) (packets int, err error) {
	list, err := ethernet(captures)
	if err != nil {
		return 0, err
	}
	once := 0
	for _, frames := range list {
		once += len(frames)
	}
	if once == 0 {
		return 0, fmt.Errorf("no Ethernet captures below %s", captures)
	}
	out, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("make the merged capture: %w", err)
	}
	w := bufio.NewWriterSize(out, 1<<20)
	le := binary.LittleEndian
	head := le.AppendUint32(nil, 0xa1b23c4d) // nanoseconds
	head = append(head, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	head = le.AppendUint32(le.AppendUint32(head, 262144), uint32(packet.LinkEthernet))
	_, err = w.Write(head)
	now, record := int64(1_700_000_000_000_000_000), make([]byte, 0, 16)
	for i := 0; packets < leastPackets && err == nil; i++ {
		for _, frames := range list {
			first, last := frames[0].Time, frames[0].Time
			for j := range frames {
				first, last = min(first, frames[j].Time), max(last, frames[j].Time)
			}
			for j := range frames {
				f := &frames[j]
				t := now + min(int64(f.Time-first), int64(3600e9))
				record = le.AppendUint32(le.AppendUint32(record[:0], uint32(t/1e9)), uint32(t%1e9))
				record = le.AppendUint32(le.AppendUint32(record, uint32(len(f.Data))), uint32(f.WireLen))
				if _, err = w.Write(record); err == nil {
					_, err = w.Write(readdressed(f.Data, own, byte(i)))
				}
				packets++
			}
			now += min(int64(last-first), 10e9) + 1e6
		}
	}
	if err = errors.Join(err, w.Flush(), out.Close()); err != nil {
		return 0, fmt.Errorf("write the merged capture: %w", err)
	}
	return packets, nil
}

// readdressed is a frame of copy n with other IPv4 addresses.
func readdressed(b []byte, own bool, n byte) []byte {
	if !own || n == 0 || len(b) < 34 || b[12] != 8 || b[13] != 0 {
		return b
	}
	b = bytes.Clone(b)
	b[26] ^= n
	b[30] ^= n
	return b
}

// ethernet reads the captures of Ethernet alone, by their names.
func ethernet(captures string) ([][]capfile.Packet, error) {
	var paths []string
	for _, dir := range merged {
		err := filepath.WalkDir(filepath.Join(captures, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.Contains(filepath.Ext(path), "cap") {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for captures: %w", err)
		}
	}
	slices.Sort(paths)
	var list [][]capfile.Packet
	for _, path := range paths {
		r, err := capfile.Open(path)
		if err != nil {
			continue // not a capture
		}
		var frames []capfile.Packet
		var p capfile.Packet
		for {
			if err = r.Next(&p); err != nil {
				break
			}
			if p.LinkType != packet.LinkEthernet {
				frames = nil
				break
			}
			p.Data = bytes.Clone(p.Data)
			frames = append(frames, p)
		}
		if cerr := r.Close(); cerr != nil {
			return nil, fmt.Errorf("close %s: %w", path, cerr)
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, capfile.ErrTruncated) {
			continue
		}
		if len(frames) > 0 {
			list = append(list, frames)
		}
	}
	return list, nil
}
