// Package dedup decides what counts where several sensors of a site are at work:
// whose report of the same traffic, and what time it was when a sensor's clock is
// off. Both follow from the order of one partition of wardflow.traffic alone, so
// that the folds and the sink, who read it apart, decide alike.
//
// Sensors are the clocks of one site in one time domain; Rule tells copies from
// what counts. State is reached through a Table, so that it lies in a fold's
// changelog, or in memory. Not here: Kafka, ClickHouse, and what is done with a
// copy. It imports proto only.
package dedup
