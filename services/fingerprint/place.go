package fingerprint

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/hospital"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// attrVLAN is the evidence of the VLAN that a device's own frames are in.
const attrVLAN = "vlan"

func vlanText(v proto.VLAN) string { return strconv.Itoa(int(v)) }

// surround adds what the hospital's context says of a device, and its life: which line
// of the inventory it is, where it is, until when it is supported.
func (d *Device) surround(tx *stream.Tx, st *deviceState, dev *proto.Device) {
	c := d.context(tx)
	address := hospital.LastAddress(dev.Evidence)
	entry, by, conflicts := c.Match(dev, address)
	dev.Asset = asset(dev, entry, by, conflicts)
	dev.Place = c.Locate(signsOf(dev, entry, address))
	dev.EndOfSupport = endOfSupport(c, dev, entry)
	d.live(tx, dev, st.now)
	if dev.Location == nil && dev.Place != nil && dev.Place.Path() != "" {
		dev.Location = &proto.Fact{Value: dev.Place.Path(), Confidence: dev.Place.Confidence, Sources: proto.Strings{dev.Place.Source}}
	}
	st.around = around(dev)
}

// around identifies what the context makes of a device.
func around(dev *proto.Device) uint64 {
	if dev.Place == nil && dev.Asset == nil && dev.EndOfSupport == nil {
		return 0
	}
	only := proto.Device{Place: dev.Place, Asset: dev.Asset, EndOfSupport: dev.EndOfSupport}
	h := fnv.New64a()
	_, _ = h.Write(only.AppendJSON(nil))
	return h.Sum64()
}

// aroundAgain looks at a device again after the context has changed, and tells it
// where that makes a difference.
func (d *Device) aroundAgain(tx *stream.Tx, id proto.ID) {
	all := d.members(tx, id)
	st := devices.Get(tx, id[:])
	if len(all) == 0 || st == nil {
		return
	}
	sig := d.signatures(tx)
	dev := sig.device(id, all)
	dev.LastState = st.last
	before := *st
	d.human(tx, sig, dev)
	if d.surround(tx, &before, dev); before.around == st.around {
		return
	}
	dev = sig.device(id, all)
	dev.LastState = st.last
	d.emit(tx, sig, dev, all, dev.LastSeen)
}

// placeWeight is what of a protocol's own weight is left for the place: between the
// device and the map there is a text that somebody has typed in.
const placeWeight = 0.9

// signsOf collects what is known of where a device is.
func signsOf(dev *proto.Device, entry *hospital.Entry, address netip.Addr) *hospital.Signs {
	s := &hospital.Signs{Site: dev.Site, Address: address}
	label := func(name string) string { return dev.Lifecycle[name] }
	s.Person = hospital.Place{Building: label("building"), Floor: label("floor"), Department: label("department"), Room: label("room")}
	for _, v := range dev.Human {
		if v.Attribute == "location" {
			s.Text = v.Value
		}
	}
	if entry != nil && entry.Path() != entry.Site {
		s.Roster = entry.Place
	}
	if n := len(dev.Attachments); n > 0 {
		a := &dev.Attachments[n-1]
		s.Switch, s.Port, s.AccessPoint = a.Switch, a.Port, a.AccessPoint
		s.VLAN = vlanOf(a.VLAN)
	}
	var tagged, circuit proto.Time
	for i := range dev.Evidence {
		e := &dev.Evidence[i]
		switch e.Attribute {
		case "location", "department", "institution":
			if e.Protocol != proto.SourceHuman {
				s.Said = append(s.Said, hospital.Said{Text: e.Value, Protocol: e.Protocol, Weight: e.Weight * placeWeight})
			}
		case attrAttachment: // the circuit of DHCP option 82 as a text of its own
			if port := portOf(e.Value); e.Protocol == "dhcp" && port != "" && e.Last >= circuit {
				s.Said = slices.DeleteFunc(s.Said, func(x hospital.Said) bool { return x.Protocol == "dhcp" })
				s.Said, circuit = append(s.Said, hospital.Said{Text: port, Protocol: "dhcp", Weight: e.Weight * placeWeight}), e.Last
			}
		case attrVLAN:
			if v := vlanOf(e.Value); v != 0 && e.Last >= tagged {
				s.VLAN, tagged = v, e.Last
			}
		}
	}
	return s
}

func portOf(attachment string) string {
	for part := range strings.SplitSeq(attachment, "; ") {
		if port, is := strings.CutPrefix(part, "port="); is {
			return port
		}
	}
	return ""
}

func vlanOf(s string) proto.VLAN {
	n, err := strconv.ParseUint(s, 10, 12)
	if err != nil {
		return 0
	}
	return proto.VLAN(n)
}

// asset is what the inventory says of a device, with what people have set over it.
func asset(dev *proto.Device, e *hospital.Entry, by string, conflicts proto.AssetConflicts) *proto.Asset {
	a := &proto.Asset{MatchedBy: by, Conflicts: conflicts}
	if e != nil {
		a.AssetTag, a.Name, a.Owner, a.CostCentre = e.Asset, e.Name, e.Owner, e.CostCentre
		a.PurchaseCost, a.PurchaseDate, a.WarrantyEnd = e.PurchaseCost, e.PurchaseDate, e.WarrantyEnd
		a.LastMaintenance, a.MaintenanceDue = e.LastMaintenance, e.MaintenanceDue
	}
	for _, f := range []struct {
		name string
		at   *string
	}{
		{"asset_tag", &a.AssetTag},
		{"owner", &a.Owner},
		{"cost_centre", &a.CostCentre},
		{"purchase_cost", &a.PurchaseCost},
		{"purchase_date", &a.PurchaseDate},
		{"warranty_end", &a.WarrantyEnd},
		{"last_maintenance", &a.LastMaintenance},
		{"maintenance_due", &a.MaintenanceDue},
	} {
		v := dev.Lifecycle[f.name]
		if v == "" {
			continue
		}
		if *f.at != "" && *f.at != v {
			a.Conflicts = append(a.Conflicts, proto.AssetConflict{Attribute: f.name, Roster: *f.at, Seen: v})
		}
		*f.at = v
		a.Human = append(a.Human, f.name)
	}
	if e == nil && len(a.Human) == 0 {
		return nil
	}
	return a
}

// endOfSupport is what a person says, else the inventory, else what is published.
func endOfSupport(c *hospital.Context, dev *proto.Device, e *hospital.Entry) *proto.EndOfSupport {
	switch day := dev.Lifecycle["end_of_support"]; {
	case day != "":
		return &proto.EndOfSupport{Date: day, What: "the device", Source: proto.SourceHuman}
	case e != nil && e.EndOfSupport != "":
		return &proto.EndOfSupport{Date: e.EndOfSupport, What: "the device", Source: hospital.SourceRoster}
	}
	return c.Support(dev)
}
