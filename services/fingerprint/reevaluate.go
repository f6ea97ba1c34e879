package fingerprint

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"sync"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// tablePacks holds the packs that control has added: state of each partition, since a
// change has its place in the order of each.
const tablePacks = 'k'

// The keys of tablePacks: which set devices were judged with, and a pack by its name.
const (
	keySet  = "s"
	keyPack = "p"
)

var packTexts = stream.NewTable[packState](tablePacks, 1)

// packState is a pack, or under keySet the number of the set.
type packState struct {
	set  uint64
	text string
}

// AppendTo encodes the state.
func (p *packState) AppendTo(b []byte) []byte {
	return stream.AppendString(binary.BigEndian.AppendUint64(b, p.set), p.text)
}

// Parse decodes the state.
func (p *packState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	var n [8]byte
	d.Fixed(n[:])
	*p = packState{set: binary.BigEndian.Uint64(n[:]), text: d.String()}
	return d.Err()
}

// signatureSets are the sets of signatures that partitions use, by their number: each
// is made once for all partitions. They follow from the packs, and are no state.
type signatureSets struct {
	base *signatures
	own  uint64 // number of the base

	mu          sync.Mutex
	made        map[uint64]*signatures
	differences map[[2]uint64]*difference // by the numbers of two sets
}

// maxSets bounds them; partitions differ only while a change is on its way.
const maxSets = 4

func newSignatureSets(packs []*Pack) *signatureSets {
	base := embedded()
	if len(packs) > 0 {
		more, err := base.with(packs)
		if err != nil {
			panic("fingerprint: packs that were not linted: " + err.Error()) // whoever reads packs says what is wrong with them
		}
		base = more
	}
	return &signatureSets{base: base, own: base.number(), made: map[uint64]*signatures{}, differences: map[[2]uint64]*difference{}}
}

// number identifies a set by its content.
func (s *signatures) number() uint64 {
	h := sha256.New()
	for _, p := range s.packs {
		_, _ = h.Write(p.sum[:])
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// signatures gives what the partition judges with. Where that is not what its devices
// were judged with, the program or its packs have changed since: all are looked at again.
func (d *Device) signatures(tx *stream.Tx) *signatures {
	st := packTexts.Get(tx, []byte(keySet))
	if st == nil {
		d.judgeAgain(tx)
		return d.sets.base
	}
	sets := d.sets
	if st.set == sets.own {
		return sets.base
	}
	sets.mu.Lock()
	sig := sets.made[st.set]
	sets.mu.Unlock()
	if sig == nil {
		sig = d.judgeAgain(tx)
	}
	return sig
}

// judgeAgain makes the partition's set, and where it is another than before asks for
// all devices to be looked at again.
func (d *Device) judgeAgain(tx *stream.Tx) *signatures {
	sets := d.sets
	var packs []*Pack
	packTexts.Scan(tx, []byte(keyPack), func(key []byte, p *packState) bool {
		if pack, err := ParsePack(string(key[len(keyPack):]), []byte(p.text)); err == nil { // it was, when it was taken in
			packs = append(packs, pack)
		}
		return true
	})
	sig, number := sets.base, sets.own
	if len(packs) > 0 {
		h := fnv.New64a()
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, sets.own))
		for _, p := range packs {
			_, _ = h.Write(p.sum[:])
		}
		number = h.Sum64()
		sets.mu.Lock()
		defer sets.mu.Unlock()
		sig = sets.made[number]
		if sig == nil {
			made, err := sets.base.with(packs)
			if err != nil { // rules of another release than that which took them in
				tx.Dead("signatures: " + err.Error())
			}
			if len(sets.made) >= maxSets {
				clear(sets.made)
			}
			sig = made
			sets.made[number] = sig
		}
	}
	if st := packTexts.Get(tx, []byte(keySet)); st == nil || st.set != number {
		was := uint64(0)
		if st != nil {
			was = st.set
		}
		packTexts.Edit(tx, []byte(keySet)).set = number
		tx.Sweep(sweepName(was), tableDevices)
	}
	return sig
}

// control takes a pack in, or away. One that cannot be used changes nothing.
func (d *Device) control(tx *stream.Tx, c *proto.Control) {
	if c.Context != nil {
		d.contextPart(tx, c.Context)
	}
	p := c.Signatures
	if p == nil {
		return
	}
	key := []byte(keyPack + p.Name)
	switch {
	case p.Removed && packTexts.Get(tx, key) == nil:
		return
	case p.Removed:
		packTexts.Delete(tx, key)
	default:
		pack, err := ParsePack(p.Name, []byte(p.Text))
		if err == nil {
			_, err = d.sets.base.with([]*Pack{pack})
		}
		if err != nil {
			tx.Dead("signatures: " + err.Error())
			return
		}
		packTexts.Edit(tx, key).text = p.Text
	}
	d.judgeAgain(tx)
}

// difference gives what sets apart what devices were judged with and what they are to
// be judged with; nil where the former is not at hand any more.
func (s *signatureSets) difference(was, number uint64, now *signatures) *difference {
	s.mu.Lock()
	defer s.mu.Unlock()
	between := [2]uint64{was, number}
	if d, known := s.differences[between]; known {
		return d
	}
	old := s.made[was]
	if was == s.own {
		old = s.base
	}
	var d *difference
	if old != nil {
		d = differ(old, now)
	}
	if len(s.differences) >= maxSets {
		clear(s.differences)
	}
	s.differences[between] = d
	return d
}

// Sweep looks at a device again after signatures have changed, and tells it where
// that makes another of it.
func (d *Device) Sweep(tx *stream.Tx, name string, key []byte) {
	var id proto.ID
	if copy(id[:], key) != len(id) {
		return
	}
	if name == sweepContext {
		d.aroundAgain(tx, id)
		return
	}
	all := d.members(tx, id)
	st := devices.Get(tx, key)
	if len(all) == 0 || st == nil {
		return
	}
	sig := d.signatures(tx)
	if was, ok := sweptFrom(name); ok && st.facts != 0 {
		now := packTexts.Get(tx, []byte(keySet))
		if apart := d.sets.difference(was, now.set, sig); apart != nil && !apart.touches(all) {
			return
		}
	}
	dev := sig.device(id, all)
	if factsOf(dev) == st.facts {
		return
	}
	dev.LastState = st.last
	d.emit(tx, sig, dev, all, dev.LastSeen) // control has its own clock, which is not the capture's
}

// factsOf identifies what signatures make of a device: by it a device is known that
// they make another of.
func factsOf(dev *proto.Device) uint64 {
	only := proto.Device{
		Category: dev.Category, Type: dev.Type, Manufacturer: dev.Manufacturer, Model: dev.Model, OS: dev.OS, OSVersion: dev.OSVersion,
		HardwareVersion: dev.HardwareVersion, SoftwareVersion: dev.SoftwareVersion, Serial: dev.Serial, Location: dev.Location, Contradictions: dev.Contradictions,
	}
	h := fnv.New64a()
	_, _ = h.Write(only.AppendJSON(nil))
	return h.Sum64()
}
