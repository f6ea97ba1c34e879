// Package bacnet dissects BACnet (ANSI/ASHRAE 135-2020) over UDP (annex J, and
// annex U for IPv6) and over Ethernet (clause 7): which devices there are, what
// they say they are, who controls them, and how the networks are joined.
//
// Here live the virtual link layer, the network layer with its routers, the
// application layer's services and the names of the enumerations. A device behind
// a BACnet router never speaks on this segment itself: it is an own subject, named
// by its network's number and its address there.
//
// What is not read: values of properties other than the device object's identity
// (measurements), texts of alarms and messages, passwords, contents of files. Of
// a message in segments only the first one is read.
package bacnet
