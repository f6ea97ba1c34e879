package behaviour

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/wardflow/wardflow/pkg/stream"
)

// A model file is four bytes, "WFB" and the version of the features, and what
// follows packed by gzip: provenance as JSON, labels, vocabulary, trees in preorder,
// calibration, and the profiles and floors of the types. Numbers are varints,
// values of floats their four bytes.
var magic = []byte{'W', 'F', 'B', Version}

// maxModel bounds a model when it is unpacked.
const maxModel = 64 << 20

// Encode writes the model: the same model gives the same bytes.
func (m *Model) Encode() ([]byte, error) {
	head, err := json.Marshal(m.Provenance)
	if err != nil {
		return nil, fmt.Errorf("encode model: %w", err)
	}
	b := stream.AppendBytes(nil, head)
	b = stream.AppendUint(b, uint64(len(m.Labels)))
	for _, l := range m.Labels {
		b = stream.AppendString(b, l)
	}
	b = m.vocabulary.appendTo(b)
	for _, f := range m.forests {
		b = f.appendTo(b)
	}
	b = stream.AppendUint(b, uint64(len(m.families)))
	for _, s := range m.families {
		b = stream.AppendUint(b, uint64(len(s.classes)))
		for _, c := range s.classes {
			b = stream.AppendUint(b, uint64(c))
		}
		b = s.forest.appendTo(b)
	}
	b = stream.AppendUint(b, uint64(len(m.steps)))
	for _, s := range m.steps {
		b = appendFloat(appendFloat(b, s.from), s.confidence)
	}
	for c := range m.profiles {
		b = stream.AppendUint(appendFloat(b, m.floors[c]), uint64(m.profiles[c].members))
		for _, n := range m.profiles[c].has {
			b = stream.AppendUint(b, uint64(n))
		}
	}
	var out bytes.Buffer
	out.Write(magic)
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("encode model: %w", err)
	}
	if _, err := z.Write(b); err != nil {
		return nil, fmt.Errorf("encode model: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("encode model: %w", err)
	}
	return out.Bytes(), nil
}

func appendFloat(b []byte, f float32) []byte {
	return binary.BigEndian.AppendUint32(b, math.Float32bits(f))
}

func (v *vocabulary) appendTo(b []byte) []byte {
	b = stream.AppendUint(b, uint64(v.group))
	for _, list := range [...][]term{v.marks, v.facts} {
		b = stream.AppendUint(b, uint64(len(list)))
		for _, t := range list {
			flow := uint64(0)
			if t.flow {
				flow = 1
			}
			b = stream.AppendString(stream.AppendUint(binary.BigEndian.AppendUint32(b, t.key), flow), t.name)
		}
	}
	return b
}

func (f forest) appendTo(b []byte) []byte {
	b = stream.AppendUint(b, uint64(len(f)))
	for _, t := range f {
		b = t.appendTo(b)
	}
	return b
}

func (t tree) appendTo(b []byte) []byte {
	b = stream.AppendUint(b, uint64(len(t)))
	for i := range t {
		n := &t[i]
		b = stream.AppendUint(b, uint64(n.column+1))
		if n.column >= 0 {
			b = stream.AppendUint(appendFloat(b, n.threshold), uint64(int(n.right)-i))
			continue
		}
		b = stream.AppendUint(appendFloat(b, n.weight), uint64(len(n.share)))
		for _, s := range n.share {
			b = appendFloat(stream.AppendUint(b, uint64(s.class)), s.weight)
		}
	}
	return b
}

var errModel = errors.New("not a model of this version: make it anew with `wardflow fingerprint train`")

