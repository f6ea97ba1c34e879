// Package snmp dissects the Simple Network Management Protocol over UDP: SNMPv1
// (RFC 1157), SNMPv2c (RFC 1901, RFC 3416) and SNMPv3 with the user-based security
// model (RFC 3412, RFC 3414), as far as it is in clear.
//
// Here live a bounded reader of BER, the message formats, and the one table of
// objects whose values may leave (objects.go): what a device says of itself, and what a
// switch says of its ports and whom it has seen there (ports.go). Every other value,
// the community, user names and the contact person never leave; of a community it is
// said whether it is one that everybody knows.
package snmp
