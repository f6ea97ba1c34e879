package fingerprint

import (
	"bytes"

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

// indexKeys are the keys of a claim by which others are found.
func indexKeys(c *proto.Claim) []indexKey {
	var keys []indexKey
	put := func(space byte, parts ...string) {
		k := indexKey{space}
		var all [][]byte
		for _, p := range parts {
			all = append(all, []byte(p))
		}
		id := proto.HashID("claim", all...)
		copy(k[1:], id[:])
		keys = append(keys, k)
	}
	for i := range c.Keys {
		switch k := &c.Keys[i]; k.Kind {
		case proto.ClaimMAC:
			put(2, "mac", k.Value)
		case proto.ClaimAddress, proto.ClaimOwns, proto.ClaimAnswers:
			put(1, "ip", c.Site, k.Value)
		case proto.ClaimSerial:
			put(2, "serial", k.Value)
		case proto.ClaimUID:
			put(2, "uid", k.Value)
		case proto.ClaimDUID:
			put(2, "duid", k.Value)
		case proto.ClaimEngine:
			put(2, "engine", k.Value)
		case proto.ClaimHostname:
			if c.Class == proto.ClassLocal && distinctive(k.Value) {
				put(2, "host", c.Site, k.Value)
			}
		}
	}
	return keys
}
