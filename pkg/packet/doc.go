// Package packet turns captured frames into headers. It knows link layers,
// VLAN tags, IPv4 and IPv6 with their options, extension headers and fragments,
// the transport headers, and the tunnels that have such a frame or packet inside;
// it knows nothing of flows, payloads or files.
//
// Decoding allocates nothing and returns no errors: hostile bytes are normal
// input, a frame that cannot be used is a counted Reason. Only fragments of IP
// datagrams are kept from one frame to the next, in bounded memory and time.
// It imports proto and nothing else of Wardflow.
package packet
