// Package ssh dissects the beginning of an SSH connection (RFC 4253): the banners
// of both sides and what they offer for the key exchange, as HASSH.
//
// Here live the banner, the first binary packet, and the HASSH fingerprints (the
// method of salesforce/hassh, BSD-3-Clause: an MD5 over four name lists). Nothing
// after the two KEXINIT messages is read: it is encrypted, and who logs in is not
// a device fact.
package ssh
