package hl7

// quantity is what an OBX, a PRT or a DEV says about its device.
type quantity uint8

const (
	none quantity = iota

	// What a device is.
	manufacturer
	model
	product
	serial
	part
	hardware
	software
	firmware
	deviceUID
	udi
	lot
	manufactured
	drugLibrary
	drugLibraryVersion
	wirelessMAC
	wirelessIP

	// What state it is in.
	pumpMode
	pumpStatus
	pumpRate
	currentRate
	deliveryStatus
	stopReason
	power
	battery
	event
	condition

	// The facets of an alarm (IHE PCD-04).
	alarmEvent
	alarmPhase
	alarmState
	alarmInactivation
	alarmPriority
	alarmType
)

// quantities are the observation identifiers of ISO/IEEE 11073-10101 and of the IHE
// PCD Technical Framework whose value is looked at, by code and by reference id.
// Codes that do not mean one thing only (0 is for what has none yet) are not here.
var quantities = map[string]quantity{
	"531969": model, "MDC_ID_MODEL_NUMBER": model, "67880": model, "MDC_ATTR_ID_MODEL": model,
	"531970": manufacturer, "MDC_ID_MODEL_MANUFACTURER": manufacturer,
	"531972": serial, "MDC_ID_PROD_SPEC_SERIAL": serial,
	"531973": part, "MDC_ID_PROD_SPEC_PART": part,
	"531974": hardware, "MDC_ID_PROD_SPEC_HW": hardware,
	"531975": software, "MDC_ID_PROD_SPEC_SW": software,
	"531976": firmware, "MDC_ID_PROD_SPEC_FW": firmware,
	"67972": deviceUID, "MDC_ATTR_SYS_ID": deviceUID,
	"184520": drugLibrary, "MDC_PUMP_DRUG_LIBRARY_NAME": drugLibrary,
	"184517": drugLibraryVersion, "MDC_PUMP_DRUG_LIBRARY_VERSION": drugLibraryVersion,
	"69416": wirelessMAC, "MDC_NCC_WIRELESS_MAC": wirelessMAC,
	"69410": wirelessIP, "MDC_NCC_WIRELESS_DEVICE_IPV4_ADDR": wirelessIP,

	"184504": pumpMode, "MDC_PUMP_MODE": pumpMode,
	"158008": pumpMode, "MDC_PUMP_PROGRAM_DELIVERY_MODE": pumpMode, "MDC_DEV_PUMP_PROGRAM_DELIVERY_MODE": pumpMode,
	"184508": pumpStatus, "MDC_PUMP_STAT": pumpStatus, "184519": pumpStatus, "MDC_PUMP_INFUSING_STATUS": pumpStatus,
	"157784": pumpRate, "MDC_FLOW_FLUID_PUMP": pumpRate,
	"158014": currentRate, "MDC_FLOW_FLUID_PUMP_CURRENT": currentRate,
	"158005": deliveryStatus, "MDC_PUMP_CURRENT_DELIVERY_STATUS": deliveryStatus, "MDC_DEV_PUMP_CURRENT_DELIVERY_STATUS": deliveryStatus,
	"158006": stopReason, "MDC_PUMP_NOT_DELIVERING_REASON": stopReason, "MDC_DEV_PUMP_NOT_DELIVERING_REASON": stopReason,
	"67925": power, "MDC_ATTR_POWER_STAT": power,
	"67996": battery, "MDC_ATTR_VAL_BATT_CHARGE": battery,
	"68487": event, "MDC_ATTR_EVT_COND": event,
	"68012": condition, "MDC_ATTR_AL_COND": condition,

	"196616": alarmEvent, "MDC_EVT_ALARM": alarmEvent, "MDC_EVT_ADVISORY": alarmEvent, "MDC_EVT_ACTIVE": alarmEvent,
	"68481": alarmPhase, "68165": alarmPhase, "MDC_ATTR_EVENT_PHASE": alarmPhase,
	"68482": alarmState, "68166": alarmState, "MDC_ATTR_ALARM_STATE": alarmState, "MDC_ATTR_ALERT_STATE": alarmState,
	"68483": alarmInactivation, "68167": alarmInactivation, "MDC_ATTR_ALARM_INACTIVATION_STATE": alarmInactivation,
	"MDC_ATTR_ALERT_INACTIVATION_STATE": alarmInactivation,
	"68484":                             alarmPriority, "MDC_ATTR_ALARM_PRIORITY": alarmPriority,
	"68485": alarmType, "MDC_ATTR_ALERT_TYPE": alarmType,
}

