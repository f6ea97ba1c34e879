package capfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// Merge gives the packets of several captures as one sequence by time; packets
// of the same time come in the order of the captures, and those of one capture
// never change places (so a capture that is not sorted stays so).
type Merge struct {
	sources []*mergeSource
	heap    []*mergeSource
	ready   bool
	out     *mergeSource // whose packet was given last: it must not be advanced before
	errs    []error
}

type mergeSource struct {
	index int
	r     *Reader
	p     Packet
}

// NewMerge merges the captures of readers, which it does not close.
func NewMerge(readers ...*Reader) *Merge {
	m := &Merge{}
	for i, r := range readers {
		m.sources = append(m.sources, &mergeSource{index: i, r: r})
	}
	return m
}

// Next gives the next packet and the index of its capture; io.EOF at the end. A
// damaged capture ends early and the rest goes on: Errors tells.
func (m *Merge) Next(p *Packet) (int, error) {
	if !m.ready {
		m.ready = true
		for _, s := range m.sources {
			m.advance(s)
		}
	}
	if m.out != nil {
		s := m.out
		m.out = nil
		m.advance(s)
	}
	if len(m.heap) == 0 {
		return 0, io.EOF
	}
	s := m.pop()
	m.out = s
	*p = s.p
	return s.index, nil
}

// Errors gives the errors of damaged captures met so far, each once, in the
// order they were met.
func (m *Merge) Errors() []error { return m.errs }

// advance reads the next packet of s and queues it.
func (m *Merge) advance(s *mergeSource) {
	if err := s.r.Next(&s.p); err != nil {
		if !errors.Is(err, io.EOF) {
			m.errs = append(m.errs, err)
		}
		return
	}
	m.push(s)
}

func (s *mergeSource) before(o *mergeSource) bool {
	return s.p.Time < o.p.Time || (s.p.Time == o.p.Time && s.index < o.index)
}

// push and pop are a binary heap without the interface of container/heap, whose
// calls would cost more than the merge.
func (m *Merge) push(s *mergeSource) {
	m.heap = append(m.heap, s)
	h := m.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (m *Merge) pop() *mergeSource {
	h := m.heap
	top, n := h[0], len(h)-1
	h[0], h[n] = h[n], nil
	h = h[:n]
	m.heap = h
	for i := 0; ; {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < n && h[c].before(h[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// Producer names the producer of a set of capture files by their content: the
// first 16 bytes of SHA-256 over the SHA-256 of each file, in order, as hex. The
// same files read again get the same name, wherever they lie.
func Producer(paths ...string) (string, error) {
	all := sha256.New()
	for _, path := range paths {
		sum, err := fileSum(path)
		if err != nil {
			return "", fmt.Errorf("name producer: %w", err)
		}
		all.Write(sum)
	}
	return hex.EncodeToString(all.Sum(nil)[:16]), nil
}

func fileSum(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return h.Sum(nil), nil
}
