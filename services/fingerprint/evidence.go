package fingerprint

import (
	"slices"
	"sync"
)

// listed is the evidence that notes put together, beside what readings name.
var listed = []string{
	"ae_title", "behaviour", "dicom_service", "hl7_role", "mdns_service", "upnp_device", "lldp_capability", "ssh_software", "clinical_role", "wsd_type",
	"bacnet_role", "profinet_role", "cdp_capability", "netbios_role", "directory_level", "opcua_application", "module", "server_software",
	attrServer, attrClient, "oui_vendor", "management_ip", "port_mac",
}

// EvidenceAttributes lists, sorted, the attributes of evidence that rules can match.
var EvidenceAttributes = sync.OnceValue(func() []string {
	all := append(slices.Clone(factNames), listed...)
	for _, list := range allReadings {
		for _, r := range list {
			all = append(all, r.evidence)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
})

func isEvidence(attribute string) bool {
	_, found := slices.BinarySearch(EvidenceAttributes(), attribute)
	return found
}
