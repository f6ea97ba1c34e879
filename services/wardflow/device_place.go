package main

import (
	"fmt"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// surroundings prints where a device is, what the inventory knows, until when it is
// supported, and its life.
func (s *screen) surroundings(d *proto.Device) error {
	for _, t := range []titled{
		{"Where it is", []string{"place", "confidence", "says", "that is"}, placeRows(d.Place)},
		{"What the inventory knows", []string{"attribute", "value"}, assetRows(d)},
		{"The inventory says otherwise", []string{"attribute", "inventory", "seen"}, assetConflicts(d.Asset)},
		{"Its life", []string{"time (UTC)", "event", "why", "by"}, lifeRows(d.LifecycleEvents)},
	} {
		if err := section(s, t.title, &fixedRows{list: t.list}, t.names, nil); err != nil {
			return err
		}
	}
	return nil
}

func placeRows(p *proto.Place) (list [][]any) {
	if p == nil {
		return nil
	}
	list = append(list, []any{p.Path(), p.Confidence, p.Source, p.Said})
	for _, a := range p.Against {
		other := proto.Place{Building: a.Building, Floor: a.Floor, Department: a.Department, Room: a.Room}
		list = append(list, []any{"not " + other.Path(), a.Confidence, a.Source, a.Said})
	}
	return list
}

func assetRows(d *proto.Device) (list [][]any) {
	add := func(name, value string) {
		if value != "" {
			list = append(list, []any{name, value})
		}
	}
	if a := d.Asset; a != nil {
		add("asset_tag", a.AssetTag)
		add("name", a.Name)
		add("owner", a.Owner)
		add("cost_centre", a.CostCentre)
		add("purchase_cost", a.PurchaseCost)
		add("purchase_date", a.PurchaseDate)
		add("warranty_end", a.WarrantyEnd)
		add("last_maintenance", a.LastMaintenance)
		add("maintenance_due", a.MaintenanceDue)
		add("known by its", a.MatchedBy)
		add("set by people", strings.Join(a.Human, ", "))
	}
	if e := d.EndOfSupport; e != nil {
		add("end_of_support", fmt.Sprintf("%s, of %s (%s)", e.Date, e.What, e.Source))
	}
	return list
}

func assetConflicts(a *proto.Asset) (list [][]any) {
	if a == nil {
		return nil
	}
	for _, c := range a.Conflicts {
		list = append(list, []any{c.Attribute, c.Roster, c.Seen})
	}
	return list
}

func lifeRows(events proto.LifecycleEvents) (list [][]any) {
	for _, e := range events {
		list = append(list, []any{showTime(e.Time.String()), e.Event, e.Reason, e.By})
	}
	return list
}
