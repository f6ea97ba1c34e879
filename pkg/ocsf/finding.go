// Package ocsf is the form in which alerts reach SIEMs: the Detection Finding
// (category 2 Findings, class 2004) of the Open Cybersecurity Schema Framework.
//
// Here live the fields that Wardflow fills, with the schema's own names and
// numbers (ocsf-schema v1.8.0); ocsftest holds events to the schema. What an
// alert is about belongs to the service that raises it. Nothing here does I/O.
package ocsf

import "github.com/wardflow/wardflow/proto"

// The numbers of the schema.
const (
	Version  = "1.8.0"
	Class    = 2004
	Category = 2

	ActivityCreate = 1
	ActivityUpdate = 2
	ActivityClose  = 3

	StatusNew      = 1
	StatusResolved = 4

	AnalyticRule = 1
)

// Finding is a Detection Finding. Times are milliseconds since the epoch.
type Finding struct {
	ActivityID   int         `json:"activity_id"`
	ActivityName string      `json:"activity_name"`
	CategoryName string      `json:"category_name"`
	CategoryUID  int         `json:"category_uid"`
	ClassName    string      `json:"class_name"`
	ClassUID     int         `json:"class_uid"`
	Count        uint64      `json:"count"`
	EndTime      int64       `json:"end_time"`
	Evidences    []Evidence  `json:"evidences"`
	FindingInfo  FindingInfo `json:"finding_info"`
	IsAlert      bool        `json:"is_alert"`
	Message      string      `json:"message"`
	Metadata     Metadata    `json:"metadata"`
	Resources    []Resource  `json:"resources"`
	Severity     string      `json:"severity"`
	SeverityID   int         `json:"severity_id"`
	StartTime    int64       `json:"start_time"`
	StatusID     int         `json:"status_id"`
	Time         int64       `json:"time"`
	TypeName     string      `json:"type_name"`
	TypeUID      int         `json:"type_uid"`
}

// FindingInfo tells which finding it is; all reports of one finding have one UID.
type FindingInfo struct {
	Analytic      Analytic `json:"analytic"`
	Attacks       []Attack `json:"attacks,omitempty"`
	CreatedTime   int64    `json:"created_time"`
	Desc          string   `json:"desc"`
	FirstSeenTime int64    `json:"first_seen_time"`
	LastSeenTime  int64    `json:"last_seen_time"`
	Title         string   `json:"title"`
	Types         []string `json:"types"`
	UID           string   `json:"uid"`
}

// Analytic is what found it.
type Analytic struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	UID    string `json:"uid"`
}

// Attack is a technique of MITRE ATT&CK.
type Attack struct {
	Technique Technique `json:"technique"`
	Version   string    `json:"version"`
}

// Technique names a technique.
type Technique struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Evidence lets the finding be checked.
type Evidence struct {
	Data        proto.Object `json:"data,omitempty"`
	DstEndpoint *Endpoint    `json:"dst_endpoint,omitempty"`
	SrcEndpoint *Endpoint    `json:"src_endpoint,omitempty"`
}

// Endpoint is an end of a connection.
type Endpoint struct {
	IP  string `json:"ip,omitempty"`
	UID string `json:"uid,omitempty"`
}

// Metadata tells who says so.
type Metadata struct {
	Product Product `json:"product"`
	UID     string  `json:"uid"`
	Version string  `json:"version"`
}

// Product is Wardflow.
type Product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

// Resource is what the finding is about.
type Resource struct {
	Namespace string `json:"namespace"`
	Type      string `json:"type"`
	UID       string `json:"uid"`
}

var activities = map[int]string{ActivityCreate: "Create", ActivityUpdate: "Update", ActivityClose: "Close"}

var severities = map[string]struct {
	id   int
	name string
}{
	proto.SeverityInfo: {1, "Informational"}, proto.SeverityLow: {2, "Low"}, proto.SeverityMedium: {3, "Medium"},
	proto.SeverityHigh: {4, "High"}, proto.SeverityCritical: {5, "Critical"},
}

// New makes a finding of an activity and a severity (info, low, ...), with all
// that is the same in each. uid is the event's own.
func New(activity int, severity, uid string) *Finding {
	status := StatusNew
	if activity == ActivityClose {
		status = StatusResolved
	}
	return &Finding{
		ActivityID: activity, ActivityName: activities[activity], CategoryName: "Findings", CategoryUID: Category, ClassName: "Detection Finding", ClassUID: Class,
		Metadata: Metadata{Product: Product{Name: "Wardflow", VendorName: "Wardflow"}, UID: uid, Version: Version},
		Severity: severities[severity].name, SeverityID: severities[severity].id, StatusID: status,
		TypeName: "Detection Finding: " + activities[activity], TypeUID: Class*100 + activity, IsAlert: true,
	}
}

// Millis is a time as the schema wants it.
func Millis(t proto.Time) int64 { return int64(t) / 1e6 }
