package peers

import "strings"

// Conventions are the peers' own: what they count or name differently, by choice or by
// what their tests have made of a capture.
var Conventions = map[string]string{
	"ah_is_a_header":             "the authentication header is a header before the transport for us (RFC 4302), and the flow is that of what it protects; the peer ends at it",
	"alpn_not_ascii":             "an ALPN that is not ASCII: 99 was the rule before JA4's description took the hexadecimal digits",
	"arkime_invented":            "a conversation that Arkime's tests invented, with a message that contradicts itself or its protocol; we refuse it",
	"arkime_one_session":         "Arkime makes one session of what are several flows for us: all ICMP between two hosts, all PIM to a group, DHCP's client and server, or a flow and the one within its tunnel",
	"arkime_orientation":         "a lone SYN-ACK: Arkime puts it on the opener's side",
	"arkime_punycode":            "Arkime shows an international name in letters; what we measure is what was sent",
	"damaged_on_purpose":         "a capture damaged on purpose: of headers that contradict themselves each believes another part, and a message that is no longer its protocol's we do not call so",
	"fragments":                  "each fragment is a packet of its flow for us; the peer counts the datagram, or its first fragment, alone",
	"first_of_two":               "the flow begins as one protocol and goes on as another; we name the one that it began with",
	"gridftp_skipped":            "Zeek leaves a GridFTP data connection once it is recognised, and counts no more",
	"icmp_as_session":            "Arkime makes one session of all ICMP between two hosts, with the Community ID of its first message",
	"ip_length_beyond":           "nDPI leaves packets out whose IP length, or whose length on the wire, is beyond what was captured",
	"ja4_of_a_tunnel":            "TLS in OpenVPN over UDP: Arkime's JA4 says q, which is QUIC's by JA4's description; it is TLS in a reliable order, and neither QUIC nor DTLS: t",
	"label_by_port_only":         "too little in the packet to go by: nDPI takes the port into account, for us that is a guess and counts as none",
	"ndpi_ja4":                   "nDPI writes d where there is no SNI, takes the first two characters of the ALPN, and hashes nothing where there are no extensions; JA4's description says i, the first and the last, and zeros",
	"ldap_result_of_any":         "Zeek tells the result of any operation of LDAP, we that of a bind",
	"mdns_authoritative":         "an answer of mDNS is authoritative by definition (RFC 6762 18.4): it is not told",
	"ndpi_first_segment":         "nDPI has the part of a header that the first segment has",
	"ndpi_retry_request":         "nDPI takes a HelloRetryRequest for the server's hello",
	"padding_in_length":          "acknowledgements with bytes that were never sent (padding within the IP length), which nDPI has a heuristic for",
	"ports_where_there_are_none": "Arkime hashes two ports of 0 for transports without ports; the specification leaves them out",
	"short_headers_alone":        "QUIC joined after its beginning: its short headers say nothing, and nDPI goes by the port and by lengths",
	"smb_damaged_name":           "a message with a damaged length or without its end: what lies outside of it, or is not ended, is not taken for a name",
	"teredo_within":              "the tunnel is taken off, and its packets are those of the flow within",
	"fabricpath_within":          "frames within Cisco's FabricPath, which nDPI leaves out",
	"with_the_keys":              "the peer has the keys and reads what was encrypted",
	"zeek_orientation":           "packets whose times go back: Zeek takes the later one for the flow's first",
}

// Limits are ours: what is not read, or not told.
var Limits = map[string]string{
	"dtls_handshake":      "DTLS from before the standard (version 0x0100) is recognised, its handshake is not read; of DTLS 1.3 nDPI tells the version of the record, and of several handshakes in one flow the first",
	"fb_zero":             "Facebook's Zero protocol is not read",
	"rtp_over_tcp":        "RTP with its length before it over TCP is not recognised",
	"ndpi_names_content":  "nDPI knows the protocol by the content of messages, which we leave alone: a connection that it joins midway, or an invented one",
	"behind_connect_text": "of what follows HTTP's CONNECT only TLS is read",
	"told_as_hmac":        "a text that somebody typed: its HMAC is told",
	"vlan_each_way":       "each direction has a VLAN of its own: they are two flows, whose messages are not put together",
}

