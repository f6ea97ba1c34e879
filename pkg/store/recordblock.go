package store

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/wardflow/wardflow/proto"
)

// Record is a single event as it lies on a topic.
type Record struct {
	Key, Value []byte
	Envelope   proto.Envelope
	Sent       proto.Time // the sender's clock when it handed the record over; 0: not said
	At         Coordinates
}

// RecordBlock builds rows of a table whose topic carries one event a record.
type RecordBlock struct {
	Block
	values []anything
	read   func(*row, *Record) error
}

// row collects the values of one row in the table's order.
type row struct {
	at      *Coordinates
	values  []any
	scratch times
	clamped bool
}

func (r *row) add(v ...any) { r.values = append(r.values, v...) }
func (r *row) time(t proto.Time) {
	r.clamped = r.scratch.add(t, r.at) || r.clamped
	r.values = append(r.values, r.scratch.v[0])
	r.scratch.reset()
}

func (r *row) ids(list []proto.ID) {
	out := make([]uuid.UUID, len(list))
	for i, id := range list {
		out[i] = uuid.UUID(id)
	}
	r.add(out)
}

var readers = map[string]func(*row, *Record) error{
	Bindings: readBinding, Devices: readDevice, Detections: readDetection, Alerts: readAlert, RiskHistory: readRisk, Usage: readUsage, Deadletters: readDeadletter,
	Sensors: readSensor, SensorEvents: readSensorEvent, Edits: readEdit,
}

// NewRecordBlock makes an empty block of bindings, devices, detections, alerts,
// risk, usage, deadletters, edits, sensors or their events.
func NewRecordBlock(table string) (*RecordBlock, error) {
	read, ok := readers[table]
	if !ok {
		return nil, fmt.Errorf("no topic of single events fills table %q", table)
	}
	b := &RecordBlock{read: read, values: make([]anything, len(tableNamed(table).Columns)-len(coordinates))}
	columns := make([]vector, len(b.values))
	for i := range b.values {
		columns[i] = &b.values[i]
	}
	b.init(table, columns...)
	return b, nil
}

// Add decodes the record and appends its row. An error means that the record
// cannot be used; the block is as before. It quotes nothing of the record.
func (b *RecordBlock) Add(r *Record) error {
	out := row{at: &r.At}
	if err := b.read(&out, r); err != nil {
		return err
	}
	for i, v := range out.values {
		b.values[i].add(v)
	}
	b.at(&r.At, out.clamped)
	return nil
}

// decode reads JSON; the error tells where, never what stood there.
func decode(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("malformed JSON at byte %d", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("JSON field %q has the wrong type at byte %d", e.Field, e.Offset)
	}
	return errors.New("unreadable JSON value")
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // floats that JSON has no word for
		return "null"
	}
	return string(b)
}

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func readBinding(o *row, r *Record) error {
	var b proto.Binding
	if len(r.Value) == 0 { // the endpoint was let go
		id, err := keyID(r.Key)
		if err != nil {
			return err
		}
		b.Endpoint = id
	} else if err := proto.Unmarshal(r.Value, &b); err != nil {
		return fmt.Errorf("malformed binding")
	}
	o.add(uuid.UUID(b.Endpoint))
	o.time(r.Envelope.Time)
	o.add(uuid.UUID(b.Device), b.Site, b.Category, b.Type, b.Criticality, b.Location, uuid.UUID(b.Gateway), b.Version)
	return nil
}

// keyID reads the id that a compacted record is kept under.
func keyID(key []byte) (proto.ID, error) {
	var id proto.ID
	switch len(key) {
	case 16:
		copy(id[:], key)
		return id, nil
	case 32:
		if _, err := hex.Decode(id[:], key); err == nil {
			return id, nil
		}
	}
	return id, fmt.Errorf("no value, and a key of %d bytes that is no id", len(key))
}

// deviceColumns is what of a device has a column of its own; its evidence, which is
// most of it, is stored with the whole record and not looked at.
type deviceColumns struct {
	DeviceID        proto.ID      `json:"device_id"`
	Aliases         proto.IDs     `json:"aliases"`
	Site            string        `json:"site"`
	MACs            proto.Strings `json:"macs"`
	IPs             proto.Strings `json:"ips"`
	Hostnames       proto.Strings `json:"hostnames"`
	AETitles        proto.Strings `json:"ae_titles"`
	Gateway         proto.ID      `json:"gateway"`
	Category        factColumns   `json:"category"`
	Type            factColumns   `json:"type"`
	Manufacturer    factColumns   `json:"manufacturer"`
	Model           factColumns   `json:"model"`
	OS              factColumns   `json:"os"`
	OSVersion       factColumns   `json:"os_version"`
	HardwareVersion factColumns   `json:"hardware_version"`
	SoftwareVersion factColumns   `json:"software_version"`
	Serial          factColumns   `json:"serial"`
	Location        factColumns   `json:"location"`
	FirstSeen       proto.Time    `json:"first_seen"`
	LastSeen        proto.Time    `json:"last_seen"`
	LastState       string        `json:"last_state"`
	Endpoints       proto.IDs     `json:"endpoints"`

	Human     []attributeColumn `json:"human"`
	Conflicts []attributeColumn `json:"conflicts"`
	Version   uint64            `json:"version"`

	Place struct {
		Building   string `json:"building"`
		Floor      string `json:"floor"`
		Department string `json:"department"`
		Room       string `json:"room"`
		Source     string `json:"source"`
	} `json:"place"`
	Lifecycle struct {
		State  string     `json:"state"`
		Since  proto.Time `json:"since"`
		Reason string     `json:"reason"`
	} `json:"lifecycle"`
	EndOfSupport struct {
		Date string `json:"date"`
	} `json:"end_of_support"`
	Asset  json.RawMessage `json:"asset"`
	Events json.RawMessage `json:"lifecycle_events"`
}

