package spool

import (
	"errors"
	"fmt"
	"time"
)

// SyncPolicy says when what was appended is forced to the disk. The package
// comment says what a kill and what a power cut lose under each.
type SyncPolicy uint8

// The policies; the zero value is SyncInterval.
const (
	SyncInterval SyncPolicy = iota
	SyncEach
	SyncNever
)

// Config of a spool.
type Config struct {
	Dir          string        // made if it is not there
	MaxBytes     int64         // bound of all segments together, at least twice SegmentBytes; default 8 GiB
	SegmentBytes int64         // bound of a segment, and so of what goes at once at MaxBytes; default 64 MiB
	Sync         SyncPolicy    // default SyncInterval
	SyncEvery    time.Duration // of SyncInterval; default 1 s
	FS           FS            // default the operating system's

	// Now is the clock of SyncInterval and of ages; default time.Now.
	Now func() time.Time
	// OnDrop hears of every loss, in the goroutine that found it and before its
	// call returns. It may call the spool.
	OnDrop func(Drop)
}

// Reason says why records were dropped.
type Reason string

// The reasons of a drop.
const (
	DropBound    Reason = "bound"     // the oldest, at MaxBytes; or the newest, if the oldest could not be deleted
	DropDiskFull Reason = "disk_full" // the newest: no room on the disk, or in the quota
	DropWrite    Reason = "write"     // the newest: the disk did not take it
	DropSync     Reason = "sync"      // the newest, under SyncEach: the disk did not confirm it
	DropTooLong  Reason = "too_long"  // the newest: longer than MaxPayload
	DropDamaged  Reason = "damaged"   // cannot be read back, or its segment is gone
	DropTorn     Reason = "torn"      // the end of the last segment, as a kill or a power cut left it
)

// Reasons are all reasons, for counters that should be there from the start.
var Reasons = []Reason{DropBound, DropDiskFull, DropWrite, DropSync, DropTooLong, DropDamaged, DropTorn}

// Drop is one loss. Records is 0 where only the bytes are known: a torn tail (of
// a record that Append had not confirmed, unless the power failed) and damage at
// the end of the last segment.
type Drop struct {
	Reason  Reason
	Records uint64
	Bytes   int64 // of files for DropBound, DropDamaged and DropTorn, else of the payload
}

const (
	defaultMaxBytes     = 8 << 30
	defaultSegmentBytes = 64 << 20
	defaultSyncEvery    = time.Second
	longestPayload      = 16 << 20
)

func (c Config) withDefaults() Config {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = defaultSegmentBytes
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = max(defaultMaxBytes, 2*c.SegmentBytes)
	}
	if c.SyncEvery == 0 {
		c.SyncEvery = defaultSyncEvery
	}
	if c.FS == nil {
		c.FS = osFS{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnDrop == nil {
		c.OnDrop = func(Drop) {}
	}
	return c
}

// Validate reports everything that is wrong; zero values stand for defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: name a folder for the spool"))
	}
	if c.SegmentBytes <= headerLen+frameLen {
		errs = append(errs, fmt.Errorf("segment bytes: %d hold no record; give at least %d", c.SegmentBytes, headerLen+frameLen+1))
	}
	if c.MaxBytes < 2*c.SegmentBytes {
		errs = append(errs, fmt.Errorf("max bytes: %d are less than two segments of %d bytes", c.MaxBytes, c.SegmentBytes))
	}
	if c.Sync > SyncNever {
		errs = append(errs, fmt.Errorf("sync: there is no policy %d", c.Sync))
	}
	if c.SyncEvery < 0 {
		errs = append(errs, fmt.Errorf("sync every: %v is negative", c.SyncEvery))
	}
	return errors.Join(errs...)
}

// MaxPayload is the longest payload in bytes that Append takes: 16 MiB, or what
// fits a segment.
func (c Config) MaxPayload() int {
	return int(min(c.withDefaults().SegmentBytes-headerLen-frameLen, longestPayload))
}
