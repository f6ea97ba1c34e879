// Package brokerlog reads and mends the files of the embedded broker (kfake) while no broker has them open.
//
// Here live what the broker itself leaves undone: ending the transactions that a kill cut off (Recover), compacting
// without losing what an open transaction superseded (Stage, Swap), and the record format both need. Here does not
// live anything that talks to a broker. The layout it knows is that of the pinned kfake version:
//
//	topics.json  pids.log  groups.log  seq_windows.json  partitions/<topic>-<partition>/<base offset>.{dat,idx}  .../snapshot.json
//
// Only pkg/embedded uses it.
package brokerlog