// rawText is a value as it is written, "" for null.
func rawText(m json.RawMessage) string {
	if string(m) == "null" {
		return ""
	}
	return string(m)
}

// factColumns is a fact that may be null.
type factColumns struct {
	Value      string  `json:"value"`
	Confidence float64 `json:"confidence"`
}

func readDevice(o *row, r *Record) error {
	var d deviceColumns
	deleted := len(r.Value) == 0
	if deleted {
		id, err := keyID(r.Key)
		if err != nil {
			return err
		}
		d.DeviceID = id
		d.FirstSeen, d.LastSeen = r.Envelope.Time, r.Envelope.Time
	} else if err := decode(r.Value, &d); err != nil {
		return err
	}
	if d.DeviceID.IsZero() {
		return fmt.Errorf("device without device_id")
	}
	o.add(uuid.UUID(d.DeviceID), deleted)
	o.ids(d.Aliases)
	o.add(d.Site, list(d.MACs), list(d.IPs), list(d.Hostnames), list(d.AETitles), uuid.UUID(d.Gateway),
		d.Category.Value, d.Type.Value, d.Manufacturer.Value, d.Model.Value, d.OS.Value, d.OSVersion.Value, d.HardwareVersion.Value,
		d.SoftwareVersion.Value, d.Serial.Value, d.Location.Value, d.Type.Confidence)
	o.time(d.FirstSeen)
	o.time(d.LastSeen)
	o.add(d.LastState)
	o.ids(d.Endpoints)
	o.add(d.Version, string(r.Value), r.At.version(), attributes(d.Human), attributes(d.Conflicts),
		d.Place.Building, d.Place.Floor, d.Place.Department, d.Place.Room, d.Place.Source, d.Lifecycle.State)
	o.time(cmp.Or(d.Lifecycle.Since, d.FirstSeen)) // a record of an earlier release has none
	o.add(d.Lifecycle.Reason, d.EndOfSupport.Date, rawText(d.Asset), rawText(d.Events))
	return nil
}

func attributes(list []attributeColumn) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Attribute
	}
	return out
}

// attributeColumn is the part of a human's value or of a conflict that has a column.
type attributeColumn struct {
	Attribute string `json:"attribute"`
}

func readDetection(o *row, r *Record) error {
	var d proto.Detection
	if err := decode(r.Value, &d); err != nil {
		return err
	}
	if d.DetectionID.IsZero() {
		return fmt.Errorf("detection without detection_id")
	}
	o.add(d.Site, uuid.UUID(d.DeviceID))
	o.time(d.Time)
	o.add(uuid.UUID(d.DetectionID), d.Rule, d.Title, d.Severity, list(d.Targets), list(d.Attack), encode(d.Evidence), d.Count)
	o.time(d.First)
	o.time(d.Last)
	o.add(uuid.UUID(d.Endpoint))
	return nil
}

// readAlert takes from an OCSF Detection Finding what a table needs to be
// searched; OCSF gives times in milliseconds.
func readAlert(o *row, r *Record) error {
	var a struct {
		TimeMS     int64 `json:"time"`
		SeverityID uint8 `json:"severity_id"`
		Finding    struct {
			UID   string `json:"uid"`
			Title string `json:"title"`
		} `json:"finding_info"`
	}
	if err := decode(r.Value, &a); err != nil {
		return err
	}
	if a.Finding.UID == "" {
		return fmt.Errorf("alert without finding_info.uid")
	}
	o.time(proto.Time(a.TimeMS * 1e6))
	o.add(a.Finding.UID, a.Finding.Title, a.SeverityID, string(r.Value))
	return nil
}

func readRisk(o *row, r *Record) error {
	var k struct {
		proto.Risk
		Factors json.RawMessage `json:"factors"` // a column as they are
	}
	if err := decode(r.Value, &k); err != nil {
		return err
	}
	if k.DeviceID.IsZero() {
		return fmt.Errorf("risk without device_id")
	}
	if len(k.Factors) == 0 || k.Factors[0] != '[' {
		k.Factors = json.RawMessage("[]")
	}
	o.add(k.Site, uuid.UUID(k.DeviceID))
	o.time(k.Time)
	o.add(k.Score, k.Tier, k.Likelihood, k.Impact, string(k.Factors), k.Framework, k.Version, k.Cause, uuid.UUID(k.Endpoint))
	return nil
}

func readUsage(o *row, r *Record) error {
	var u proto.Usage
	if err := decode(r.Value, &u); err != nil {
		return err
	}
	if u.DeviceID.IsZero() {
		return fmt.Errorf("usage without device_id")
	}
	o.add(uuid.UUID(u.DeviceID))
	o.time(u.Start)
	o.time(u.End)
	o.add(u.Site, u.State, u.Kind, u.Outcome, u.How, u.Confidence, u.Method, r.At.version())
	return nil
}

func readDeadletter(o *row, r *Record) error {
	var d proto.Deadletter
	if err := decode(r.Value, &d); err != nil {
		return err
	}
	if d.Topic == "" {
		return fmt.Errorf("dead letter without topic")
	}
	o.time(d.Time)
	o.add(d.Topic, d.Partition, d.Offset, d.Index, d.Consumer, d.Reason, uint64(max(d.Size, 0)))
	return nil
}
