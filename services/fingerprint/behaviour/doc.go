// Package behaviour tells what a device is by what it does while it is new: which
// protocols it speaks, in which order and at what intervals, to which ports, how
// much, and what kinds of things it announces. It is for devices that say little
// of themselves.
//
// Here live the Sketch (what is kept of a new device, of bounded size), the forest
// and its training, the calibration of its confidence, the rule by which what is
// unknown is rejected, and the evaluation of all that on labelled samples. Training
// and the live fold fill the same Sketch from the same flows and observations.
// Reading captures does not belong here: services/wardflow does it with capture's
// Processor. No I/O, no wall clock; the same samples and seed give the same bytes.
//
// No feature names a unit: neither addresses, nor the device's own part of a MAC,
// nor serial numbers; names that hold such have it taken out before they are hashed.
package behaviour
