package sensors

import (
	"github.com/wardflow/wardflow/pkg/ocsf"
	"github.com/wardflow/wardflow/proto"
)

// alert makes the OCSF Detection Finding of an event. It is that class, and not
// one of the application or device life cycle, because SIEMs watch findings, and
// a part of the network that nobody watches is one. An event that ends another's
// matter closes the finding that the other opened: both have its UID.
func alert(v *proto.SensorEvent) *ocsf.Finding {
	k := kinds[v.What]
	activity, finding := ocsf.ActivityCreate, v.EventID
	if !v.Closes.IsZero() {
		activity, finding = ocsf.ActivityClose, v.Closes
	}
	f := ocsf.New(activity, v.Severity, v.EventID.String())
	f.Count, f.StartTime, f.EndTime, f.Time, f.Message = 1, ocsf.Millis(v.Since), ocsf.Millis(v.Time), ocsf.Millis(v.Time), v.Title
	// What is merely worth knowing is no alert; its finding is there all the same.
	f.IsAlert = v.Severity != proto.SeverityInfo
	f.Resources = []ocsf.Resource{{UID: proto.SensorKey(v.Site, v.Sensor), Type: "sensor", Namespace: v.Site}}
	f.Evidences = []ocsf.Evidence{{Data: v.Evidence}}
	if len(v.Evidence) == 0 {
		f.Evidences[0].Data = proto.Object{"state": v.State}
	}
	f.FindingInfo = ocsf.FindingInfo{
		UID: finding.String(), Title: v.Title, Desc: k.why, Types: []string{"sensor_" + v.What}, CreatedTime: ocsf.Millis(v.Time), FirstSeenTime: ocsf.Millis(v.Since),
		LastSeenTime: ocsf.Millis(v.Time), Analytic: ocsf.Analytic{Name: "sensor_" + v.What, UID: "sensor_" + v.What, TypeID: ocsf.AnalyticRule},
	}
	return f
}
