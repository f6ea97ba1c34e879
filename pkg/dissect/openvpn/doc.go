// Package openvpn knows OpenVPN by its hard resets, and reads the TLS that its control
// channel carries (OpenVPN's documentation, "OpenVPN Wire Protocol", and ssl_pkt.h).
//
// Here live the layout of control packets, without and with the HMAC of tls-auth, and
// their order. The hellos and the certificate are told by package tls, under its name;
// of the tunnel nothing is told but its label. What tls-crypt wraps is encrypted and
// stays unread, as does the data channel.
package openvpn
