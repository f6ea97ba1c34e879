// Package smb dissects the beginning of an SMB connection, versions 1 to 3, on
// its own or over the NetBIOS session service (RFC 1001, RFC 1002, MS-CIFS,
// MS-SMB, MS-SMB2): what both sides negotiate, and the NTLM messages of the
// session setup, which pkg/dissect/ntlm reads.
//
// Shares, files and everything after the session setup are not read, and user
// names, passwords and hashes never leave.
package smb
