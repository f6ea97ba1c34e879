// Package sdc dissects IEEE 11073 SDC, service-oriented device connectivity: the
// scopes by which its devices announce themselves (IEEE 11073-20701), the metadata
// of DPWS that they and other devices of Windows networks give (OASIS DPWS 1.1),
// and the messages of BICEPS (IEEE 11073-10207) that SOAP carries over HTTP.
//
// Here live what is read of those: who made a device, where it is, in which state
// it is, whether it measures, and who commands it to do what kind of thing. Values
// that it measures, settings, alerts and texts are not read. Of patients only
// whether one is assigned leaves; who is remembered as hashes until the message
// ends, so that a device's field which repeats it is withheld. WS-Discovery itself
// is package wsdiscovery, the framing of HTTP package http.
package sdc
