// Package ssdp dissects the Simple Service Discovery Protocol of UPnP (UPnP Device
// Architecture 2.0, chapter 1), over UDP: what devices announce, who searches for
// what, and what answers.
//
// Here live the header parser and the list of headers that may leave. A location
// leaves as host and port, never with its path; what an owner typed (friendly
// names) and all headers that are not listed stay. The description that a
// location points to is fetched over HTTP and is not read here.
package ssdp
