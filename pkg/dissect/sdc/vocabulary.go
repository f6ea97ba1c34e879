package sdc

import "github.com/wardflow/wardflow/pkg/dissect/xmlscan"

// The elements that are read.
const (
	envelope xmlscan.Name = iota + 1
	body
	fault
	// DPWS
	metadata
	thisModel
	thisDevice
	host
	hosted
	manufacturer
	modelName
	modelNumber
	firmware
	serial
	types
	reference
	address
	// WS-Eventing
	subscribe
	filter
	subscriptionEnd
	computer
	// BICEPS, participant model
	mds
	metaData
	udi
	deviceID
	typeOf
	production
	specType
	spec
	state
	battery
	locationDetail
	metricValue
	metricQuality
	// BICEPS, messages
	message
	report
	operation
	operationResponse
	invoked
	invocationInfo
	invocationState
)

// The namespaces. Types of those from named on have a usual prefix.
const (
	soap xmlscan.Space = iota + 1
	addressing
	mex
	eventing
	participant
	messages
	xsi
	named
	medical
	services
	published
)

// prefixes are the usual ones of the namespaces from named on.
var prefixes = []string{"dpws", "mdpws", "sdc", "pub", "wprt", "wscn"}

// What a message asks for or tells, by the name of its element.
var (
	requests = list(`GetMdib GetMdDescription GetMdState GetContextStates GetContextStatesByIdentification GetContextStatesByFilter GetLocalizedText GetSupportedLanguages
		GetContainmentTree GetDescriptor GetMdibHistory`)
	responses  = list("GetMdibResponse GetMdDescriptionResponse GetMdStateResponse GetContextStatesResponse")
	operations = map[string]string{
		"SetValue":          "set_value",
		"SetString":         "set_string",
		"SetAlertState":     "set_alert_state",
		"SetMetricState":    "set_metric_state",
		"SetComponentState": "set_component_state",
		"SetContextState":   "set_context_state",
		"Activate":          "activate",
	}
	reports = list(`EpisodicMetricReport PeriodicMetricReport EpisodicAlertReport PeriodicAlertReport EpisodicComponentReport PeriodicComponentReport EpisodicContextReport
		PeriodicContextReport EpisodicOperationalStateReport PeriodicOperationalStateReport OperationInvokedReport SystemErrorReport DescriptionModificationReport WaveformStream
		ObservedValueStream`)
)

var vocabulary = &xmlscan.Vocabulary{
	Names: names(),
	Spaces: map[string]xmlscan.Space{
		"http://www.w3.org/2003/05/soap-envelope":                                soap,
		"http://schemas.xmlsoap.org/soap/envelope/":                              soap,
		"http://www.w3.org/2005/08/addressing":                                   addressing,
		"http://schemas.xmlsoap.org/ws/2004/08/addressing":                       addressing,
		"http://schemas.xmlsoap.org/ws/2004/09/mex":                              mex,
		"http://schemas.xmlsoap.org/ws/2004/08/eventing":                         eventing,
		"http://standards.ieee.org/downloads/11073/11073-10207-2017/participant": participant,
		"http://standards.ieee.org/downloads/11073/11073-10207-2017/message":     messages,
		"http://www.w3.org/2001/XMLSchema-instance":                              xsi,
		"http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01":                       named,
		"http://schemas.xmlsoap.org/ws/2006/02/devprof":                          named,
		"http://standards.ieee.org/downloads/11073/11073-20702-2016":             medical,
		"http://standards.ieee.org/downloads/11073/11073-20701-2018":             services,
		"http://schemas.microsoft.com/windows/pub/2005/07":                       published,
		"http://schemas.microsoft.com/windows/2006/08/wdp/print":                 published + 1,
		"http://schemas.microsoft.com/windows/2006/08/wdp/scan":                  published + 2,
	},
}

func names() map[string]xmlscan.Name {
	m := map[string]xmlscan.Name{
		"Envelope": envelope, "Body": body, "Fault": fault,
		"Metadata": metadata, "ThisModel": thisModel, "ThisDevice": thisDevice, "Host": host, "Hosted": hosted,
		"Manufacturer": manufacturer, "ModelName": modelName, "ModelNumber": modelNumber, "FirmwareVersion": firmware, "SerialNumber": serial,
		"Types": types, "EndpointReference": reference, "Address": address, "Subscribe": subscribe, "Filter": filter, "SubscriptionEnd": subscriptionEnd,
		"Computer": computer, "Mds": mds, "MetaData": metaData, "Udi": udi, "DeviceIdentifier": deviceID, "Type": typeOf,
		"ProductionSpecification": production, "SpecType": specType, "ProductionSpec": spec,
		"State": state, "ContextState": state, "ComponentState": state, "ProposedContextState": state, "ProposedComponentState": state,
		"Battery": battery, "LocationDetail": locationDetail, "MetricValue": metricValue, "MetricQuality": metricQuality,
		"InvocationInfo": invocationInfo, "InvocationState": invocationState,
	}
	for w := range requests {
		m[w] = message
	}
	for w := range responses {
		m[w] = message
	}
	for w := range operations {
		m[w], m[w+"Response"] = operation, operationResponse
	}
	for w := range reports {
		m[w] = report
	}
	m["OperationInvokedReport"] = invoked
	return m
}

// The values of attributes of states (IEEE 11073-10207), and of an operation's
// progress.
var (
	activations = map[string]string{
		"On":     "on",
		"NotRdy": "not_ready",
		"StndBy": "standby",
		"Off":    "off",
		"Shtdn":  "shutdown",
		"Fail":   "failure",
	}
	modes = map[string]string{
		"Nml":  "normal",
		"Demo": "demo",
		"Srv":  "service",
		"Mtn":  "maintenance",
	}
	charges = map[string]string{
		"Ful":    "full",
		"ChB":    "charging",
		"DisChB": "discharging",
		"DEB":    "empty",
	}
	associations = map[string]string{
		"No":    "none",
		"Pre":   "pre_associated",
		"Assoc": "associated",
		"Dis":   "disassociated",
	}
	outcomes = map[string]string{
		"Wait":      "waiting",
		"Start":     "started",
		"Cnclld":    "cancelled",
		"CnclldMan": "cancelled_manually",
		"Fin":       "finished",
		"FinMod":    "finished_modified",
		"Fail":      "failed",
	}
	// The production specifications that are read, by code of ISO/IEEE 11073-10101.
	specifications = map[string]string{
		"531972": "serial",
		"531974": "hardware_version",
		"531975": "software_version",
		"531976": "firmware_version",
	}
)

// lookup is a word of a list, "other" for any other, "" for none.
func lookup(m map[string]string, v []byte) string {
	switch w := m[string(v)]; {
	case len(v) == 0:
		return ""
	case w != "":
		return w
	}
	return "other"
}
