// Package dns dissects the Domain Name System over UDP and TCP (RFC 1035, RFC
// 7766) and, told apart by their ports, mDNS (RFC 6762) with the services that
// hosts announce on it (DNS-SD, RFC 6763), and LLMNR (RFC 4795).
//
// Here live the message parser and what of it may leave: who asks and who
// answers, type, result, sizes, and the names of inside hosts, which are device
// identity. What somebody looks up is not: a queried name is reduced to its last
// two labels and to numbers about its shape. Judging those is for the detectors.
package dns