// attributes are the names of what is said of equipment. The rates are told by
// "delivering" alone.
var attributes = [...]string{
	manufacturer:       "manufacturer",
	model:              "model",
	product:            "product",
	serial:             "serial",
	part:               "part_number",
	hardware:           "hardware_version",
	software:           "software_version",
	firmware:           "firmware_version",
	deviceUID:          "device_uid",
	udi:                "udi",
	lot:                "lot",
	manufactured:       "manufactured",
	drugLibrary:        "drug_library",
	drugLibraryVersion: "drug_library_version",
	wirelessMAC:        "mac",
	wirelessIP:         "ip",
	pumpMode:           "mode",
	pumpStatus:         "state",
	pumpRate:           "",
	currentRate:        "",
	deliveryStatus:     "delivery_status",
	stopReason:         "stop_reason",
	power:              "power",
	battery:            "battery_percent",
	event:              "event",
	condition:          "alarm",
}

// The words of coded values after their prefix (IHE PCD Technical Framework volume
// 3 and the infusion pump terms). Others are "other": a state is a word of these
// lists or nothing at all.
var (
	statusWords = words("infusing not-infusing standby ready paused stopped off delayed priming kvo idle complete completed dose-in-progress " +
		"dose-request not-delivering alarm alarming interrupted bolus antibolus expel power-off transition")
	modeWords = words("nominal secondary continuous intermittent bolus loading loading-dose clinician dose-rate drug-dosing multi-dose multi-channel " +
		"multi-step pca pca-bolus pca-continuous pca-loading-dose pca-patient ramp-taper ramp titrated titration piggyback basal tpn clinician-dose epidural kvo")
	deliveryWords = words("delivering not-delivering transitioning kvo delayed")
	stopWords     = words("alarming by-clinician user not-specified switching-source powered-off vtbi-met vtbi-complete delay callback standby " +
		"dose-complete door-open occlusion")
	phaseWords = words("tpoint start continue end present update escalate de-escalate reset")
	stateWords = words("off inactive active latched")
	quietWords = words("enabled audio-paused audio-off alarm-paused alarm-off alert-acknowledged acknowledged")
)

// coded are the prefixes of such values and their words, by quantity.
var coded = map[quantity][]vocabulary{
	pumpMode:       {{"pump-mode-", modeWords}, {"pump-program-delivery-mode-", modeWords}},
	pumpStatus:     {{"pump-status-", statusWords}},
	deliveryStatus: {{"pump-delivery-status-", deliveryWords}},
	stopReason:     {{"pump-stopped-", stopWords}},
}

type vocabulary struct {
	prefix string
	words  map[string]bool
}

// programmed are the quantities that somebody sets, of those that are not called a
// setting: only their names leave (IHE PCD Technical Framework, infusion pump terms).
var programmed = words("MDC_FLOW_FLUID_PUMP MDC_VOL_FLUID_TBI MDC_RATE_DOSE MDC_DOSE_DRUG_TBI MDC_TIME_PD_PROG MDC_CONC_DRUG MDC_DOSE_PCA_LIMIT " +
	"MDC_DOSE_PUMP_LIMIT MDC_RATE_PCA_MAX_DOSES_PER_HOUR MDC_TIME_PCA_LOCKOUT MDC_DOSE_PCA_PATIENT MDC_DOSE_CLINICIAN MDC_DOSE_LOADING MDC_VOL_PCA_DOSE_LIMIT")

// technical are the words in the names of events that are about a device and not
// about whom it is connected to.
var technical = words("BATT BATTERY POWER MAINS PUMP LEAD LEADS SENSOR PROBE TRANSDUCER CABLE DISCONN DISCONNECT DISCONNECTED COMM COMMUNICATION NETWORK " +
	"MALF MALFUNC MALFUNCTION FAULT FAIL FAILURE ERR ERROR OCCL OCCLUSION OCCLUDED AIR DOOR EMPTY CASSETTE CASS SYRINGE TUBE TUBING LINE SELFTEST TEST CALIB " +
	"CALIBRATION DEV DEVICE MODULE MEMORY CLOCK TIME FLUID VOL DELIV INFUS FLOW BARREL PLUNGER DROP SERVICE MAINTENANCE STANDBY WATCHDOG KEY DISPLAY SPEAKER " +
	"PRINTER PAPER LEAK FILTER CHECK INOP UNPLUGGED HARDWARE SOFTWARE CONFIG LIBRARY")
