package telemetry

// Capture: frames to flows and observations, and the spool behind it.
var (
	CapturePackets = define(Metric{
		Name: "wardflow.capture.packets", Unit: "{packet}", Kind: KindCounter, Only: onlyCapture,
		Help: "Packets taken in, of all interfaces or files.",
	})
	CaptureBytes = define(Metric{
		Name: "wardflow.capture.bytes", Unit: "By", Kind: KindCounter, Only: onlyCapture,
		Help: "Bytes of these packets on the wire.",
	})
	CaptureFlows = define(Metric{
		Name: "wardflow.capture.flows", Unit: "{flow}", Kind: KindCounter, Only: onlyCapture,
		Help: "Flows that have begun.",
	})
	CaptureObservations = define(Metric{
		Name: "wardflow.capture.observations", Unit: "{observation}", Kind: KindCounter, Only: onlyCapture,
		Help: "Protocol facts that the dissectors found.",
	})
	CaptureDrops = define(Metric{
		Name: "wardflow.capture.drops", Unit: "{event}", Kind: KindCounter, Labels: []*Key{ByReason}, Only: onlyCapture,
		Help: "Packets, flows and records that came to less than they were, by reason; the kernel's drops are apart.",
	})
	CaptureDissect = define(Metric{
		Name: "wardflow.capture.dissect", Unit: "{event}", Kind: KindCounter, Labels: []*Key{ByReason}, Only: onlyCapture,
		Help: "What the dissectors counted, by reason.",
	})
	CaptureInterfacePackets = define(Metric{
		Name: "wardflow.capture.interface.packets", Unit: "{packet}", Kind: KindCounter, Labels: []*Key{ByInterface}, Only: onlyLive,
		Help: "Packets that the kernel put into the ring of the interface.",
	})
	CaptureKernelDrops = define(Metric{
		Name: "wardflow.capture.kernel.drops", Unit: "{packet}", Kind: KindCounter, Labels: []*Key{ByInterface}, Only: onlyLive,
		Help: "Packets that found the ring of the interface full: the one place where traffic is lost unseen.",
	})
	CaptureInterfaceUp = define(Metric{
		Name: "wardflow.capture.interface.up", Unit: "{boolean}", Kind: KindGauge, Labels: []*Key{ByInterface}, Only: onlyLive,
		Help: "1 while the interface is up and read.",
	})

	SpoolAppended = define(Metric{
		Name: "wardflow.spool.appended", Unit: "{record}", Kind: KindCounter, Only: onlyLive,
		Help: "Records written to the spool because Kafka did not take them.",
	})
	SpoolDrained = define(Metric{
		Name: "wardflow.spool.drained", Unit: "{record}", Kind: KindCounter, Only: onlyLive,
		Help: "Records of the spool that Kafka has acknowledged.",
	})
	SpoolDrops = define(Metric{
		Name: "wardflow.spool.drops", Unit: "{record}", Kind: KindCounter, Labels: []*Key{ByReason}, Only: onlyLive,
		Help: "Records that were lost at the spool, by reason; bound is the oldest going because the spool is full.",
	})
	SpoolErrors = define(Metric{
		Name: "wardflow.spool.errors", Unit: "{error}", Kind: KindCounter, Labels: []*Key{ByOperation}, Only: onlyLive,
		Help: "Attempts on the spool's files that failed without a record being lost.",
	})
	SpoolPending = define(Metric{
		Name: "wardflow.spool.pending", Unit: "{record}", Kind: KindGauge, Only: onlyLive,
		Help: "Records that wait in the spool.",
	})
	SpoolSize = define(Metric{
		Name: "wardflow.spool.size", Unit: "By", Kind: KindGauge, Only: onlyLive,
		Help: "Bytes of the spool's files.",
	})
	SpoolLimit = define(Metric{
		Name: "wardflow.spool.limit", Unit: "By", Kind: KindGauge, Only: onlyLive,
		Help: "Bytes that the spool may take; at this size the oldest records go.",
	})
	SpoolAge = define(Metric{
		Name: "wardflow.spool.age", Unit: "s", Kind: KindGauge, Only: onlyLive,
		Help: "Age of the oldest record that waits in the spool.",
	})

	CanarySent = define(Metric{
		Name: "wardflow.canary.sent", Unit: "{flow}", Kind: KindCounter, Only: onlyCanary,
		Help: "Canary flows sent.",
	})
	CanarySeen = define(Metric{
		Name: "wardflow.canary.seen", Unit: "{flow}", Kind: KindCounter, Only: onlyCanary,
		Help: "Canary flows that have become a row in ClickHouse.",
	})
	CanaryLost = define(Metric{
		Name: "wardflow.canary.lost", Unit: "{flow}", Kind: KindCounter, Only: onlyCanary,
		Help: "Canary flows that were not visible within telemetry.canary.lost_after.",
	})
	CanaryFreshness = define(Metric{
		Name: "wardflow.canary.freshness", Unit: "s", Kind: KindHistogram, Bounds: ages, Only: onlyCanary,
		Help: "From sending a canary flow to its row being visible in ClickHouse.",
	})
	CanaryLast = define(Metric{
		Name: "wardflow.canary.last", Unit: "s", Kind: KindGauge, Only: onlyCanary,
		Help: "How late the data in ClickHouse is now: what the last canary flow took, or, where that is more, how long the oldest one has been missing.",
	})
	CanaryFold = define(Metric{
		Name: "wardflow.canary.fold", Unit: "s", Kind: KindGauge, Labels: []*Key{ByGroup}, Only: onlyCanary,
		Help: "From sending the last canary flow to the group's having committed it, or, where that is more, how long the oldest one has been waiting.",
	})
)
