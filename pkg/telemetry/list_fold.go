package telemetry

var byFold = []*Key{ByFold}

// Folds.
var (
	FoldEvents = define(Metric{
		Name: "wardflow.fold.events", Unit: "{event}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Events applied.",
	})
	FoldTraffic = define(Metric{
		Name: "wardflow.fold.traffic", Unit: "{event}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Of the events applied, flows and observations.",
	})
	FoldOutputs = define(Metric{
		Name: "wardflow.fold.outputs", Unit: "{record}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Records written to other topics.",
	})
	FoldDrops = define(Metric{
		Name: "wardflow.fold.drops", Unit: "{event}", Kind: KindCounter, Labels: []*Key{ByFold, ByReason}, Only: onlyFold,
		Help: "Events not applied: repeated (its number was known), dead (it could not be used, and is a dead letter).",
	})
	FoldUnordered = define(Metric{
		Name: "wardflow.fold.gate.expired", Unit: "{event}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Events applied without having waited for an upstream fold any longer (fold.gate_wait).",
	})
	FoldSuspect = define(Metric{
		Name: "wardflow.fold.clock.suspect", Unit: "{event}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Events whose times were set right because their sensor's clock is suspect.",
	})
	FoldCopies = define(Metric{
		Name: "wardflow.fold.copies", Unit: "{event}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Parts of flows and observations that another sensor had told.",
	})
	FoldForgotten = define(Metric{
		Name: "wardflow.fold.copies.forgotten", Unit: "{entry}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Entries kept to know copies by that were dropped before their time, because there were too many.",
	})
	FoldTimers = define(Metric{
		Name: "wardflow.fold.timers", Unit: "{timer}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Timers fired.",
	})
	FoldCommits = define(Metric{
		Name: "wardflow.fold.commits", Unit: "{transaction}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Transactions committed.",
	})
	FoldFenced = define(Metric{
		Name: "wardflow.fold.fenced", Unit: "{transaction}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Transactions that a rebalance made void; their work is done again.",
	})
	FoldTransaction = define(Metric{
		Name: "wardflow.fold.transaction", Unit: "s", Kind: KindHistogram, Bounds: durations, Labels: byFold, Only: onlyFold,
		Help: "Duration of a transaction, from its begin to the state being stored.",
	})
	FoldBatch = define(Metric{
		Name: "wardflow.fold.batch", Unit: "{event}", Kind: KindHistogram, Bounds: sizes, Labels: byFold, Only: onlyFold,
		Help: "Events applied per transaction.",
	})
	FoldChangelog = define(Metric{
		Name: "wardflow.fold.changelog", Unit: "By", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Bytes of state changes written to the changelog, keys and values before compression.",
	})
	FoldRestored = define(Metric{
		Name: "wardflow.fold.restored", Unit: "{record}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Changelog records read to restore state.",
	})
	FoldRewound = define(Metric{
		Name: "wardflow.fold.rewound", Unit: "{partition}", Kind: KindCounter, Labels: byFold, Only: onlyFold,
		Help: "Partitions whose last transaction was torn and is done again.",
	})
	FoldPartitions = define(Metric{
		Name: "wardflow.fold.partitions", Unit: "{partition}", Kind: KindUpDown, Labels: byFold, Only: onlyFold,
		Help: "Partitions that this instance has.",
	})
	FoldWaiting = define(Metric{
		Name: "wardflow.fold.waiting", Unit: "{record}", Kind: KindUpDown, Labels: byFold, Only: onlyFold,
		Help: "Records read and not yet applied.",
	})
	FoldBehind = define(Metric{
		Name: "wardflow.fold.behind", Unit: "s", Kind: KindGauge, Labels: byFold, Only: onlyFold,
		Help: "How long the oldest record that was read and not yet applied has been on Kafka; 0 with none.",
	})
	FoldBlocked = define(Metric{
		Name: "wardflow.fold.blocked", Unit: "s", Kind: KindGauge, Labels: byFold, Only: onlyFold,
		Help: "How long the fold has been waiting for an upstream fold, in the partition that waits longest.",
	})
	FoldArrival = define(Metric{
		Name: "wardflow.fold.freshness", Unit: "s", Kind: KindHistogram, Bounds: ages, Labels: byFold, Only: onlyFold,
		Help: "Age of what a transaction applied last, since its arrival at the broker, when the transaction is committed.",
	})
	FoldEvent = define(Metric{
		Name: "wardflow.fold.freshness.event", Unit: "s", Kind: KindHistogram, Bounds: ages, Labels: byFold, Only: "where a fold runs on live traffic",
		Help: "How far the sensors' clocks lie behind now in what a transaction applied last, when it is committed; live traffic only.",
	})
	FoldWatermark = define(Metric{
		Name: "wardflow.fold.watermark.age", Unit: "s", Kind: KindGauge, Labels: []*Key{ByFold, BySite}, Only: "where a fold runs on live traffic",
		Help: "How far the watermark of the site lies behind now, in the partition where it lies farthest.",
	})
	FoldSensors = define(Metric{
		Name: "wardflow.fold.sensors", Unit: "{sensor}", Kind: KindGauge, Labels: []*Key{ByFold, BySite, ByState}, Only: "where a fold runs on live traffic",
		Help: "Sensors of the site by state: up; away, which is no heartbeat for 10 s; suspect, which is a clock more than 60 s off the broker's. One that has been away for 15 minutes is not counted any more.",
	})
	FoldEntries = define(Metric{
		Name: "wardflow.fold.state.decoded", Unit: "{entry}", Kind: KindUpDown, Labels: byFold, Only: onlyFold,
		Help: "Entries of state that are decoded in memory.",
	})
	FoldKeys = define(Metric{
		Name: "wardflow.fold.state.entries", Unit: "{entry}", Kind: KindUpDown, Labels: byFold, Only: onlyFold,
		Help: "Entries of state, those deleted since the partition was opened included.",
	})
	FoldCache = define(Metric{
		Name: "wardflow.fold.state.cache", Unit: "By", Kind: KindUpDown, Labels: byFold, Only: onlyFold,
		Help: "Bytes of encoded state in memory (fold.cache_bytes is its bound).",
	})
	FoldDisk = define(Metric{
		Name: "wardflow.fold.state.disk", Unit: "By", Kind: KindUpDown, Labels: byFold, Only: onlyFold,
		Help: "Bytes of state on the local disk.",
	})
)
