// Package netbios dissects the name service and the datagram service of NetBIOS
// over UDP (RFC 1001, RFC 1002): the names that hosts register and answer to, the
// tables of names that they give (node status), and the announcements of the
// browser service (MS-BRWS). The session service is SMB's and in pkg/dissect/smb.
//
// A name's sixteenth byte says what it stands for. Those of the messenger service
// are mostly a user's and never leave, nor do comments, names that somebody asks
// for, or what logons carry.
package netbios
