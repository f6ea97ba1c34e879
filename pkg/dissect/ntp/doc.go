// Package ntp dissects the Network Time Protocol, versions 1 to 4 (RFC 1059, RFC
// 1119, RFC 1305, RFC 5905), its control messages (mode 6, RFC 9327) and the
// private ones of ntpd (mode 7): who keeps whose time, how well a server is
// synchronised, and what asks for things that no client should.
//
// The bits of a packet are too few to know it by: the port is required. Judging a
// clock that is wrong is not for this package.
package ntp
