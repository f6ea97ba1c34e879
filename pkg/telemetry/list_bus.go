package telemetry

// Buckets of durations, in seconds. The first are those that the semantic conventions
// recommend for messaging.
var (
	durations = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	ages      = []float64{.1, .25, .5, 1, 2, 3, 5, 7.5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600}
	sizes     = []float64{1, 10, 100, 1000, 5000, 10_000, 25_000, 50_000, 100_000, 250_000}
)

var forMessages = []*Key{BySystem, ByOperationName, ByDestination, ByPartition, ByConsumerGroup, ByErrorType}

// Kafka as its clients see it. The metrics named messaging. are those of
// OpenTelemetry's semantic conventions 1.43 for messaging clients.
var (
	MessagesSent = define(Metric{
		Name: "messaging.client.sent.messages", Unit: "{message}", Kind: KindCounter, Labels: forMessages, Only: onlyKafka,
		Help: "Number of messages producer attempted to send to the broker.",
	})
	MessagesConsumed = define(Metric{
		Name: "messaging.client.consumed.messages", Unit: "{message}", Kind: KindCounter, Labels: forMessages, Only: onlyKafka,
		Help: "Number of messages that were delivered to the application.",
	})
	OperationDuration = define(Metric{
		Name: "messaging.client.operation.duration", Unit: "s", Kind: KindHistogram, Bounds: durations,
		Labels: []*Key{BySystem, ByOperationName, ByOperationType, ByConsumerGroup, ByErrorType}, Only: onlyKafka,
		Help: "Duration of messaging operation initiated by a producer or consumer client.",
	})
	ProcessDuration = define(Metric{
		Name: "messaging.process.duration", Unit: "s", Kind: KindHistogram, Bounds: durations,
		Labels: []*Key{BySystem, ByOperationName, ByDestination, ByConsumerGroup, ByErrorType}, Only: onlyKafka,
		Help: "Duration of processing operation.",
	})
	BusSent = define(Metric{
		Name: "wardflow.bus.sent", Unit: "By", Kind: KindCounter, Labels: []*Key{ByTopic}, Only: onlyKafka,
		Help: "Bytes written to Kafka, compressed, by topic.",
	})
	BusReceived = define(Metric{
		Name: "wardflow.bus.received", Unit: "By", Kind: KindCounter, Labels: []*Key{ByTopic}, Only: onlyKafka,
		Help: "Bytes read from Kafka, compressed, by topic.",
	})
	BusErrors = define(Metric{
		Name: "wardflow.bus.errors", Unit: "{error}", Kind: KindCounter, Labels: []*Key{ByOperation},
		Help: "Attempts on Kafka that failed, most of which are repeated: connect, request, group.",
	})
	BusReachable = define(Metric{
		Name: "wardflow.bus.reachable", Unit: "{boolean}", Kind: KindGauge,
		Help: "1 when Kafka answered the last time it was asked, which is every 15 s.",
	})
	BusLag = define(Metric{
		Name: "wardflow.bus.lag", Unit: "{record}", Kind: KindGauge, Labels: []*Key{ByGroup, ByTopic},
		Help: "Records that the group has not yet committed, over all partitions; markers of transactions count, so a topic that is written in transactions is never at 0.",
	})
	BusOvertaken = define(Metric{
		Name: "wardflow.bus.overtaken", Unit: "{record}", Kind: KindGauge, Labels: []*Key{ByGroup, ByTopic},
		Help: "Records that retention deleted before the group had read them, as far as they are ahead of what it has committed now.",
	})
	BusRetentionUsed = define(Metric{
		Name: "wardflow.bus.retention.used", Unit: "1", Kind: KindGauge, Labels: []*Key{ByGroup, ByTopic},
		Help: "How much of what the topic keeps the group has still to read, 0 to 1, in the worst partition of which something has been deleted; at 1 records are lost.",
	})
)
