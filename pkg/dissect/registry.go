package dissect

import (
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/arp"
	"github.com/wardflow/wardflow/pkg/dissect/cdp"
	"github.com/wardflow/wardflow/pkg/dissect/dhcp"
	"github.com/wardflow/wardflow/pkg/dissect/dhcpv6"
	"github.com/wardflow/wardflow/pkg/dissect/dicom"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dns"
	"github.com/wardflow/wardflow/pkg/dissect/hl7"
	"github.com/wardflow/wardflow/pkg/dissect/http"
	"github.com/wardflow/wardflow/pkg/dissect/lldp"
	"github.com/wardflow/wardflow/pkg/dissect/ndp"
	"github.com/wardflow/wardflow/pkg/dissect/netbios"
	"github.com/wardflow/wardflow/pkg/dissect/ntp"
	"github.com/wardflow/wardflow/pkg/dissect/quic"
	"github.com/wardflow/wardflow/pkg/dissect/smb"
	"github.com/wardflow/wardflow/pkg/dissect/snmp"
	"github.com/wardflow/wardflow/pkg/dissect/ssdp"
	"github.com/wardflow/wardflow/pkg/dissect/ssh"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

// protocols is the list of protocols. Where the content of two is alike, the
// first wins, unless the flow's port is the other's.
var protocols = slices.Concat(link, clinical, building, identity, services)

// link are those of the segment itself, most of them without IP.
var link = []*dissector.Protocol{
	&arp.Protocol,
	&ndp.Protocol,
	&ndp.ICMP,
	&lldp.Protocol,
	&cdp.Protocol,
}

// clinical are those of care: what they say of a device goes before all else.
var clinical = []*dissector.Protocol{
	&hl7.Protocol,
	&dicom.Protocol,
}

// building are those of buildings and of industrial control.
var building = []*dissector.Protocol{}

// identity are those by which devices find each other and say who they are. mDNS
// and LLMNR are DNS on their own ports.
var identity = []*dissector.Protocol{
	&dhcp.Protocol,
	&dhcpv6.Protocol,
	&tls.Protocol,
	&quic.Protocol,
	&http.Protocol,
	&ssh.Protocol,
	&smb.Protocol,
	&ssdp.Protocol,
	&netbios.Protocol,
	&dns.MDNS,
	&dns.LLMNR,
	&dns.Protocol,
}

// services are the other applications of a network.
var services = []*dissector.Protocol{
	&snmp.Protocol,
	&ntp.Protocol,
}
