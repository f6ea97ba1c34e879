package telemetry

var byTable = []*Key{ByTable}

// The sink, and ClickHouse behind it.
var (
	SinkRecords = define(Metric{
		Name: "wardflow.sink.records", Unit: "{record}", Kind: KindCounter, Only: onlySink,
		Help: "Records read from Kafka.",
	})
	SinkRows = define(Metric{
		Name: "wardflow.sink.rows", Unit: "{row}", Kind: KindCounter, Only: onlySink,
		Help: "Rows stored, or found stored.",
	})
	SinkInserts = define(Metric{
		Name: "wardflow.sink.inserts", Unit: "{insert}", Kind: KindCounter, Only: onlySink,
		Help: "Inserts that ClickHouse has acknowledged.",
	})
	SinkCommits = define(Metric{
		Name: "wardflow.sink.commits", Unit: "{commit}", Kind: KindCounter, Only: onlySink,
		Help: "Commits of offsets and plans.",
	})
	SinkDrops = define(Metric{
		Name: "wardflow.sink.drops", Unit: "{event}", Kind: KindCounter, Labels: []*Key{ByReason}, Only: onlySink,
		Help: "What made no row: repeated (its number was known), dead (it could not be used, and is a dead letter), missing (records of traffic that retention took before they were stored).",
	})
	SinkErrors = define(Metric{
		Name: "wardflow.sink.errors", Unit: "{error}", Kind: KindCounter, Labels: []*Key{ByOperation}, Only: onlySink,
		Help: "Attempts that failed and are repeated: poll (read from Kafka), commit (write to Kafka), store (ClickHouse).",
	})
	SinkVerified = define(Metric{
		Name: "wardflow.sink.verified", Unit: "{insert}", Kind: KindCounter, Only: onlySink,
		Help: "Times that rows were counted because it was not clear whether they had been stored.",
	})
	SinkLostParts = define(Metric{
		Name: "wardflow.sink.lost.parts", Unit: "{insert}", Kind: KindCounter, Only: onlySink,
		Help: "Blocks that ClickHouse acknowledged and lost; they were inserted again.",
	})
	SinkInsert = define(Metric{
		Name: "wardflow.sink.insert", Unit: "s", Kind: KindHistogram, Bounds: durations, Labels: byTable, Only: onlySink,
		Help: "Duration of an insert, as far as ClickHouse answered.",
	})
	SinkBatch = define(Metric{
		Name: "wardflow.sink.batch", Unit: "{row}", Kind: KindHistogram, Bounds: sizes, Labels: byTable, Only: onlySink,
		Help: "Rows of an insert.",
	})
	SinkFreshness = define(Metric{
		Name: "wardflow.sink.freshness", Unit: "s", Kind: KindHistogram, Bounds: ages, Labels: []*Key{ByTopic}, Only: onlySink,
		Help: "Age of the oldest record of a batch, since its arrival at the broker, when the rows of the batch are visible.",
	})
	SinkEvent = define(Metric{
		Name: "wardflow.sink.freshness.event", Unit: "s", Kind: KindHistogram, Bounds: ages, Only: "where the sink stores live traffic",
		Help: "How far the sensors' clocks in a batch of traffic lie behind now, when the rows of the batch are visible; live traffic only.",
	})
	SinkBehind = define(Metric{
		Name: "wardflow.sink.behind", Unit: "s", Kind: KindGauge, Only: onlySink,
		Help: "How long the oldest record that was read and is not yet stored has been on Kafka; 0 with none.",
	})
	SinkWaiting = define(Metric{
		Name: "wardflow.sink.waiting", Unit: "{row}", Kind: KindUpDown, Only: onlySink,
		Help: "Rows that are built and not yet stored.",
	})

	StoreReachable = define(Metric{
		Name: "wardflow.clickhouse.reachable", Unit: "{boolean}", Kind: KindGauge, Only: onlyStore,
		Help: "1 when ClickHouse answered the last time it was asked, which is every 30 s.",
	})
	StoreRows = define(Metric{
		Name: "wardflow.clickhouse.rows", Unit: "{row}", Kind: KindGauge, Labels: byTable, Only: onlyStore,
		Help: "Rows of a table, on the server that is asked.",
	})
	StoreDisk = define(Metric{
		Name: "wardflow.clickhouse.disk", Unit: "By", Kind: KindGauge, Labels: byTable, Only: onlyStore,
		Help: "Compressed bytes of a table on disk, on the server that is asked.",
	})
	StoreParts = define(Metric{
		Name: "wardflow.clickhouse.parts", Unit: "{part}", Kind: KindGauge, Labels: byTable, Only: onlyStore,
		Help: "Active parts of a table, on the server that is asked.",
	})
	StoreFree = define(Metric{
		Name: "wardflow.clickhouse.disk.free", Unit: "By", Kind: KindGauge, Only: onlyStore,
		Help: "Bytes that the fullest of ClickHouse's disks has left.",
	})
	StoreSize = define(Metric{
		Name: "wardflow.clickhouse.disk.size", Unit: "By", Kind: KindGauge, Only: onlyStore,
		Help: "Bytes of that disk.",
	})
)
