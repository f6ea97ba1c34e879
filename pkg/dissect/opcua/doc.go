// Package opcua dissects the binary protocol of OPC Unified Architecture (IEC
// 62541-6) over TCP: which applications talk, under which security, how they sign
// on, and what a server says it is.
//
// Here live the framing, the services of which something is told, and the few
// encodings they need. What is read is read in clear messages only; the names and
// values of nodes are not, but for the server's own build information.
package opcua
