// Package dissect turns packets into device facts: it recognises the protocol of
// a flow by its content and runs that protocol's dissector over it.
//
// Here live the engine (recognition, streams, containment of panics, memory) and
// the one list of protocols, registry.go. What is said of a device in each
// protocol is written in EMITS.md. Who the device is (endpoints, ids, lanes) is
// decided by services/capture, which makes observations of the facts.
//
// To add a protocol: make a package below this one that exports a
// dissector.Protocol, put it into the list in registry.go, and describe its facts
// in EMITS.md. Fill in one or more of
//
//   - Frame, for frames without IP: one call per frame.
//   - Datagram, for UDP: one call per payload. Check enough of the structure that
//     other traffic is refused; ports may make a check milder but never decide.
//     Context.State carries what has to be known at the flow's next datagram.
//   - Recognise and NewStream, for TCP: Recognise sees the first bytes of a
//     direction, the Stream then gets both directions in order, with gaps.
//
// What a dissector may do: read its bytes, keep a bounded amount (Stream.Size),
// call Context.Emit, Count and Inner. It must not keep the Context or slices of
// its input, log, start goroutines, or read a clock. It says Done (Context.Sink)
// when the rest of a connection has nothing for it. A message it cannot use is
// counted. It never lets go of patient data: emit named device fields only, each
// through dissector.Text with its limit, never "the rest"; identities that must be
// counted go through dissector.Pseudonym; where a message carries patients, give
// their identities to a dissector.Guard and ask it about every value before
// emitting it. Errors, counters and panics carry no content. TestCanaries of the
// clinical protocols shows how that is held up; give yours one too.
package dissect