// Decode reads a model.
func Decode(file []byte) (*Model, error) {
	if !bytes.HasPrefix(file, magic) {
		return nil, fmt.Errorf("read behaviour model: %w", errModel)
	}
	z, err := gzip.NewReader(bytes.NewReader(file[len(magic):]))
	if err != nil {
		return nil, fmt.Errorf("read behaviour model: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(z, maxModel))
	if err != nil {
		return nil, fmt.Errorf("read behaviour model: %w", err)
	}
	m := new(Model)
	if err := m.parse(stream.NewDecoder(b)); err != nil {
		return nil, fmt.Errorf("read behaviour model: %w", err)
	}
	return m, nil
}

func (m *Model) parse(d *stream.Decoder) error {
	if err := json.Unmarshal(d.Bytes(), &m.Provenance); err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		m.Labels = append(m.Labels, d.String())
	}
	m.vocabulary = readVocabulary(d)
	for range m.vocabulary.experts() {
		f, err := readForest(d, m.vocabulary.width, len(m.Labels))
		if err != nil {
			return err
		}
		m.forests = append(m.forests, f)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		var s specialist
		for k := d.Uint(); k > 0 && d.More(); k-- {
			s.classes = append(s.classes, int32(d.Uint()))
		}
		for _, c := range s.classes {
			if c < 0 || int(c) >= len(m.Labels) {
				return errModel
			}
		}
		f, err := readForest(d, m.vocabulary.width, len(m.Labels))
		if err != nil {
			return err
		}
		s.forest = f
		m.families = append(m.families, s)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		m.steps = append(m.steps, step{from: readFloat(d), confidence: readFloat(d)})
	}
	for range m.Labels {
		if !d.More() {
			return errModel
		}
		m.floors = append(m.floors, readFloat(d))
		p := profile{members: int(d.Uint()), has: make([]uint16, len(m.vocabulary.marks)+len(m.vocabulary.facts))}
		for k := range p.has {
			p.has[k] = uint16(d.Uint())
		}
		m.profiles = append(m.profiles, p)
	}
	if d.Err() != nil {
		return d.Err()
	}
	if len(m.Labels) == 0 || len(m.forests) == 0 {
		return errModel
	}
	m.weights = weights(m.profiles)
	return nil
}

func readFloat(d *stream.Decoder) float32 { return math.Float32frombits(readHash(d)) }

func readVocabulary(d *stream.Decoder) *vocabulary {
	v := &vocabulary{group: Group(d.Uint())}
	for _, list := range [...]*[]term{&v.marks, &v.facts} {
		for n := d.Uint(); n > 0 && d.More(); n-- {
			*list = append(*list, term{key: readHash(d), flow: d.Uint() == 1, name: d.String()})
		}
	}
	v.layout()
	return v
}

func readForest(d *stream.Decoder, columns, classes int) (forest, error) {
	var f forest
	for n := d.Uint(); n > 0 && d.More(); n-- {
		t, err := readTree(d, columns, classes)
		if err != nil {
			return nil, err
		}
		f = append(f, t)
	}
	if len(f) == 0 {
		return nil, errModel
	}
	return f, nil
}

func readTree(d *stream.Decoder, columns, classes int) (tree, error) {
	var t tree
	for n := d.Uint(); n > 0 && d.More(); n-- {
		x := node{column: int32(d.Uint()) - 1}
		if x.column >= 0 {
			x.threshold = readFloat(d)
			x.right = int32(len(t)) + int32(d.Uint())
			t = append(t, x)
			continue
		}
		x.weight = readFloat(d)
		for k := d.Uint(); k > 0 && d.More(); k-- {
			x.share = append(x.share, share{class: int32(d.Uint()), weight: readFloat(d)})
		}
		t = append(t, x)
	}
	if d.Err() != nil || len(t) == 0 {
		return nil, errModel
	}
	for i := range t {
		n := &t[i]
		if n.column >= 0 && (int(n.column) >= columns || int(n.right) <= i+1 || int(n.right) >= len(t)) {
			return nil, errModel
		}
		for _, s := range n.share {
			if s.class < 0 || int(s.class) >= classes {
				return nil, errModel
			}
		}
	}
	t.sum(classes)
	return t, nil
}
