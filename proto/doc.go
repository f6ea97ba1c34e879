// Package proto holds the messages that Wardflow's services exchange: Go
// structs with their msgpack or JSON codecs, one file a topic, documented field
// by field. The names are those of the JSON, the ClickHouse columns and the
// documentation.
//
// It holds no logic beyond encoding, identity (how an endpoint's id and lane
// follow from what a packet shows) and topic names, imports nothing of
// Wardflow, and may be imported by everything.
package proto
