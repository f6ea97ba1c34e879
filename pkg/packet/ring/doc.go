// Package ring receives frames of a network interface through the kernel's
// shared ring (Linux, AF_PACKET with TPACKET_V3): no copy for each packet, no
// cgo, no library.
//
// Here live the socket, the ring, the reading of its blocks, its counters, and
// the giving up of privileges before it is opened. It receives and nothing else: no
// call of it sends, and it touches neither addresses nor routes nor the state of
// an interface; even promiscuous mode belongs to the socket and ends with it.
// What frames mean is pkg/packet's. It imports pkg/packet for link types, proto
// for time, and nothing else of Wardflow. Blocks are read on any platform, so
// that they are tested and fuzzed without privileges; only Linux can open one.
package ring
