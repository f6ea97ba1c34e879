// Package wsdiscovery dissects WS-Discovery (OASIS WS-Discovery 1.1, and the draft
// of 2005 that Windows, printers and cameras speak) over UDP: SOAP messages by
// which devices say that they come and go, and by which others look for them.
//
// Here live the recognition and the reading of types, scopes and addresses; what
// ONVIF (Core Specification 7.3.2) says in scopes is read here, what SDC says in
// them by package sdc. An address leaves as host and port, never with its path. Names
// that somebody typed in stay. The metadata that an address leads to is HTTP's.
package wsdiscovery
