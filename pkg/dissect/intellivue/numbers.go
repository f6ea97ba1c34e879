package intellivue

// Session messages (association control).
const (
	spduFinish     = 0x09
	spduDisconnect = 0x0a
	spduRefuse     = 0x0c
	spduConnect    = 0x0d
	spduAccept     = 0x0e
	spduAbort      = 0x19
)

// associations are their kinds, as facts have them.
var associations = map[byte]string{
	spduConnect:    "associate_rq",
	spduAccept:     "associate_ac",
	spduRefuse:     "associate_rj",
	spduFinish:     "release_rq",
	spduDisconnect: "release_rp",
	spduAbort:      "abort",
}

// Remote operations and commands.
const (
	opInvoke = 1
	opResult = 2
	opError  = 3
	opLinked = 5

	cmdEvent          = 0
	cmdConfirmedEvent = 1
	cmdGet            = 3
	cmdSet            = 4
	cmdConfirmedSet   = 5
	cmdAction         = 7

	eventConnect = 0x0d17
	eventMDS     = 0x0d06

	actionPoll         = 0x0c16
	actionPollExtended = 0xf13b
)

// Object classes.
const (
	classMDS          = 0x21
	classNumeric      = 0x06
	classWave         = 0x09
	classEnumeration  = 0x05
	classDemographics = 0x2a
	classAlert        = 0x36
)

// polled are the words for what is exported.
var polled = map[uint16]string{
	classMDS:          "system",
	classNumeric:      "numerics",
	classWave:         "waves",
	classEnumeration:  "enumerations",
	classDemographics: "demographics",
	classAlert:        "alerts",
}

// Attributes.
const (
	attrBedLabel     = 0x091e
	attrModel        = 0x0928
	attrProduct      = 0x092d
	attrLocalization = 0x0937
	attrMode         = 0x0946
	attrCompound     = 0x094b
	attrNumeric      = 0x0950
	attrSystemID     = 0x0984
	attrSystemType   = 0x0986
	attrStatus       = 0x09a7
	attrAddress      = 0xf100
	attrProtocols    = 0xf101
)

// modes are the bits of the operating mode, the one that says most first.
var modes = []struct {
	bit  uint16
	name string
}{{0x1000, "service"}, {0x2000, "demo"}, {0x0001, "configuration"}, {0x0002, "standby"}, {0x4000, "monitoring"}}

var statuses = map[uint16]string{
	0: "disconnected",
	1: "unassociated",
	6: "operating",
}

// starts are the modes in which a client starts up.
var starts = map[uint32]string{
	0x80000000: "hot",
	0x40000000: "warm",
	0x20000000: "cold",
}

// systemTypes are reference ids of ISO/IEEE 11073-10101 for whole devices.
var systemTypes = map[uint16]string{
	4113: "MDC_DEV_ANALY_CONC_GAS_MULTI_PARAM_MDS",
	4429: "MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS",
	4449: "MDC_DEV_PUMP_INFUS_MDS",
	4465: "MDC_DEV_SYS_PT_VENT_MDS",
	4493: "MDC_DEV_SYS_MULTI_MODAL_MDS",
	5209: "MDC_DEV_SYS_VS_CONFIG_MDS",
	5213: "MDC_DEV_SYS_VS_UNCONFIG_MDS",
}

var languages = map[uint16]string{
	1: "en",
	2: "de",
	3: "fr",
	4: "it",
	5: "es",
	6: "nl",
	7: "sv",
	8: "fi",
	9: "no",
}

// specifications are the attributes for the types of a product's specifications.
var specifications = [...]string{1: "serial", 2: "part_number", 3: "hardware_version", 4: "software_version", 5: "firmware_version", 6: "protocol_version"}

// componentProduct is the device as a whole among its components.
const componentProduct = 8

// labelWords are the words that a bed's label may be made of, besides those of three
// letters.
var labelWords = map[string]bool{
	"BED": true, "BETT": true, "ROOM": true, "WARD": true, "STATION": true, "ZIMMER": true, "MONITOR": true, "LETTO": true, "CAMA": true, "BOX": true, "UNIT": true,
	"NICU": true, "PICU": true, "PACU": true, "MICU": true, "SICU": true, "CVICU": true, "CICU": true, "TICU": true, "NSICU": true, "TRAUMA": true, "TRIAGE": true,
	"RECOVERY": true, "RESUS": true, "BAY": true, "PLATZ": true, "INTENSIV": true, "STEPDOWN": true, "SAAL": true, "SALLE": true, "KAMER": true,
}
