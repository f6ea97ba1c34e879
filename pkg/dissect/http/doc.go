// Package http dissects HTTP/1.0 and 1.1 (RFC 9110, RFC 9112) and HTTP/2 in clear
// (RFC 9113): which host a client asks for and with what program, what a server
// calls itself, how both authenticate, and how many requests of which method there
// were.
//
// Here live message framing and the few headers that may leave. A message is read
// line by line; a line is kept only while it is read. Bodies are stepped over, but
// for those of the kinds in bodies.go: their readers get them without transfer
// coding and compression, up to a limit (pkg/dissect/httpbody).
// Paths, queries, cookies, credentials and bodies never leave: of an
// Authorization header the scheme is told, and of an NTLM token what
// pkg/dissect/ntlm tells. Of HTTP/2 the header fields are read, by the decoder of
// golang.org/x/net, and no bodies but messages of DNS (doh.go). What follows CONNECT is given to pkg/dissect/tls,
// what follows an upgrade to anything but HTTP/2 is left.
package http
