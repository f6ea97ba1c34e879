package fingerprint

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/wardflow/wardflow/pkg/hospital"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// tableContexts holds the context file that control has put in force, in parts: state
// of each partition, since a change has its place in the order of each.
const tableContexts = 'x'

// The keys of tableContexts: what is in force, and a part by its file's hash and number.
const (
	keyInForce = "s"
	keyPart    = "p"
)

var contexts = stream.NewTable[contextState](tableContexts, 1)

// contextState is a part of a file, or under keyInForce the hash and name of it.
type contextState struct {
	sum  string // hex
	name string
	data []byte
}

// AppendTo encodes the state.
func (c *contextState) AppendTo(b []byte) []byte {
	return stream.AppendBytes(stream.AppendString(stream.AppendString(b, c.sum), c.name), c.data)
}

// Parse decodes the state.
func (c *contextState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*c = contextState{sum: d.String(), name: d.String(), data: bytes.Clone(d.Bytes())}
	return d.Err()
}

// sweepContext is the name of the sweep after a change of context.
const sweepContext = "context"

// MaxContextPart is how much of a compressed context file one control event carries.
const MaxContextPart = 384 << 10

// maxContextParts bounds what is kept; text compresses to less.
const maxContextParts = hospital.MaxFile/MaxContextPart + 1

// noContext answers where no file is in force.
var noContext = sync.OnceValue(func() *hospital.Context {
	c, err := hospital.Parse("context", nil)
	if err != nil {
		panic(err) // an empty file is good
	}
	return c
})

// contextSets are the files that partitions use, by their hash: each is read once for
// all partitions. They follow from the text, and are no state.
type contextSets struct {
	mu   sync.Mutex
	made map[string]readContext
}

// context gives the file in force.
func (d *Device) context(tx *stream.Tx) *hospital.Context {
	st := contexts.Get(tx, []byte(keyInForce))
	if st == nil {
		return noContext()
	}
	c, err := d.contexts.read(tx, st.sum, st.name)
	if err != nil { // it was good when it was put in force, to the release of then
		tx.Dead("context: " + firstLine(err))
		return noContext()
	}
	return c
}

// read gives a file by its hash. The first partition that asks reads it, and the others
// wait for it.
func (s *contextSets) read(tx *stream.Tx, sum, name string) (*hospital.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known := s.made[sum]
	if !known {
		r.c, r.err = assemble(tx, sum, name)
		if s.made == nil || len(s.made) >= maxSets {
			s.made = map[string]readContext{}
		}
		s.made[sum] = r
	}
	return r.c, r.err
}

// readContext is what reading a file came to.
type readContext struct {
	c   *hospital.Context
	err error
}

// assemble reads a file from its parts.
func assemble(tx *stream.Tx, sum, name string) (*hospital.Context, error) {
	var all []byte
	contexts.Scan(tx, []byte(keyPart), func(_ []byte, p *contextState) bool {
		if p.sum == sum {
			all = append(all, p.data...)
		}
		return true
	})
	text, err := ContextText(name, sum, all)
	if err != nil {
		return nil, err
	}
	return hospital.Parse(name, text)
}

// ContextText is the text of a context file, of which the parts of its control events
// are given, one after the other.
func ContextText(name, sum string, parts []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(parts))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, hospital.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if got := sha256.Sum256(text); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("read %s: it is not what its hash says: set it again", name)
	}
	return text, nil
}

// contextPart takes a part of a file in. With the last the file is in force, if it is
// good, and all devices are looked at again. One that cannot be used changes nothing.
func (d *Device) contextPart(tx *stream.Tx, p *proto.HospitalContext) {
	st := contexts.Get(tx, []byte(keyInForce))
	if p.SHA256 == "" {
		if st != nil {
			contexts.Delete(tx, []byte(keyInForce))
			forgetParts(tx, "")
			tx.Sweep(sweepContext, tableDevices)
		}
		return
	}
	if st != nil && st.sum == p.SHA256 {
		return
	}
	if p.Part < 0 || p.Parts < 1 || p.Parts > maxContextParts || p.Part >= p.Parts || len(p.Data) > MaxContextPart {
		tx.Dead("context: a part that is none")
		return
	}
	if p.Part == 0 {
		keep := ""
		if st != nil {
			keep = st.sum
		}
		forgetParts(tx, keep)
	}
	part := contexts.Edit(tx, binary.BigEndian.AppendUint16([]byte(keyPart+p.SHA256), uint16(p.Part)))
	part.sum, part.name, part.data = p.SHA256, p.Name, p.Data
	if p.Part < p.Parts-1 {
		return
	}
	if _, err := d.contexts.read(tx, p.SHA256, p.Name); err != nil {
		tx.Dead("context: " + firstLine(err))
		return
	}
	now := contexts.Edit(tx, []byte(keyInForce))
	now.sum, now.name = p.SHA256, p.Name
	forgetParts(tx, p.SHA256)
	tx.Sweep(sweepContext, tableDevices)
}

// firstLine is how much of an error may be published: the rest tells the same of others.
func firstLine(err error) string {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) && len(many.Unwrap()) > 0 {
		return many.Unwrap()[0].Error()
	}
	return err.Error()
}

// forgetParts lets go of the parts of all files but one.
func forgetParts(tx *stream.Tx, keep string) {
	var gone [][]byte
	contexts.Scan(tx, []byte(keyPart), func(key []byte, p *contextState) bool {
		if p.sum != keep {
			gone = append(gone, bytes.Clone(key))
		}
		return true
	})
	for _, key := range gone {
		contexts.Delete(tx, key)
	}
}

// ContextEvents are the control events that put a context file in force.
func ContextEvents(name string, text []byte) ([]*proto.Control, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		return nil, fmt.Errorf("compress context: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress context: %w", err)
	}
	sum := sha256.Sum256(text)
	data := b.Bytes()
	parts := (len(data) + MaxContextPart - 1) / MaxContextPart
	var list []*proto.Control
	for i := range parts {
		list = append(list, &proto.Control{Kind: proto.ControlContext, Context: &proto.HospitalContext{
			Name: name, SHA256: hex.EncodeToString(sum[:]), Part: i, Parts: parts, Data: data[i*MaxContextPart : min(len(data), (i+1)*MaxContextPart)],
		}})
	}
	return list, nil
}
