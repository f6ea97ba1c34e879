package risk

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/proto"
)

//go:embed weights.yaml
var weightsFile []byte

// Weights is a framework: all numbers of the score. weights.yaml documents it.
type Weights struct {
	Name      string `yaml:"name"`
	Version   string `yaml:"version"`
	Cleartext struct {
		X         float64  `yaml:"x"`
		Protocols []string `yaml:"protocols"`
	} `yaml:"cleartext"`
	OutsidePeers   map[string]float64 `yaml:"outside_peers"`
	OutsideClients map[string]float64 `yaml:"outside_clients"`
	Unidentified   float64            `yaml:"unidentified"`
	Detections     map[string]float64 `yaml:"detections"`
	HalfLifeS      int64              `yaml:"half_life_s"`
	ForgetBelow    float64            `yaml:"forget_below"`
	Impact         struct {
		MissionWeight    float64           `yaml:"mission_weight"`
		PrivacyWeight    float64           `yaml:"privacy_weight"`
		UtilisationShare float64           `yaml:"utilisation_share"`
		Types            map[string]Impact `yaml:"types"`
		Categories       map[string]Impact `yaml:"categories"`
	} `yaml:"impact"`
	Tiers map[string]float64 `yaml:"tiers"`

	cleartext map[string]bool
}

// Impact is what may happen, 0..1 each.
type Impact struct {
	Safety  float64 `yaml:"safety"`
	Mission float64 `yaml:"mission"`
	Privacy float64 `yaml:"privacy"`
}

var embedded = sync.OnceValue(func() *Weights {
	w, err := ParseWeights(weightsFile)
	if err != nil {
		panic(err) // the embedded file is part of the program; a test reads it
	}
	return w
})

// ParseWeights reads a framework and reports all that is wrong in it.
func ParseWeights(b []byte) (*Weights, error) {
	w := new(Weights)
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(w); err != nil {
		return nil, fmt.Errorf("read risk weights: %w", err)
	}
	w.cleartext = map[string]bool{}
	for _, p := range w.Cleartext.Protocols {
		w.cleartext[p] = true
	}
	if err := w.validate(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *Weights) validate() error {
	var errs []error
	unit := func(name string, x float64) {
		if x < 0 || x >= 1 {
			errs = append(errs, fmt.Errorf("risk weights: %s is %v; it must be at least 0 and under 1", name, x))
		}
	}
	unit("cleartext.x", w.Cleartext.X)
	unit("unidentified", w.Unidentified)
	unit("forget_below", w.ForgetBelow)
	for name, m := range map[string]map[string]float64{"outside_peers": w.OutsidePeers, "outside_clients": w.OutsideClients, "detections": w.Detections} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			unit(name+"."+k, m[k])
		}
	}
	for _, c := range []string{"medical", "ot", "iot", "it", "network", "unknown"} {
		if _, ok := w.Impact.Categories[c]; !ok {
			errs = append(errs, fmt.Errorf("risk weights: impact.categories.%s is missing", c))
		}
	}
	for _, s := range []string{proto.SeverityInfo, proto.SeverityLow, proto.SeverityMedium, proto.SeverityHigh, proto.SeverityCritical} {
		if _, ok := w.Detections[s]; !ok {
			errs = append(errs, fmt.Errorf("risk weights: detections.%s is missing", s))
		}
	}
	if w.HalfLifeS <= 0 {
		errs = append(errs, errors.New("risk weights: half_life_s must be over 0"))
	}
	if t := w.Tiers; t["medium"] <= t["low"] || t["high"] <= t["medium"] || t["critical"] <= t["high"] {
		errs = append(errs, errors.New("risk weights: tiers must rise from low to critical"))
	}
	return errors.Join(errs...)
}

// framework is the name that every score carries.
func (w *Weights) framework() string { return w.Name + " " + w.Version }

func (w *Weights) halfLife(p *proto.Policy) time.Duration {
	if p != nil && p.RiskHalfLifeS > 0 {
		return time.Duration(p.RiskHalfLifeS) * time.Second
	}
	return time.Duration(w.HalfLifeS) * time.Second
}

// impact is what a device's misuse may do: the worst of it.
func (w *Weights) impact(category, typ string, utilisation float64) float64 {
	i, ok := w.Impact.Types[typ]
	if !ok {
		if i, ok = w.Impact.Categories[category]; !ok {
			i = w.Impact.Categories["unknown"]
		}
	}
	mission := w.Impact.MissionWeight * i.Mission * (1 - w.Impact.UtilisationShare + w.Impact.UtilisationShare*utilisation)
	return max(i.Safety, mission, w.Impact.PrivacyWeight*i.Privacy)
}

func (w *Weights) tier(score float64) string {
	switch {
	case score >= w.Tiers["critical"]:
		return "critical"
	case score >= w.Tiers["high"]:
		return "high"
	case score >= w.Tiers["medium"]:
		return "medium"
	}
	return "low"
}

// byCategory gives a factor's weight; an unlisted category counts as unknown.
func byCategory(m map[string]float64, category string) float64 {
	if x, ok := m[category]; ok {
		return x
	}
	return m["unknown"]
}
