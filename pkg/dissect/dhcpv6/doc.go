// Package dhcpv6 dissects DHCP for IPv6 (RFC 8415), relays' messages included:
// what a client says of itself, which addresses and prefixes it got, who served
// it, and where a relay says it is.
//
// Here live the options and DUIDs. What a subscriber or a user is called is not
// read. DHCP for IPv4 is another protocol; the forms of lines and processors that
// both have are in pkg/dissect/dhcp.
package dhcpv6
