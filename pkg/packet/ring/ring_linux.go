package ring

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wardflow/wardflow/pkg/packet"
)

// Ring is an open receive ring. One goroutine reads it with Next or Block and,
// when it has stopped reading, closes it; Stats may be called from any.
type Ring struct {
	cfg   Config
	link  packet.LinkType
	group uint16 // of fanout, where it is in one
	ring  []byte
	block Block // the one being read
	index int   // of the block to read next; of the one being read while held
	held  bool

	mu    sync.Mutex // guards fd, wake (against use after Close) and stats
	fd    int
	wake  int // eventfd that ends a poll
	stats Stats
}

// Interface is the name of the interface.
func (r *Ring) Interface() string { return r.cfg.Interface }

// LinkType is the link layer of every packet.
func (r *Ring) LinkType() packet.LinkType { return r.link }

// Next waits for the next packet and reads it into p. The packet's data is valid
// until the next call of Next or Block. It returns the context's error when that
// ends, at the latest at the end of the block, and one that wraps ErrDown when
// the interface goes down.
func (r *Ring) Next(ctx context.Context, p *Packet) error {
	for {
		if r.held && r.block.Next(p) {
			return nil
		}
		if _, err := r.Block(ctx); err != nil {
			return err
		}
	}
}

// Block gives the block before back to the kernel, and with it the data of all
// its packets, and waits for the next, which may hold no packet. Errors are those
// of Next.
func (r *Ring) Block(ctx context.Context) (*Block, error) {
	if err := ctx.Err(); err != nil {
		r.giveBack()
		return nil, err
	}
	if b := r.tryBlock(); b != nil {
		return b, nil
	}
	if r.ring == nil {
		return nil, fmt.Errorf("read ring of interface %s: it is closed", r.cfg.Interface)
	}
	if err := r.wait(ctx, r.ring[r.index*r.cfg.BlockBytes:][:r.cfg.BlockBytes]); err != nil {
		return nil, err
	}
	return r.tryBlock(), nil
}

// TryNext is Next for a reader of several rings: it does not wait, and says
// whether there was a packet. Such a reader calls Check now and then.
func (r *Ring) TryNext(p *Packet) bool {
	for !r.held || !r.block.Next(p) {
		if r.tryBlock() == nil {
			return false
		}
	}
	return true
}

// tryBlock is Block without waiting: nil when there is none yet.
func (r *Ring) tryBlock() *Block {
	r.giveBack()
	if r.ring == nil {
		return nil
	}
	b := r.ring[r.index*r.cfg.BlockBytes:][:r.cfg.BlockBytes]
	if atomic.LoadUint32(status(b))&statusUser == 0 {
		return nil
	}
	r.held = true
	r.block.reset(b)
	return &r.block
}

// Check returns the error of an interface that went down or away, as Next does;
// each once.
func (r *Ring) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return nil
	}
	return r.broken()
}

// giveBack hands the block being read to the kernel. The store comes after all
// reading of the block, as the load of the status came before it.
func (r *Ring) giveBack() {
	if !r.held {
		return
	}
	r.held = false
	if r.block.malformed {
		r.mu.Lock()
		r.stats.Malformed++
		r.mu.Unlock()
	}
	b := r.ring[r.index*r.cfg.BlockBytes:][:r.cfg.BlockBytes]
	r.block.data, r.block.left = nil, 0
	atomic.StoreUint32(status(b), statusKernel)
	r.index = (r.index + 1) % r.cfg.Blocks
}

// status is the word by which kernel and reader hand a block to each other. It is
// aligned: blocks begin at pages.
func status(b []byte) *uint32 { return (*uint32)(unsafe.Pointer(&b[blockStatus])) }

// wait blocks until the block is the reader's or the context ends.
func (r *Ring) wait(ctx context.Context, b []byte) error {
	stop := context.AfterFunc(ctx, r.wakeUp)
	defer stop()
	fds := []unix.PollFd{{Fd: int32(r.wake), Events: unix.POLLIN}, {Fd: int32(r.fd), Events: unix.POLLIN}}
	for {
		// A poll that says readable while our block is still the kernel's would turn
		// this into a busy loop (libpcap has met that, its issue 898). The next poll
		// then leaves the socket out, for as long as a block may take.
		n, timeout := 2, -1
		if fds[1].Revents&unix.POLLIN != 0 {
			n, timeout = 1, int(r.cfg.BlockTimeout.Milliseconds())
		}
		fds[0].Revents, fds[1].Revents = 0, 0
		if _, err := unix.Poll(fds[:n], timeout); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for packets of interface %s: %w", r.cfg.Interface, err)
		}
		if atomic.LoadUint32(status(b))&statusUser != 0 {
			return nil
		}
		if fds[0].Revents != 0 {
			r.drainWake()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if fds[1].Revents&^unix.POLLIN != 0 {
			if err := r.broken(); err != nil {
				return err
			}
		}
	}
}

// broken is the error that the kernel left on the socket, if any.
func (r *Ring) broken() error {
	code, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return fmt.Errorf("read the error of interface %s: %w", r.cfg.Interface, err)
	case unix.Errno(code) == unix.ENETDOWN:
		return fmt.Errorf("read ring of interface %s: %w or gone: bring it up, then open it again", r.cfg.Interface, ErrDown)
	case code == 0:
		return nil
	}
	return fmt.Errorf("read ring of interface %s: %w", r.cfg.Interface, unix.Errno(code))
}

// wakeUp ends a poll. It may run after the wait that asked for it, even after
// Close, whose descriptor number may be another file's by then: hence the lock.
func (r *Ring) wakeUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wake < 0 {
		return
	}
	one := binary.NativeEndian.AppendUint64(nil, 1)
	// It fails only where the counter is full, and then the poll ends as well.
	_, _ = unix.Write(r.wake, one)
}

// drainWake takes a wake-up, perhaps of an earlier context, off the eventfd.
func (r *Ring) drainWake() {
	var n [8]byte
	_, _ = unix.Read(r.wake, n[:])
}

// Stats returns the totals since Open. The kernel counts in 32 bits and starts
// again with each reading, so it is to be called at least every few minutes.
func (r *Ring) Stats() (Stats, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.count()
	return r.stats, err
}

// count adds the kernel's counters. Its packets include those it dropped.
func (r *Ring) count() error {
	if r.fd < 0 {
		return nil
	}
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return fmt.Errorf("read counters of interface %s: %w", r.cfg.Interface, err)
	}
	r.stats.Received += uint64(s.Packets - min(s.Drops, s.Packets))
	r.stats.Drops += uint64(s.Drops)
	r.stats.Freezes += uint64(s.Freeze_q_cnt)
	return nil
}

// Close ends the capture; data of packets is no longer valid. Stats keeps the
// last totals. To end a Next that waits, end its context first.
func (r *Ring) Close() error {
	r.giveBack()
	r.mu.Lock()
	err := r.count()
	r.mu.Unlock()
	if err = errors.Join(err, r.release()); err != nil {
		return fmt.Errorf("close ring: %w", err)
	}
	return nil
}

func (r *Ring) release() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	if r.ring != nil {
		errs = append(errs, unix.Munmap(r.ring))
		r.ring = nil
	}
	for _, fd := range []*int{&r.fd, &r.wake} {
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}
