// Package embedded runs Wardflow's two systems of record on one machine: a Kafka-compatible broker and a ClickHouse
// server, each in a child process of our own binary, on loopback, with random credentials in <data>/run.yaml.
//
// Here live: starting, watching and stopping those children; choosing which ClickHouse to use; the size cap and the
// log cleaning of the broker; the connection file. Here do not live: topics, schemas or any knowledge of what is stored.
// Clients reach both through pkg/bus and pkg/store by address and password, exactly as they reach a cluster, and
// nothing below services/wardflow imports this package except tests (through embeddedtest).
//
// Of Kafka libraries the package imports the broker (kfake) only. Limits, measured costs and what is not obvious are in DESIGN.md.
package embedded
