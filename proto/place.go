package proto

// Place is where a device is, as the most trusted source says; levels that nobody
// knows are empty.
type Place struct {
	Site       string        `json:"site"`
	Building   string        `json:"building"`
	Floor      string        `json:"floor"`
	Department string        `json:"department"`
	Room       string        `json:"room"`
	Source     string        `json:"source"` // human, switch_port, access_point, a protocol, subnet, vlan, roster
	Said       string        `json:"said"`   // what of it was mapped: the port, the text, the network
	Confidence float64       `json:"confidence"`
	With       Strings       `json:"with"`    // the other sources that do not contradict it, and fill in what it leaves open
	Against    PlacesAgainst `json:"against"` // what other sources say instead
}

// PlaceAgainst is a place that another source names.
type PlaceAgainst struct {
	Site       string  `json:"site"`
	Building   string  `json:"building"`
	Floor      string  `json:"floor"`
	Department string  `json:"department"`
	Room       string  `json:"room"`
	Source     string  `json:"source"`
	Said       string  `json:"said"`
	Confidence float64 `json:"confidence"` // of that source alone
}

// PlacesAgainst is a list that is [] and never null in JSON.
type PlacesAgainst []PlaceAgainst

// MarshalJSON writes [] for an empty list.
func (s PlacesAgainst) MarshalJSON() ([]byte, error) { return marshalList([]PlaceAgainst(s)) }

// Path is the place in words, without its site.
func (p *Place) Path() string {
	if p == nil {
		return ""
	}
	path := ""
	for _, s := range [...]string{p.Building, p.Floor, p.Department, p.Room} {
		if s != "" && path != "" {
			path += " / "
		}
		path += s
	}
	return path
}

// Asset is what the hospital's inventory knows of a device, or a person has set.
type Asset struct {
	AssetTag        string         `json:"asset_tag"`
	Name            string         `json:"name"`
	Owner           string         `json:"owner"`
	CostCentre      string         `json:"cost_centre"`
	PurchaseCost    string         `json:"purchase_cost"` // with its currency: 12500.00 EUR
	PurchaseDate    string         `json:"purchase_date"` // days, as 2026-11-17
	WarrantyEnd     string         `json:"warranty_end"`
	LastMaintenance string         `json:"last_maintenance"`
	MaintenanceDue  string         `json:"maintenance_due"`
	MatchedBy       string         `json:"matched_by"` // serial, mac, hostname or ip; "" when no line of the roster is this device
	Human           Strings        `json:"human"`      // the keys that a person has set, over the roster
	Conflicts       AssetConflicts `json:"conflicts"`
}

// AssetConflict is what the roster says otherwise than the network, or a person.
type AssetConflict struct {
	Attribute string `json:"attribute"` // asset_tag: another line of the roster matches too, by a weaker name
	Roster    string `json:"roster"`
	Seen      string `json:"seen"`
}

// AssetConflicts is a list that is [] and never null in JSON.
type AssetConflicts []AssetConflict

// MarshalJSON writes [] for an empty list.
func (s AssetConflicts) MarshalJSON() ([]byte, error) { return marshalList([]AssetConflict(s)) }

// EndOfSupport is when somebody's support of a device ends.
type EndOfSupport struct {
	Date   string `json:"date"` // 2025-10-14
	What   string `json:"what"` // of what: the system, the model, the version
	Source string `json:"source"`
}

// The values of LifecycleEvent.Event, and of the key state of a device's lifecycle.
const (
	LifeOnline   = "online"   // first or again, after a silence
	LifeSilent   = "silent"   // for longer than is ordinary
	LifeMissing  = "missing"  // for so long that somebody should look
	LifeReturned = "returned" // after it was missing, or retired
	LifeRetired  = "retired"  // a person says so
)

// LifecycleEvent is a change in a device's life.
type LifecycleEvent struct {
	Time   Time   `json:"time"`
	Event  string `json:"event"` // online, silent, missing, returned, retired, onboarding
	Reason string `json:"reason"`
	By     string `json:"by"` // the person, "" when traffic says it
}

// LifecycleEvents is a list that is [] and never null in JSON.
type LifecycleEvents []LifecycleEvent

// MarshalJSON writes [] for an empty list.
func (s LifecycleEvents) MarshalJSON() ([]byte, error) { return marshalList([]LifecycleEvent(s)) }

// HospitalContext is a part of a context file (see pkg/hospital) that somebody has put
// in force. A large file comes in several, one after the other.
type HospitalContext struct {
	Time   Time   `json:"time"`
	Name   string `json:"name"` // of the file, for messages
	By     string `json:"by"`
	Note   string `json:"note"`
	SHA256 string `json:"sha256"` // of the whole text, hex; "" takes the context away
	Part   int    `json:"part"`   // from 0
	Parts  int    `json:"parts"`
	Data   []byte `json:"data"` // of the text, compressed with gzip
}

// Present is a device's value of any attribute that people may set, "" when it is not
// known: a fact, what people have set, or what the context says.
func (d *Device) Present(name string) string {
	if f := d.Fact(name); f != nil {
		return f.Value
	}
	if v := d.Lifecycle[name]; v != "" {
		return v
	}
	if a := d.Asset; a != nil {
		switch name {
		case "asset_tag":
			return a.AssetTag
		case "owner":
			return a.Owner
		case "cost_centre":
			return a.CostCentre
		case "purchase_cost":
			return a.PurchaseCost
		case "purchase_date":
			return a.PurchaseDate
		case "warranty_end":
			return a.WarrantyEnd
		case "last_maintenance":
			return a.LastMaintenance
		case "maintenance_due":
			return a.MaintenanceDue
		}
	}
	if p := d.Place; p != nil {
		switch name {
		case "building":
			return p.Building
		case "floor":
			return p.Floor
		case "department":
			return p.Department
		case "room":
			return p.Room
		}
	}
	if name == "end_of_support" && d.EndOfSupport != nil {
		return d.EndOfSupport.Date
	}
	return ""
}
