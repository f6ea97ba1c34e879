package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// where collects conditions and what is bound to their {name:Type} places.
type where struct {
	conds []string
	args  []any
}

func (w *where) bind(name, value string) { w.args = append(w.args, Named(name, value)) }

// equal adds column = value, unless value is empty.
func (w *where) equal(column, value string) {
	if value != "" {
		w.conds = append(w.conds, column+" = {"+column+":String}")
		w.bind(column, value)
	}
}

func (w *where) since(column string, t time.Time) {
	if !t.IsZero() {
		w.conds = append(w.conds, column+" >= {since:DateTime64(9, 'UTC')}")
		w.bind("since", t.UTC().Format("2006-01-02 15:04:05.000000000"))
	}
}

func (w *where) sql() string {
	if len(w.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conds, " AND ")
}

// limit gives the clause, n <= 0 for all rows.
func (w *where) limit(n int) string {
	if n <= 0 {
		return ""
	}
	w.bind("limit", strconv.Itoa(n))
	return " LIMIT {limit:UInt64}"
}

// DeviceFilter selects devices; empty fields select all.
type DeviceFilter struct {
	Site, Category, Type, Tier string
	Limit                      int
}

// Devices lists v_devices without its record, those of most risk first.
func (s *Store) Devices(ctx context.Context, f DeviceFilter) (*Rows, error) {
	var w where
	w.equal("site", f.Site)
	w.equal("category", f.Category)
	w.equal("type", f.Type)
	w.equal("tier", f.Tier)
	sql := "SELECT * EXCEPT (record) FROM v_devices" + w.sql() + " ORDER BY score DESC NULLS LAST, device_id" + w.limit(f.Limit)
	return s.list(ctx, sql, w.args)
}

// Device gives one device as on wardflow.devices; id may be one that was merged
// into it. found is false when there is none.
func (s *Store) Device(ctx context.Context, id proto.ID) (device json.RawMessage, found bool, err error) {
	r, err := s.Query(ctx, "SELECT record FROM v_devices WHERE device_id = {id:String} OR has(aliases, {id:String}) ORDER BY device_id = {id:String} DESC LIMIT 1", Named("id", id.String()))
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = r.Close() }()
	if !r.Next() {
		return nil, false, r.Err()
	}
	v, err := r.Values()
	if err != nil {
		return nil, false, err
	}
	text, _ := v[0].(string)
	return json.RawMessage(text), true, nil
}

// FlowFilter selects flows; empty fields select all.
type FlowFilter struct {
	Site     string
	Device   proto.ID // at either end
	Peer     string   // device id, address or CIDR: at the other end of Device, or at either end
	Protocol string
	Since    time.Time
	Copies   bool // also what another sensor has told, and does not count
	Limit    int
}

// Flows lists v_flows, the latest first. The device's endpoints are looked up
// first, so that of the flows only theirs are read.
func (s *Store) Flows(ctx context.Context, f FlowFilter) (*Rows, error) {
	var in, out where // inside: on the table; outside: with devices joined
	in.equal("site", f.Site)
	in.equal("protocol", f.Protocol)
	in.since("start", f.Since)
	in.conds = append(in.conds, noCanary)
	if !f.Copies {
		in.conds = append(in.conds, "duplicate_of_sensor = ''")
	}
	peer, err := parsePeer(f.Peer)
	if err != nil {
		return nil, err
	}
	if !f.Device.IsZero() {
		in.bind("device", f.Device.String())
		in.conds = append(in.conds, ofDevice("device"))
	}
	if peer.device != "" {
		in.bind("peer", peer.device)
		in.conds = append(in.conds, ofDevice("peer"))
	}
	if peer.from != "" {
		in.bind("from", peer.from)
		in.bind("to", peer.to)
		in.conds = append(in.conds, "((src_ip BETWEEN toIPv6({from:String}) AND toIPv6({to:String})) OR (dst_ip BETWEEN toIPv6({from:String}) AND toIPv6({to:String})))")
	}
	if c := ends(!f.Device.IsZero(), peer); c != "" {
		out.conds = append(out.conds, c)
	}
	limit := in.limit(f.Limit)
	inner := "SELECT * FROM $db.flows" + in.sql()
	if len(out.conds) == 0 { // the join takes nothing away: only the rows shown need it
		inner += " ORDER BY start DESC" + limit
	}
	sql := strings.Replace(flowsSelect, "$flows", "("+inner+")", 1)
	return s.list(ctx, "SELECT * FROM ("+sql+")"+out.sql()+" ORDER BY start DESC, flow_id, part"+limit, in.args)
}

