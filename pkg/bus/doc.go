// Package bus is Wardflow's way to Kafka, and the only package that imports kgo:
// client settings (TLS, SASL), the topics and their partition count, the lane
// partitioner, the idempotent producer, the transactional session that folds
// run in, the group consumer of the sink, and reading a changelog to its end.
//
// It moves bytes and offsets and knows nothing of what is in them; the messages
// are in proto, the folds in pkg/stream.
package bus
