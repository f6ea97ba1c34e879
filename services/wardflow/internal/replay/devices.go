package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
)

// registry knows the devices as they stand, and which device an endpoint
// belonged to when. It answers as the views of pkg/store do.
type registry struct {
	last     map[proto.ID][]byte // JSON of each device as it was told last; it is told often and read once
	devices  map[proto.ID]*proto.Device
	bindings map[proto.ID][]binding
	current  map[proto.ID]proto.ID // every id a device has or had -> the device
}

// binding holds from since on; the first of an endpoint also holds before, since
// what it rests on was seen before it was made.
type binding struct {
	since  proto.Time
	device proto.ID
}

func newRegistry() *registry {
	return &registry{last: map[proto.ID][]byte{}, devices: map[proto.ID]*proto.Device{}, bindings: map[proto.ID][]binding{}}
}

// tell takes a device as a fold tells it; an empty text withdraws it.
func (r *registry) tell(key, text []byte) {
	var id proto.ID
	copy(id[:], key)
	if len(text) == 0 {
		delete(r.last, id)
		return
	}
	r.last[id] = text
}

func (r *registry) bind(b *proto.Binding, since proto.Time) {
	list := r.bindings[b.Endpoint]
	if n := len(list); n > 0 && list[n-1].device == b.Device && list[n-1].since <= since {
		return // only its profile has changed
	}
	r.bindings[b.Endpoint] = append(list, binding{since, b.Device})
}

// settle is to be called when all is known, before any question.
func (r *registry) settle() error {
	for id, text := range r.last {
		d := new(proto.Device)
		if err := json.Unmarshal(text, d); err != nil {
			return fmt.Errorf("read device of a fold: %w", err)
		}
		r.devices[id] = d
	}
	clear(r.last)
	for id, list := range r.bindings {
		slices.SortStableFunc(list, func(a, b binding) int { return cmp.Compare(a.since, b.since) })
		kept := list[:0]
		for i, b := range list {
			if i+1 < len(list) && list[i+1].since == b.since {
				continue // the later word of the same moment counts
			}
			kept = append(kept, b)
		}
		r.bindings[id] = kept
	}
	r.current = map[proto.ID]proto.ID{}
	for _, d := range r.sorted() {
		if _, taken := r.current[d.DeviceID]; !taken {
			r.current[d.DeviceID] = d.DeviceID
		}
	}
	for _, d := range r.sorted() { // an id that one gave up and another took as alias belongs to the latter
		for _, a := range d.Aliases {
			r.current[a] = d.DeviceID
		}
	}
	for _, d := range r.devices {
		d.Gateway = r.now(d.Gateway)
	}
	return nil
}

func (r *registry) sorted() []*proto.Device {
	list := make([]*proto.Device, 0, len(r.devices))
	for _, d := range r.devices {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *proto.Device) int {
		return cmp.Or(cmp.Compare(a.FirstSeen, b.FirstSeen), slices.Compare(a.DeviceID[:], b.DeviceID[:]))
	})
	return list
}

// final lists the devices that there are in the end, in order of first sight.
func (r *registry) final() []*proto.Device {
	var list []*proto.Device
	for _, d := range r.sorted() {
		if r.now(d.DeviceID) == d.DeviceID {
			list = append(list, d)
		}
	}
	return list
}

// now is the device that id has become.
func (r *registry) now(id proto.ID) proto.ID {
	if d, ok := r.current[id]; ok {
		return d
	}
	return id
}

// within cuts the lines of a device at the moment from which on it is known: an address
// that has come to it was seen before, and may have been another's.
func (r *registry) within(lines []*proto.Usage) []*proto.Usage {
	return slices.DeleteFunc(lines, func(u *proto.Usage) bool {
		if d := r.devices[u.DeviceID]; d != nil {
			u.Start = max(u.Start, d.FirstSeen)
		}
		return u.End <= u.Start
	})
}

// ownUse leaves out, of the lines of a device that speaks for others, the uses that are
// their own: it was not known yet whose they were when they were told.
func (r *registry) ownUse(list []*proto.Usage) []*proto.Usage {
	type use struct {
		device     proto.ID
		start, end proto.Time
		kind       string
	}
	others := map[use]bool{}
	for _, u := range list {
		if d := r.devices[u.DeviceID]; d != nil && u.State == "in_use" && !d.Gateway.IsZero() {
			others[use{d.Gateway, u.Start, u.End, u.Kind}] = true
		}
	}
	changed := map[proto.ID][]*proto.Usage{}
	for _, u := range list {
		if u.State == "in_use" && others[use{u.DeviceID, u.Start, u.End, u.Kind}] {
			u.State, u.Confidence = "idle", fingerprint.IdleConfidence
			changed[u.DeviceID] = nil
		}
	}
	return rejoined(list, changed)
}

// rejoined makes one timeline of the lines of each device that is a key of lines.
func rejoined(list []*proto.Usage, lines map[proto.ID][]*proto.Usage) []*proto.Usage {
	list = slices.DeleteFunc(list, func(u *proto.Usage) bool {
		of, is := lines[u.DeviceID]
		if is {
			lines[u.DeviceID] = append(of, u)
		}
		return is
	})
	for _, of := range lines {
		slices.SortFunc(of, func(a, b *proto.Usage) int {
			return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.State, b.State), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Outcome, b.Outcome))
		})
		list = append(list, fingerprint.JoinUsage(of)...)
	}
	return list
}

// at is the device that an endpoint belonged to; zero for none.
func (r *registry) at(endpoint proto.ID, t proto.Time) proto.ID {
	list := r.bindings[endpoint]
	if len(list) == 0 {
		return proto.ID{}
	}
	i := sort.Search(len(list), func(i int) bool { return list[i].since > t })
	return r.now(list[max(i-1, 0)].device)
}
