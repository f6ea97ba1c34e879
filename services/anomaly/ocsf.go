package anomaly

import (
	_ "embed"
	"encoding/json"
	"sync"

	"github.com/wardflow/wardflow/pkg/ocsf"
	"github.com/wardflow/wardflow/proto"
)

// The activities of alerts.
const (
	activityCreate = ocsf.ActivityCreate
	activityUpdate = ocsf.ActivityUpdate
)

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

// finding makes the alert of a detection.
func finding(d *proto.Detection, activity int) *ocsf.Finding {
	f := ocsf.New(activity, d.Severity, d.DetectionID.String())
	f.Count, f.StartTime, f.EndTime, f.Time, f.Message = d.Count, ocsf.Millis(d.First), ocsf.Millis(d.Last), ocsf.Millis(d.Time), d.Title
	f.Resources = []ocsf.Resource{{UID: d.DeviceID.String(), Type: "device", Namespace: d.Site}}
	f.FindingInfo = ocsf.FindingInfo{
		UID: d.DetectionID.String(), Title: d.Title, Types: []string{d.Rule}, CreatedTime: ocsf.Millis(d.Time), FirstSeenTime: ocsf.Millis(d.First),
		LastSeenTime: ocsf.Millis(d.Last), Analytic: ocsf.Analytic{Name: d.Rule, UID: d.Rule, TypeID: ocsf.AnalyticRule},
	}
	for _, r := range rules {
		if r.name == d.Rule {
			f.FindingInfo.Desc = r.why
		}
	}
	for _, t := range d.Attack {
		f.FindingInfo.Attacks = append(f.FindingInfo.Attacks, ocsf.Attack{Technique: ocsf.Technique{Name: techniques()[t], UID: t}, Version: attackVersion})
	}
	src := &ocsf.Endpoint{UID: d.Endpoint.String()}
	if len(d.Targets) == 0 {
		f.Evidences = []ocsf.Evidence{{Data: d.Evidence, SrcEndpoint: src}}
	}
	for i, t := range d.Targets {
		e := ocsf.Evidence{SrcEndpoint: src, DstEndpoint: &ocsf.Endpoint{IP: t}}
		if i == 0 {
			e.Data = d.Evidence
		}
		f.Evidences = append(f.Evidences, e)
	}
	return f
}
