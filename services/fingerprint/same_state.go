package fingerprint

import (
	"bytes"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// The tables of the identity fold.
var (
	claims   = stream.NewTable[claimState]('c', 0)                // endpoint -> what it claims, and what it was told
	sharers  = stream.NewTable[stream.Uint]('k', len(indexKey{})) // key, endpoint -> 1
	verdicts = stream.NewTable[verdictState]('v', idLen)          // id, edit -> what a person has decided
)

// claimState is an endpoint's last claim.
type claimState struct {
	proto.Claim
	time   proto.Time // of the claim, and its time domain
	domain string
	told   proto.Grouping
}

// AppendTo encodes the state.
func (st *claimState) AppendTo(b []byte) []byte {
	for _, m := range []msgpack.CustomEncoder{&st.Claim, &st.told} {
		val, err := proto.Marshal(m)
		if err != nil { // it was decoded from the like
			val = nil
		}
		b = stream.AppendBytes(b, val)
	}
	return stream.AppendString(stream.AppendInt(b, int64(st.time)), st.domain)
}

// Parse decodes the state.
func (st *claimState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*st = claimState{}
	claim, told := bytes.Clone(d.Bytes()), bytes.Clone(d.Bytes())
	st.time, st.domain = proto.Time(d.Int()), d.String()
	if err := d.Err(); err != nil {
		return err
	}
	if err := proto.Unmarshal(claim, &st.Claim); err != nil {
		return err
	}
	return proto.Unmarshal(told, &st.told)
}

// verdictState is what a person has decided about an id and another.
type verdictState struct{ proto.Verdict }

// AppendTo encodes the verdict.
func (v *verdictState) AppendTo(b []byte) []byte {
	b = append(append(b, v.EditID[:]...), v.Other[:]...)
	return stream.AppendString(stream.AppendInt(stream.AppendUint(b, flagIf(v.Same, 1)), int64(v.Time)), v.By)
}

// Parse decodes the verdict.
func (v *verdictState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*v = verdictState{}
	d.Fixed(v.EditID[:])
	d.Fixed(v.Other[:])
	v.Same = d.Uint() == 1
	v.Time, v.By = proto.Time(d.Int()), d.String()
	return d.Err()
}

// indexKey is a hash of a key by which endpoints are found that share it; its first
// byte says whether it is an address.
type indexKey [9]byte

func (k indexKey) owners() bool { return k[0] == 1 }

// telling is the claim without what so many share that it tells nobody from anybody.
func (st *claimState) telling(tx *stream.Tx) *claimState {
	c := *st
	c.Keys = nil
	for i := range st.Keys {
		key := keyOf(&st.Claim, &st.Keys[i])
		if key == (indexKey{}) || key.owners() || len(sharersUpTo(tx, key, maxSharers+1)) <= maxSharers {
			c.Keys = append(c.Keys, st.Keys[i])
		}
	}
	return &c
}

// indexKeys are the keys of a claim by which others are found.
func indexKeys(c *proto.Claim) []indexKey {
	var keys []indexKey
	for i := range c.Keys {
		if k := keyOf(c, &c.Keys[i]); k != (indexKey{}) && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// keyOf is the index key of one key of a claim, zero where others are not found by it.
func keyOf(c *proto.Claim, k *proto.ClaimKey) indexKey {
	hash := func(space byte, parts ...string) indexKey {
		key := indexKey{space}
		var all [][]byte
		for _, p := range parts {
			all = append(all, []byte(p))
		}
		id := proto.HashID("claim", all...)
		copy(key[1:], id[:])
		return key
	}
	switch k.Kind {
	case proto.ClaimMAC:
		return hash(2, "mac", k.Value)
	case proto.ClaimAddress, proto.ClaimOwns, proto.ClaimAnswers:
		return hash(1, "ip", c.Site, k.Value)
	case proto.ClaimSerial:
		return hash(2, "serial", k.Value)
	case proto.ClaimUID:
		return hash(2, "uid", k.Value)
	case proto.ClaimDUID:
		return hash(2, "duid", k.Value)
	case proto.ClaimEngine:
		return hash(2, "engine", k.Value)
	case proto.ClaimManaged:
		return hash(2, "managed", c.Site, k.Value)
	case proto.ClaimHostname:
		if c.Class == proto.ClassLocal && distinctive(k.Value) {
			return hash(2, "host", c.Site, k.Value)
		}
	}
	return indexKey{}
}
