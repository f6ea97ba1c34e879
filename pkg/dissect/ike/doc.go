// Package ike knows IKE, version 1 (ISAKMP: RFC 2408, RFC 2409) and version 2 (RFC 7296),
// and reads the certificates that stand in it in clear: those of aggressive mode, of a
// main mode without encryption, and of what a version 2 peer sends before its keys.
//
// Here lives the walk over payloads, up to the first that is encrypted. Identities,
// vendors' ids, hashes, keys and what is asked for are not read. A certificate of which
// the names are not a machine's may be a person's: it is counted, and not told.
package ike
