package anomaly

import (
	"time"

	"github.com/wardflow/wardflow/proto"
)

// rule is what is fixed of a kind of detection.
type rule struct {
	id     byte // in state keys; never changes
	name   string
	attack []string // ATT&CK v18.1 technique ids that hold for every detection of the rule
	rests  time.Duration
	why    string // what it means, for the alert
}

// The rules. A new one is a new line here and its detector.
var (
	newPeer = &rule{
		id: 1, name: "new_peer", rests: 24 * time.Hour,
		why: "The device opened a conversation with an inside host that it did not talk to while it was being learned.",
	}
	newExternalPeer = &rule{
		id: 2, name: "new_external_peer", rests: 24 * time.Hour,
		why: "The device opened a conversation with an outside network that it did not talk to while it was being learned.",
	}
	portScan = &rule{
		id: 3, name: "port_scan", attack: []string{"T1046"}, rests: time.Hour,
		why: "The device tried many ports of a host that did not answer on them.",
	}
	deviceSilent = &rule{
		id: 4, name: "device_silent", attack: []string{"T0826"}, rests: 7 * 24 * time.Hour,
		why: "The device has stopped talking at a time of day at which it always talked, for longer than it was ever quiet.",
	}
)

var rules = []*rule{newPeer, newExternalPeer, portScan, deviceSilent}

// detectors look at each flow of an endpoint that acts in it, in this order.
var detectors = []func(*call, *proto.Flow){(*call).scan, (*call).peer}

// remote are the protocols by which one host works on another: ATT&CK's lateral
// movement when they go to a host that is new.
var remote = map[string]string{
	"ssh": "T1021.004", "rdp": "T1021.001", "vnc": "T1021.005", "smb": "T1021.002", "telnet": "T1021", "ftp": "T1021", "rpc": "T1021",
}

// infrastructure are the protocols that any host may speak to any other inside
// without meaning anything: a name server that moves is no news about each of
// its thousand clients.
var infrastructure = map[string]bool{
	"dns": true, "mdns": true, "llmnr": true, "netbios": true, "dhcp": true, "dhcpv6": true, "ntp": true, "ssdp": true,
	"ws_discovery": true, "arp": true, "ndp": true, "lldp": true, "cdp": true, "igmp": true,
}

// steers are the protocols that steer equipment, or carry its results: a host
// that is new to one is news whatever kind of device it is.
var steers = map[string]bool{
	"modbus": true, "bacnet": true, "s7comm": true, "enip": true, "dnp3": true, "opcua": true, "knx": true,
	"hl7": true, "dicom": true, "poct1a": true, "astm": true, "intellivue": true, "carescape": true, "sdc": true,
}

// acronyms are the device types that are spelt in capitals.
var acronyms = map[string]bool{"ct": true, "mri": true, "pacs": true, "ris": true, "ecg": true, "plc": true, "hmi": true, "ups": true}

// encrypted are the protocols whose payload nobody on the way can read.
var encrypted = map[string]bool{"tls": true, "quic": true, "ssh": true}

// The defaults of the policy.
const (
	defaultLearning  = 7 * 24 * time.Hour
	defaultSilence   = 15 * time.Minute
	defaultScanPorts = 20
)

var severityRank = map[string]int{
	proto.SeverityInfo: 1, proto.SeverityLow: 2, proto.SeverityMedium: 3, proto.SeverityHigh: 4, proto.SeverityCritical: 5,
}
