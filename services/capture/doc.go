// Package capture is the service that turns packets into wardflow.traffic: flows
// and observations of one sensor, in capture order.
//
// Here live the Processor (frames to items: decoding, flows, dissectors, who the
// two ends are, on which lane a thing goes), and what feeds it from files and
// writes its items to Kafka. The Processor is pure: no I/O, no goroutines, no
// clock but the packets', so the live service and replay run the very same code.
// Capture decides endpoints alone and reads nothing from Kafka; which device an
// endpoint belongs to is services/fingerprint's business. Frames come in here and
// nowhere else, and nothing that a dissector has not let go of leaves.
package capture
