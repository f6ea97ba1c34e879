// Package tls dissects the part of a TLS handshake that is in clear: the hellos
// of both sides and, up to TLS 1.2, the server's certificate (RFC 5246, RFC 8446,
// RFC 6066, RFC 7301, and SSL 3.0 as in RFC 6101).
//
// Here live records and handshake messages, and the fingerprints that are made of
// the hellos: JA3 and JA3S (the method of salesforce/ja3, BSD-3-Clause) and JA4
// (FoxIO's JA4 for TLS clients, BSD-3-Clause; the others of that family are under
// another licence and stay out). GREASE is RFC 8701's. Nothing is decrypted, and
// a connection is left alone as soon as both hellos and the certificate were
// seen. What a fingerprint means is for services/fingerprint.
package tls
