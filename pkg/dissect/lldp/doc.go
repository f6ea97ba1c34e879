// Package lldp dissects the Link Layer Discovery Protocol (IEEE 802.1AB-2016)
// with the extensions of IEEE 802.1 and 802.3 (802.1Q-2018 annex D, 802.3-2018
// clause 79), of LLDP-MED (ANSI/TIA-1057), of PROFINET (its chassis MAC) and of
// manufacturer usage descriptions (RFC 8520 section 11).
//
// Here live the walk over the TLVs and what of them may leave: what the sender
// says of itself and of the port that it sends from. Text that an administrator
// types about a port leaves only where it names nothing but the port. Where a
// device sits, judged from the switch ports it is seen on, is for the services.
package lldp
