// Package dcerpc dissects DCE/RPC (The Open Group C706, MS-RPCE): which interfaces a
// client binds to, how it authenticates, and which operations it calls how often. That
// is how Windows is administered from afar, and how it is attacked.
//
// Here live the connection-oriented version over TCP, the same inside of SMB's pipes
// (Calls), and the header of the connectionless one over UDP. Arguments of calls never
// leave; of authentication what pkg/dissect/ntlm and pkg/dissect/kerberos tell, and the
// computer's name in a secure channel's.
package dcerpc
