package telemetry

// What the program tells of itself. The metrics named go. and process. are those of
// OpenTelemetry's semantic conventions 1.43 for the Go runtime and for processes.
var (
	BuildInfo = define(Metric{
		Name: "wardflow.build.info", Unit: "{build}", Kind: KindGauge, Labels: []*Key{ByVersion, ByGo},
		Help: "Always 1: the version of Wardflow and of Go that it was built with.",
	})
	Misused = define(Metric{
		Name: "wardflow.telemetry.rejected", Unit: "{value}", Kind: KindCounter,
		Help: "Values that the list of metrics does not allow: a mistake in the code.",
	})
	UnitReady = define(Metric{
		Name: "wardflow.unit.ready", Unit: "{boolean}", Kind: KindGauge, Labels: []*Key{ByUnit},
		Help: "1 while the part of the process can be used, 0 while it cannot; /readyz says why.",
	})
	UnitRestarts = define(Metric{
		Name: "wardflow.unit.restarts", Unit: "{restart}", Kind: KindCounter, Labels: []*Key{ByUnit},
		Help: "Times that the part of the process failed and was run again.",
	})
	DiskFree = define(Metric{
		Name: "wardflow.disk.free", Unit: "By", Kind: KindGauge,
		Help: "Bytes that the file system of the data folder has left for us.",
	})
	DiskSize = define(Metric{
		Name: "wardflow.disk.size", Unit: "By", Kind: KindGauge,
		Help: "Bytes of the file system of the data folder.",
	})

	GoMemoryUsed = define(Metric{
		Name: "go.memory.used", Unit: "By", Kind: KindUpDown, Labels: []*Key{ByMemoryType},
		Help: "Memory used by the Go runtime.",
	})
	GoMemoryLimit = define(Metric{
		Name: "go.memory.limit", Unit: "By", Kind: KindUpDown,
		Help: "Go runtime memory limit configured by the user, if a limit exists.",
	})
	GoMemoryAllocated = define(Metric{
		Name: "go.memory.allocated", Unit: "By", Kind: KindCounter,
		Help: "Memory allocated to the heap by the application.",
	})
	GoMemoryAllocations = define(Metric{
		Name: "go.memory.allocations", Unit: "{allocation}", Kind: KindCounter,
		Help: "Count of allocations to the heap by the application.",
	})
	GoMemoryGoal = define(Metric{
		Name: "go.memory.gc.goal", Unit: "By", Kind: KindUpDown,
		Help: "Heap size target for the end of the GC cycle.",
	})
	GoGoroutines = define(Metric{
		Name: "go.goroutine.count", Unit: "{goroutine}", Kind: KindUpDown,
		Help: "Count of live goroutines.",
	})
	GoProcessorLimit = define(Metric{
		Name: "go.processor.limit", Unit: "{thread}", Kind: KindUpDown,
		Help: "The number of OS threads that can execute user-level Go code simultaneously.",
	})
	GoGC = define(Metric{
		Name: "go.config.gogc", Unit: "%", Kind: KindUpDown,
		Help: "Heap size target percentage configured by the user, otherwise 100.",
	})
	ProcessCPU = define(Metric{
		Name: "process.cpu.time", Unit: "s", Kind: KindCounter, Labels: []*Key{ByCPUMode},
		Help: "Total CPU seconds broken down by different CPU modes.",
	})
	ProcessMemory = define(Metric{
		Name: "process.memory.usage", Unit: "By", Kind: KindUpDown,
		Help: "The amount of physical memory in use.",
	})
)

// The embedded engines, where there are any.
var (
	EngineUp = define(Metric{
		Name: "wardflow.engine.up", Unit: "{boolean}", Kind: KindGauge, Labels: []*Key{ByEngine}, Only: onlyEmbedded,
		Help: "1 while the embedded engine answers.",
	})
	EngineRestarts = define(Metric{
		Name: "wardflow.engine.restarts", Unit: "{restart}", Kind: KindCounter, Labels: []*Key{ByEngine}, Only: onlyEmbedded,
		Help: "Times that the embedded engine ended and was started again.",
	})
	EngineMemory = define(Metric{
		Name: "wardflow.engine.memory", Unit: "By", Kind: KindGauge, Labels: []*Key{ByEngine}, Only: onlyEmbedded,
		Help: "Physical memory in use by the embedded engine.",
	})
	EngineCPU = define(Metric{
		Name: "wardflow.engine.cpu", Unit: "s", Kind: KindCounter, Labels: []*Key{ByEngine}, Only: onlyEmbedded,
		Help: "Processor time of the embedded engine since it was last started.",
	})
	EngineDisk = define(Metric{
		Name: "wardflow.engine.disk", Unit: "By", Kind: KindGauge, Labels: []*Key{ByEngine}, Only: onlyEmbedded,
		Help: "Bytes of the embedded engine's folder; looked at every minute.",
	})
)

// What a process must be doing for some metrics to be there.
const (
	onlyEmbedded = "with embedded engines"
	onlyLive     = "on a live sensor"
	onlyCapture  = "where packets are captured or capture files are read"
	onlyFold     = "where a fold runs"
	onlySensors  = "where book is kept of sensors"
	onlyHeard    = "where a live sensor has told its status"
	onlySink     = "where the sink runs"
	onlyStore    = "where the sink runs, or everything in one process"
	onlyKafka    = "once something of the kind has happened on Kafka"
	onlyCanary   = "where the canary flows"
)
