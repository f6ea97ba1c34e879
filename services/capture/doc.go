// Package capture is the service that turns packets into wardflow.traffic: flows
// and observations of one sensor, in capture order.
//
// Here live the Processor (frames to items: decoding, flows, dissectors, who the
// two ends are, on which lane a thing goes), what feeds it (capture files, a
// watched Folder of them, Live interfaces), and what brings its items to Kafka. The
// Processor is pure: no I/O, no goroutines, no clock but the packets', so the live
// service and replay run the very same code. Live adds workers, interfaces that
// come and go, and configurations that change; what packets mean it leaves alone.
// Capture decides endpoints alone; which device an endpoint belongs to is
// services/fingerprint's business. Of Kafka it reads only its own configuration. Frames come in here and
// nowhere else, and nothing that a dissector has not let go of leaves.
package capture
