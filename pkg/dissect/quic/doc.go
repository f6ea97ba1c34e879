// Package quic dissects the beginning of a QUIC connection: version 1 (RFC 9000,
// RFC 9001), version 2 (RFC 9369), the drafts from 22 on, and Google's own
// versions before them.
//
// The Initial packets of a connection are encrypted with keys that follow from
// the first connection id, so that a middle box can read them: here live the
// headers, that decryption, the putting together of the CRYPTO frames, and the
// hello of Google's own handshake. A ClientHello or ServerHello is read by
// pkg/dissect/tls. Nothing after the Initial packets can be read, and a flow is
// left alone as soon as both hellos were seen.
package quic
