// Package store is Wardflow's ClickHouse: the schema as data, migrations,
// inserts with coordinates and tokens, counts, and the queries that the command
// line and analysts ask.
//
// It is the only package that imports clickhouse-go. It knows rows, not Kafka
// clients: which rows are wanted, and when, is the sink's business. It may
// import proto and nothing else of Wardflow.
package store
