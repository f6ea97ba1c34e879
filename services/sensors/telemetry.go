package sensors

import (
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// standing is a site's sensors of one state.
type standing struct{ site, state string }

// stand counts the sensors as they stand now. One that has been revoked and is away
// is missed by nobody.
func (s *Service) stand() {
	n := map[standing]int{}
	for _, p := range s.parts {
		for _, e := range p.entries {
			gone := e.state == proto.SensorAway && p.register[e.name].Revoked
			if e.state != "" && !gone {
				n[standing{e.site, e.state}]++
			}
		}
	}
	s.standings.Store(&n)
}

// Tell makes the service's counts metrics until stop is called.
func (s *Service) Tell(t *telemetry.Telemetry) (stop func()) {
	return t.Observe(func(o *telemetry.Observer) {
		if n := s.standings.Load(); n != nil {
			for at, count := range *n {
				o.Set(telemetry.SensorCount, float64(count), at.site, at.state)
			}
		}
		st := s.Stats()
		o.Set(telemetry.SensorStatuses, float64(st.Statuses))
		o.Set(telemetry.SensorEvents, float64(st.Events))
		o.Set(telemetry.SensorDrops, float64(st.Malformed), "malformed")
		o.Set(telemetry.SensorDrops, float64(st.Refused), "stranger")
	})
}
