package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate keeps one listening socket open while the broker behind it is closed and opened again: clients that come
// meanwhile wait instead of being refused. It also keeps from the broker what would make it fall over.
type gate struct {
	ln    net.Listener
	conns chan net.Conn
	done  chan struct{}
}

func newGate(ln net.Listener) *gate {
	g := &gate{ln: ln, conns: make(chan net.Conn), done: make(chan struct{})}
	go g.accept()
	return g
}

func (g *gate) accept() {
	defer close(g.done)
	for {
		conn, err := g.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of file descriptors, most likely: it may pass
			continue
		}
		g.conns <- conn
	}
}

// close ends the gate and whatever waits at it.
func (g *gate) close() error {
	err := g.ln.Close()
	for {
		select {
		case conn := <-g.conns:
			_ = conn.Close()
		case <-g.done:
			return err
		}
	}
}

// session is a listener for one life of the broker: closing it leaves the socket open.
func (g *gate) session() net.Listener { return &session{gate: g, closed: make(chan struct{})} }

type session struct {
	gate   *gate
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (s *session) Accept() (net.Conn, error) {
	select {
	case <-s.closed:
		return nil, net.ErrClosed
	case <-s.gate.done:
		return nil, net.ErrClosed
	case conn := <-s.gate.conns:
		return &framed{Conn: conn, closed: s.closed, written: make(chan struct{}, 1)}, nil
	}
}

// Close implements net.Listener.
func (s *session) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr implements net.Listener.
func (s *session) Addr() net.Addr { return s.gate.ln.Addr() }

// framed ends a connection whose bytes are no Kafka requests. The broker allocates whatever length a request claims
// and panics on an API key that does not exist, before it asks for a password; anything may connect to a local port.
//
//	length i32 | api_key i16 | ...
type framed struct {
	net.Conn
	head [6]byte // of the frame that is being read
	have int     // bytes of head read from the connection
	gave int     // and handed on
	left int64   // bytes of the frame behind the head

	closed   chan struct{} // the broker is being closed
	joining  bool          // the last request asks to join a group
	requests int64
	answers  atomic.Int64
	written  chan struct{} // another answer
}

const (
	maxFrame  = 128 << 20
	maxAPIKey = 92 // the last that the broker knows
	joinGroup = 11
	// maxJoin is more than any rebalance takes.
	maxJoin = 2 * time.Minute
)

// Write implements io.Writer.
func (f *framed) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	f.answers.Add(1) // the broker writes whole answers, and a failed one counts as well
	select {
	case f.written <- struct{}{}:
	default:
	}
	return n, err
}

// linger keeps the end of a connection from the broker until it has answered a request to join a group. A member
// whose answer finds no connection is never timed out by it: it would keep its partitions for ever, and nobody reads
// them. Answered, it is gone when its session times out.
func (f *framed) linger() {
	limit := time.NewTimer(maxJoin)
	defer limit.Stop()
	for f.joining && f.answers.Load() < f.requests {
		select {
		case <-f.written:
		case <-f.closed:
			return
		case <-limit.C:
			return
		}
	}
}

// Read implements io.Reader.
func (f *framed) Read(p []byte) (int, error) {
	if f.gave == len(f.head) && f.left == 0 {
		f.have, f.gave = 0, 0
	}
	if f.gave == len(f.head) {
		n, err := f.Conn.Read(p[:min(int64(len(p)), f.left)])
		f.left -= int64(n)
		return n, err
	}
	if f.have < len(f.head) {
		if _, err := io.ReadFull(f.Conn, f.head[:]); err != nil {
			f.linger()
			return 0, err
		}
		f.have = len(f.head)
		length, key := binary.BigEndian.Uint32(f.head[:]), binary.BigEndian.Uint16(f.head[4:])
		if length < 8 || length > maxFrame || key > maxAPIKey {
			return 0, fmt.Errorf("not a Kafka request: length %d, API key %d", length, key)
		}
		f.left = int64(length) - 2
		f.joining = key == joinGroup
		f.requests++
	}
	n := copy(p, f.head[f.gave:])
	f.gave += n
	return n, nil
}
