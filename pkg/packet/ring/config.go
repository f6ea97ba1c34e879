package ring

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/bpf"
)

// Config is what a ring captures and how much memory it has.
type Config struct {
	Interface    string        // name, as in `ip link`
	BlockBytes   int           // of one block: a power of two, 4 KiB (the page) to 64 MiB; a frame larger than a block is cut
	Blocks       int           // at least 2; BlockBytes times Blocks, at most 1 GiB, is all the memory of the ring
	BlockTimeout time.Duration // a block with a packet is handed over after this long at the latest; 1 ms to 10 s, whole milliseconds
	SnapLen      int           // bytes kept of each frame; 0 keeps it whole
	Promiscuous  bool          // also frames for other stations, which a mirror port delivers
	Fanout       bool          // begin a group, whose rings share the interface's packets by flow hash; the kernel sees to it that it is nobody else's
	FanoutWith   *Ring         // join the group of this ring, which is open
	Outgoing     bool          // also what this host sends on the interface
	// Filter runs in the kernel on each frame, VLAN tags that the network card
	// took off not in it; nil takes everything. What it rejects is in no counter.
	Filter []bpf.RawInstruction
}

// Limits of a Config.
const (
	minBlockBytes = 4 << 10
	maxBlockBytes = 64 << 20
	maxRingBytes  = 1 << 30
	// maxFilter is BPF_MAXINSNS of linux/bpf_common.h.
	maxFilter = 4096
)

// Default is a ring of 64 blocks of 1 MiB: half a second of 1 Gb/s at least.
func Default() Config {
	return Config{BlockBytes: 1 << 20, Blocks: 64, BlockTimeout: 50 * time.Millisecond, Promiscuous: true}
}

// Validate reports every problem at once.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Interface == "" {
		wrong("interface: is empty: name the one that the mirror port is connected to, as `ip link` shows it")
	}
	if c.BlockBytes < minBlockBytes || c.BlockBytes > maxBlockBytes || c.BlockBytes&(c.BlockBytes-1) != 0 {
		wrong("block bytes: %d: must be a power of two from %d to %d", c.BlockBytes, minBlockBytes, maxBlockBytes)
	}
	switch {
	case c.Blocks < 2:
		wrong("blocks: %d: at least 2 are needed, one to read and one to fill", c.Blocks)
	case c.BlockBytes > 0 && c.Blocks > maxRingBytes/c.BlockBytes:
		wrong("blocks: %d of %d bytes are more than %d bytes: take fewer or smaller ones", c.Blocks, c.BlockBytes, maxRingBytes)
	}
	if c.BlockTimeout < time.Millisecond || c.BlockTimeout > 10*time.Second || c.BlockTimeout%time.Millisecond != 0 {
		wrong("block timeout: %v: must be whole milliseconds from 1ms to 10s", c.BlockTimeout)
	}
	if c.Fanout && c.FanoutWith != nil {
		wrong("fanout: a ring begins a group or joins one")
	}
	if c.SnapLen < 0 {
		wrong("snap length: %d: must be 0 for whole frames, or the bytes to keep", c.SnapLen)
	}
	if len(c.Filter) > maxFilter {
		wrong("filter: %d instructions: the kernel takes %d", len(c.Filter), maxFilter)
	}
	return errors.Join(errs...)
}

// Stats are totals since Open.
type Stats struct {
	Received  uint64 // frames put into the ring
	Drops     uint64 // frames that found the ring full: raise Blocks, or read faster
	Freezes   uint64 // times the ring was full
	Malformed uint64 // blocks with an impossible offset or length; the rest of such a block is left out
}

// ErrUnsupported is what Open returns where there is no AF_PACKET.
var ErrUnsupported = errors.New("live capture needs Linux (AF_PACKET): run the sensor there, or read capture files")

// ErrDown is wrapped by the error of an interface that is down, or went down or
// away while it was read. After it the ring is to be closed and opened again.
var ErrDown = errors.New("interface is down")
