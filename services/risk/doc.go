// Package risk says how much risk a device carries right now, and why. It is one
// fold over wardflow.traffic on each endpoint's own lane, joined with the bindings
// (which device, of what type) and the detections.
//
// The score is 100 * sqrt(likelihood * impact):
//
//	likelihood = 1 - prod over factors of (1 - x)     x in [0, 1)
//	impact     = max(safety, 0.75 * mission * (0.7 + 0.3 * utilisation), 0.6 * privacy)
//
// Factors are posture (clinical protocols in clear), exposure (outside peers), not
// knowing what a device is, and live detections, whose x halves with each half-life
// since they were last seen. A factor's share of the likelihood is exact:
// -ln(1-x) over the sum of it. The impact is a maximum and never a mean: what can
// harm a patient cannot be averaged away. The order of events does not matter,
// more evidence never lowers a score, and without events it never rises.
//
// All weights are in weights.yaml; its name and version are in every score. Who
// acts on a score does not belong here, nor how a detection is made.
package risk
