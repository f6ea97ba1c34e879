// Package kerberos dissects Kerberos 5 (RFC 4120, RFC 3961, MS-KILE): the realm, which
// computers ask for tickets to which services, with what encryption, and what the KDC
// refuses.
//
// Here live the messages between a client and the KDC, over UDP and TCP, and the AP-REQ
// that other protocols carry in SPNEGO (Find, Emit). Of principals only those of
// computers are told: names that end in $, and services with the host that they run
// on. Users' names, tickets, and texts of errors never leave.
package kerberos
