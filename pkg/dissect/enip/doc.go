// Package enip dissects EtherNet/IP and the Common Industrial Protocol in it (the
// CIP Networks Library, volumes 1 and 2, of ODVA): which devices there are, and
// who writes to, restarts and stops them.
//
// Here live the encapsulation, over TCP and UDP, the identity that devices list,
// and the services that change something. Names of tags and values are not read.
package enip
