package dissect

import (
	"github.com/wardflow/wardflow/pkg/dissect/arp"
	"github.com/wardflow/wardflow/pkg/dissect/dhcp"
	"github.com/wardflow/wardflow/pkg/dissect/dicom"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dns"
	"github.com/wardflow/wardflow/pkg/dissect/hl7"
	"github.com/wardflow/wardflow/pkg/dissect/http"
	"github.com/wardflow/wardflow/pkg/dissect/lldp"
	"github.com/wardflow/wardflow/pkg/dissect/smb"
	"github.com/wardflow/wardflow/pkg/dissect/ssdp"
	"github.com/wardflow/wardflow/pkg/dissect/ssh"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

// protocols is the list of protocols. Where the content of two is alike, the
// first wins (mDNS and LLMNR are DNS on their own ports).
var protocols = []*dissector.Protocol{
	&arp.Protocol,
	&lldp.Protocol,
	&dhcp.Protocol,
	&hl7.Protocol,
	&dicom.Protocol,
	&tls.Protocol,
	&http.Protocol,
	&ssh.Protocol,
	&smb.Protocol,
	&ssdp.Protocol,
	&dns.MDNS,
	&dns.LLMNR,
	&dns.Protocol,
}