// classes are tried in this order; empty fields match all, others where they are a
// part of it, or with = before them all of it.
var classes = []struct{ peer, field, capture, where, want, ours, class string }{
	{peer: "Arkime", field: "community_id", where: "50 ", class: "ports_where_there_are_none"},
	{peer: "Arkime", field: "community_id", where: "51 ", class: "ports_where_there_are_none"},
	{peer: "nDPI", capture: "quic_sh.pcap", class: "short_headers_alone"},
	{capture: "fuzz", peer: "nDPI", class: "damaged_on_purpose"},
	{capture: "fuzz-", class: "damaged_on_purpose", field: "modbus"},
	{where: "51 ", field: "packets", ours: "=0", class: "ah_is_a_header"},
	{where: "51 ", class: "ah_is_a_header"},
	{capture: "/ah-esp", class: "ah_is_a_header"},
	{capture: "gap-data-missing", field: "=outcome", class: "vlan_each_way"},
	{capture: "connect-with-smtp", class: "behind_connect_text"},
	{peer: "Zeek", field: "=outcome", capture: "ldap-starttls", class: "ldap_result_of_any"},
	{field: "=dns authoritative", where: "ours: mdns", class: "mdns_authoritative"},
	{peer: "Zeek", field: "=dhcp circuit_id", class: "told_as_hmac"},
	{peer: "nDPI", capture: "http_ua_splitted_in_two_pkts", field: "user_agent", class: "ndpi_first_segment"},
	{peer: "nDPI", capture: "steam.pcapng", field: "ja3s", class: "ndpi_retry_request"},
	{peer: "nDPI", field: "tls ", where: "ours: stun", class: "first_of_two"},
	{peer: "FoxIO", capture: "non-ascii-alpn", class: "alpn_not_ascii"},
	{capture: "socks", field: "packets", class: "fragments"},
	{peer: "Arkime", field: "ja4", capture: "openvpn", where: "udp", class: "ja4_of_a_tunnel"},
	{capture: "fbzero", class: "fb_zero"},
	{capture: "smbtorture-ntlmssp-moloch-crash", class: "smb_damaged_name"},
	{where: "ours: dtls", class: "dtls_handshake"},
	{capture: "tls12-decryption", class: "with_the_keys"},
	{capture: "globus-url-copy", field: "packets", class: "gridftp_skipped"},
	{capture: "misordered-ntp", class: "zeek_orientation"},
	{capture: "dns-punycode", class: "arkime_punycode"},
	{capture: "dns_fragmented", class: "fragments"},
	{capture: "rsh-syslog-false-positive", class: "ip_length_beyond"},
	{capture: "telnet.pcap", field: "packets", class: "ip_length_beyond"},
	{capture: "ajp.pcap", field: "packets", class: "fabricpath_within"},
	{capture: "teredo.pcap", field: "packets", class: "teredo_within"},
	{capture: "heuristic_tcp_ack_payload", class: "padding_in_length"},
	{capture: "single-packets", class: "arkime_orientation"},
	{peer: "Arkime", where: "icmp", class: "icmp_as_session"},
	{peer: "Arkime", capture: "wireshark-dhcpv6", class: "arkime_one_session"},
	{peer: "Arkime", capture: "gre-erspan", class: "arkime_one_session"},
	{peer: "Arkime", capture: "pim.pcap", class: "arkime_one_session"},
	{peer: "Arkime", capture: "synthetic", field: "packets", class: "arkime_one_session"},
	{peer: "Arkime", capture: "synthetic", class: "arkime_invented"},
	{peer: "nDPI", field: "=protocol", want: "87/RTP", where: "tcp", class: "rtp_over_tcp"},
	{peer: "nDPI", field: "=protocol", ours: "=stun", class: "first_of_two"},
	{peer: "nDPI", capture: "coap_mqtt", want: "Dropbox", class: "label_by_port_only"},
	{peer: "nDPI", capture: "collectd.pcap", ours: "port says", class: "label_by_port_only"},
	{peer: "nDPI", capture: "sip_hello", ours: "port says", class: "label_by_port_only"},
	{peer: "nDPI", capture: "h323.pcap", ours: "=unknown", class: "ndpi_names_content"},
	{peer: "nDPI", capture: "jabber.pcap", ours: "=unknown", class: "ndpi_names_content"},
	{peer: "nDPI", capture: "lru_ipv6_caches", ours: "=unknown", class: "ndpi_names_content"},
	{peer: "nDPI", capture: "nomachine", want: "NoMachine", class: "ndpi_names_content"},
	{peer: "nDPI", capture: "coap_mqtt", want: "MQTT", ours: "=unknown", class: "ndpi_names_content"},
	{peer: "Zeek", capture: "ntlm-unterminated-av-sequence", class: "smb_damaged_name"},
	{peer: "nDPI", capture: "ossfuzz_seed_fake_traces_2", class: "damaged_on_purpose"},
	{peer: "nDPI", capture: "rtmp.pcap", ours: "=unknown", class: "ndpi_names_content"},
	{peer: "nDPI", capture: "soap.pcap", ours: "unknown", class: "ndpi_names_content"},
	{peer: "nDPI", capture: "teamviewer.pcap", ours: "=unknown", class: "ndpi_names_content"},
}

func classOf(c *Check) string {
	for _, x := range classes {
		if matches(c.Peer, x.peer) && matches(c.Field, x.field) && matches(c.Capture, x.capture) && matches(c.Where, x.where) &&
			matches(c.Want, x.want) && matches(c.Ours, x.ours) {
			return x.class
		}
	}
	return ""
}

func matches(value, pattern string) bool {
	if whole, ok := strings.CutPrefix(pattern, "="); ok {
		return value == whole
	}
	return strings.Contains(value, pattern)
}
