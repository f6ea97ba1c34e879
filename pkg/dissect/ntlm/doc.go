// Package ntlm reads NTLM messages, which other protocols carry: SMB in its
// session setup, HTTP in its authentication headers.
//
// Here live the three messages of MS-NLMP and what of them may leave: the names
// and versions of the two computers and the strength of the answer. The user's
// name, hashes, challenges and keys are never kept. How a message is found is
// the carrier's; this package is no protocol of its own in the engine's list.
package ntlm
