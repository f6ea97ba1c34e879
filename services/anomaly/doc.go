// Package anomaly says when an endpoint does what it has not done before, or
// stops doing what it always did. It is one fold over wardflow.traffic on each
// endpoint's own lane, joined with the bindings that say what kind of device the
// endpoint is. It emits detections, and the same as OCSF alerts.
//
// All of its state is keyed by one endpoint, so that its answers do not depend on
// how endpoints are spread over partitions.
//
// A detector is one file (peer.go, scan.go, silent.go) and one line in rules.go,
// which also says what each rule is called and how it maps to MITRE ATT&CK.
// Detectors see every event, also while an endpoint is being learned; whether a
// thing is reported is decided here:
//
//   - until the policy's learning_until nothing of its site is reported;
//   - new_peer, new_external_peer and device_silent compare with what was learned,
//     from an endpoint's first sight for learning_period_s, or until learning_until;
//   - port_scan needs no learning.
//
// One detection is one (rule, endpoint, target) until it has rested for the
// rule's time: what repeats counts up and is told again each time the count
// reaches another power of ten, and at its end. It keeps its id, time and first.
//
// Scores do not belong here, nor anything that asks for another endpoint's state.
package anomaly