// list runs a query in which $db and $global stand as in a view.
func (s *Store) list(ctx context.Context, sql string, args []any) (*Rows, error) {
	return s.Query(ctx, s.layout.viewSQL(&View{SQL: sql}), args...)
}

// inIDsOf says that a column is one of the ids of the device that the parameter names.
func inIDsOf(column, param string) string {
	return column + " $global IN (SELECT arrayJoin(arrayConcat([toUUID({" + param + ":String})], arrayFlatten(groupArray(arrayPushBack(aliases, device_id)))))" +
		" FROM $db.devices FINAL WHERE device_id = toUUID({" + param + ":String}) OR has(aliases, toUUID({" + param + ":String})))"
}

// ofDevice says that a flow is of an endpoint that was ever the device's.
func ofDevice(param string) string {
	endpoints := "(SELECT endpoint FROM $db.bindings WHERE " + inIDsOf("device_id", param) + ")"
	return "(src_endpoint $global IN " + endpoints + " OR dst_endpoint $global IN " + endpoints + ")"
}

// ends says, of joined flows, that the device is at one end and the peer at the other.
func ends(device bool, p peer) string {
	is := func(end, param string) string {
		return inIDsOf("toUUIDOrZero(ifNull("+end+"_device, ''))", param)
	}
	at := func(end string) string {
		if p.device != "" {
			return is(end, "peer")
		}
		if p.from != "" {
			return "(toIPv6(" + end + "_ip) BETWEEN toIPv6({from:String}) AND toIPv6({to:String}))"
		}
		return "1"
	}
	switch {
	case device:
		return "((" + is("src", "device") + " AND " + at("dst") + ") OR (" + is("dst", "device") + " AND " + at("src") + "))"
	case p.device != "":
		return "(" + at("src") + " OR " + at("dst") + ")"
	}
	return ""
}

type peer struct{ device, from, to string }

func parsePeer(s string) (peer, error) {
	if s == "" {
		return peer{}, nil
	}
	if id, err := proto.ParseID(s); err == nil {
		return peer{device: id.String()}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return peer{from: a.WithZone("").String(), to: a.WithZone("").String()}, nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil {
		return peer{}, fmt.Errorf("peer %q: want a device id (32 hex digits), an address or a network such as 10.1.0.0/16", s)
	}
	last := n.Masked().Addr().AsSlice()
	for i := n.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return peer{from: n.Masked().Addr().String(), to: to.String()}, nil
}

// DetectionFilter selects detections; empty fields select all.
type DetectionFilter struct {
	Site, Rule, Severity string
	Device               proto.ID
	Since                time.Time
	Limit                int
}

// Detections lists v_detections, the latest first.
func (s *Store) Detections(ctx context.Context, f DetectionFilter) (*Rows, error) {
	var w where
	w.equal("site", f.Site)
	w.equal("rule", f.Rule)
	w.equal("severity", f.Severity)
	w.since("time", f.Since)
	w.device(f.Device)
	sql := "SELECT * FROM v_detections" + w.sql() + " ORDER BY time DESC, detection_id" + w.limit(f.Limit)
	return s.list(ctx, sql, w.args)
}

func (w *where) device(id proto.ID) {
	if !id.IsZero() {
		w.bind("device", id.String())
		w.conds = append(w.conds, inIDsOf("toUUIDOrZero(ifNull(device_id, ''))", "device"))
	}
}

// RiskFilter selects scores; empty fields select all.
type RiskFilter struct {
	Site, Tier string
	Device     proto.ID
	Since      time.Time
	History    bool // every change instead of the latest
	Limit      int
}

// Risk lists v_risk, the highest score first, or v_risk_history, the latest first.
func (s *Store) Risk(ctx context.Context, f RiskFilter) (*Rows, error) {
	var w where
	w.equal("site", f.Site)
	w.equal("tier", f.Tier)
	w.since("time", f.Since)
	w.device(f.Device)
	from, order := "v_risk", "score DESC, device_id"
	if f.History {
		from, order = "v_risk_history", "time DESC, device_id"
	}
	sql := "SELECT * FROM " + from + w.sql() + " ORDER BY " + order + w.limit(f.Limit)
	return s.list(ctx, sql, w.args)
}
