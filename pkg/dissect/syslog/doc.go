// Package syslog dissects syslog messages over UDP and TCP: those of RFC 5424 and
// those of the BSD protocol as it is found (RFC 3164), with both framings of RFC
// 6587.
//
// Of a message its head is read: how grave it is, which host and program it is
// of, and the software that made it (the origin of RFC 5424). What stands behind
// may be about anybody and never leaves; where the head is not of a known form,
// neither do host and program. Of the forms in patterns.yaml it is told at which port
// or access point a station's MAC is, and nothing of who has logged in there.
package syslog
