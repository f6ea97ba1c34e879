// Package http dissects HTTP/1.0 and 1.1 (RFC 9110, RFC 9112): which host a client
// asks for and with what program, what a server calls itself, how both
// authenticate, and how many requests of which method there were.
//
// Here live message framing and the few headers that may leave. A message is read
// line by line; a line is kept only while it is read. Bodies are stepped over, but
// for those of the kinds in bodies.go: their readers get them without transfer
// coding and compression, up to a limit (pkg/dissect/httpbody).
// Paths, queries, cookies, credentials and bodies never leave: of an
// Authorization header the scheme is told, and of an NTLM token what
// pkg/dissect/ntlm tells. HTTP/2 is recognised by its preface and not read. What
// follows CONNECT is given to pkg/dissect/tls, what follows another upgrade is left.
package http
