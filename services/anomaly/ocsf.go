package anomaly

import (
	_ "embed"
	"encoding/json"
	"sync"

	"github.com/wardflow/wardflow/proto"
)

// An alert is an OCSF 1.8.0 Detection Finding (category 2 Findings, class 2004).
// Times are milliseconds since the epoch. Source: ocsf-schema v1.8.0.
const (
	ocsfVersion  = "1.8.0"
	ocsfClass    = 2004
	ocsfCategory = 2

	activityCreate = 1
	activityUpdate = 2

	statusNew  = 1
	ruleAnalyt = 1 // analytic type Rule
)

type ocsfFinding struct {
	ActivityID   int             `json:"activity_id"`
	ActivityName string          `json:"activity_name"`
	CategoryName string          `json:"category_name"`
	CategoryUID  int             `json:"category_uid"`
	ClassName    string          `json:"class_name"`
	ClassUID     int             `json:"class_uid"`
	Count        uint64          `json:"count"`
	EndTime      int64           `json:"end_time"`
	Evidences    []ocsfEvidence  `json:"evidences"`
	FindingInfo  ocsfFindingInfo `json:"finding_info"`
	IsAlert      bool            `json:"is_alert"`
	Message      string          `json:"message"`
	Metadata     ocsfMetadata    `json:"metadata"`
	Resources    []ocsfResource  `json:"resources"`
	Severity     string          `json:"severity"`
	SeverityID   int             `json:"severity_id"`
	StartTime    int64           `json:"start_time"`
	StatusID     int             `json:"status_id"`
	Time         int64           `json:"time"`
	TypeName     string          `json:"type_name"`
	TypeUID      int             `json:"type_uid"`
}

type ocsfFindingInfo struct {
	Analytic      ocsfAnalytic `json:"analytic"`
	Attacks       []ocsfAttack `json:"attacks,omitempty"`
	CreatedTime   int64        `json:"created_time"`
	Desc          string       `json:"desc"`
	FirstSeenTime int64        `json:"first_seen_time"`
	LastSeenTime  int64        `json:"last_seen_time"`
	Title         string       `json:"title"`
	Types         []string     `json:"types"`
	UID           string       `json:"uid"`
}

type ocsfAnalytic struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	UID    string `json:"uid"`
}

type ocsfAttack struct {
	Technique ocsfTechnique `json:"technique"`
	Version   string        `json:"version"`
}

type ocsfTechnique struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

type ocsfEvidence struct {
	Data        proto.Object  `json:"data,omitempty"`
	DstEndpoint *ocsfEndpoint `json:"dst_endpoint,omitempty"`
	SrcEndpoint *ocsfEndpoint `json:"src_endpoint,omitempty"`
}

type ocsfEndpoint struct {
	IP  string `json:"ip,omitempty"`
	UID string `json:"uid,omitempty"`
}

type ocsfMetadata struct {
	Product ocsfProduct `json:"product"`
	UID     string      `json:"uid"`
	Version string      `json:"version"`
}

type ocsfProduct struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

type ocsfResource struct {
	Namespace string `json:"namespace"`
	Type      string `json:"type"`
	UID       string `json:"uid"`
}

//go:embed attack.json
var attackFile []byte

// techniques are the names of the ATT&CK techniques that the rules refer to.
var techniques = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	if err := json.Unmarshal(attackFile, &m); err != nil {
		panic(err) // the embedded file is part of the program; a test reads it
	}
	return m
})

const attackVersion = "18.1"

var ocsfSeverity = map[string]struct {
	id   int
	name string
}{
	proto.SeverityInfo: {1, "Informational"}, proto.SeverityLow: {2, "Low"}, proto.SeverityMedium: {3, "Medium"},
	proto.SeverityHigh: {4, "High"}, proto.SeverityCritical: {5, "Critical"},
}

func millis(t proto.Time) int64 { return int64(t) / 1e6 }

// finding makes the alert of a detection.
func finding(d *proto.Detection, activity int) *ocsfFinding {
	name := "Create"
	if activity == activityUpdate {
		name = "Update"
	}
	severity := ocsfSeverity[d.Severity]
	f := &ocsfFinding{
		ActivityID: activity, ActivityName: name, CategoryName: "Findings", CategoryUID: ocsfCategory, ClassName: "Detection Finding", ClassUID: ocsfClass,
		Count: d.Count, StartTime: millis(d.First), EndTime: millis(d.Last), Time: millis(d.Time), IsAlert: true, Message: d.Title,
		Metadata: ocsfMetadata{Product: ocsfProduct{Name: "Wardflow", VendorName: "Wardflow"}, UID: d.DetectionID.String(), Version: ocsfVersion},
		Severity: severity.name, SeverityID: severity.id, StatusID: statusNew,
		TypeName: "Detection Finding: " + name, TypeUID: ocsfClass*100 + activity,
		Resources: []ocsfResource{{UID: d.DeviceID.String(), Type: "device", Namespace: d.Site}},
		FindingInfo: ocsfFindingInfo{
			UID: d.DetectionID.String(), Title: d.Title, Types: []string{d.Rule}, CreatedTime: millis(d.Time), FirstSeenTime: millis(d.First),
			LastSeenTime: millis(d.Last), Analytic: ocsfAnalytic{Name: d.Rule, UID: d.Rule, TypeID: ruleAnalyt},
		},
	}
	for _, r := range rules {
		if r.name == d.Rule {
			f.FindingInfo.Desc = r.why
		}
	}
	for _, t := range d.Attack {
		f.FindingInfo.Attacks = append(f.FindingInfo.Attacks, ocsfAttack{Technique: ocsfTechnique{Name: techniques()[t], UID: t}, Version: attackVersion})
	}
	src := &ocsfEndpoint{UID: d.Endpoint.String()}
	if len(d.Targets) == 0 {
		f.Evidences = []ocsfEvidence{{Data: d.Evidence, SrcEndpoint: src}}
	}
	for i, t := range d.Targets {
		e := ocsfEvidence{SrcEndpoint: src, DstEndpoint: &ocsfEndpoint{IP: t}}
		if i == 0 {
			e.Data = d.Evidence
		}
		f.Evidences = append(f.Evidences, e)
	}
	return f
}
