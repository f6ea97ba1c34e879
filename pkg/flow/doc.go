// Package flow is the flow table: packets of one sensor become bidirectional
// flows, delivered as parts while they live and once more when they end.
//
// Here live the identity of a flow (Community ID, flow_id), its orientation, its
// connection state by Zeek's names, what TCP's numbers and the handshake tell, the
// sketch of its messages, its timeouts and the bound on all of it. Not here: what
// the payload says (pkg/dissect), who the two ends are and where the record goes
// (services/capture). It imports proto, pkg/packet and pkg/slab only.
//
// Time is the packets' own, in the order in which they come: the same packets
// give the same parts in the same order, whatever the clock on the wall says.
// Adding a packet to a known flow allocates nothing.
package flow
