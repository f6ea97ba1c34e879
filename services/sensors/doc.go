// Package sensors keeps book of the live sensors: which are enrolled, which are
// heard, which have gone away, whose clock is off; and says so, each thing once.
//
// It reads wardflow.sensors (what sensors say of themselves) and wardflow.control
// (the register of enrolled ones), has a wall clock of its own, and writes events
// to wardflow.sensor-events and, for SIEMs, to wardflow.alerts, in transactions
// with the offsets that it has read. What a sensor says and how it is configured
// is in services/capture; who may log in at the brokers in pkg/bus. Nothing here
// ever talks to a sensor.
package sensors
