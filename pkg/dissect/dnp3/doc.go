// Package dnp3 dissects the Distributed Network Protocol (IEEE 1815-2012) over TCP
// and UDP: which stations there are, what they say they are, and who operates and
// restarts them.
//
// Here live the link layer with its checksums, and as much of the application
// layer as is needed for functions and device attributes. Points and values are
// not read; of a message in several frames only the first is.
package dnp3
