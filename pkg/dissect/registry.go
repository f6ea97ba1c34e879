package dissect

import (
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/amqp"
	"github.com/wardflow/wardflow/pkg/dissect/arp"
	"github.com/wardflow/wardflow/pkg/dissect/chat"
	"github.com/wardflow/wardflow/pkg/dissect/dcerpc"
	"github.com/wardflow/wardflow/pkg/dissect/dhcp"
	"github.com/wardflow/wardflow/pkg/dissect/dicom"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dns"
	"github.com/wardflow/wardflow/pkg/dissect/ftp"
	"github.com/wardflow/wardflow/pkg/dissect/hl7"
	"github.com/wardflow/wardflow/pkg/dissect/http"
	"github.com/wardflow/wardflow/pkg/dissect/imap"
	"github.com/wardflow/wardflow/pkg/dissect/jetdirect"
	"github.com/wardflow/wardflow/pkg/dissect/kerberos"
	"github.com/wardflow/wardflow/pkg/dissect/ldap"
	"github.com/wardflow/wardflow/pkg/dissect/lldp"
	"github.com/wardflow/wardflow/pkg/dissect/lpd"
	"github.com/wardflow/wardflow/pkg/dissect/mqtt"
	"github.com/wardflow/wardflow/pkg/dissect/pop3"
	"github.com/wardflow/wardflow/pkg/dissect/radius"
	"github.com/wardflow/wardflow/pkg/dissect/rdp"
	"github.com/wardflow/wardflow/pkg/dissect/remote"
	"github.com/wardflow/wardflow/pkg/dissect/rtp"
	"github.com/wardflow/wardflow/pkg/dissect/rtsp"
	"github.com/wardflow/wardflow/pkg/dissect/sip"
	"github.com/wardflow/wardflow/pkg/dissect/smb"
	"github.com/wardflow/wardflow/pkg/dissect/smtp"
	"github.com/wardflow/wardflow/pkg/dissect/socks"
	"github.com/wardflow/wardflow/pkg/dissect/ssdp"
	"github.com/wardflow/wardflow/pkg/dissect/ssh"
	"github.com/wardflow/wardflow/pkg/dissect/stun"
	"github.com/wardflow/wardflow/pkg/dissect/telnet"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
	"github.com/wardflow/wardflow/pkg/dissect/vnc"
)

// protocols is the list of protocols. Where the content of two is alike, the
// first wins, unless the flow's port is the other's.
var protocols = slices.Concat(link, clinical, building, identity, services)

// link are those of the segment itself, without IP.
var link = []*dissector.Protocol{
	&arp.Protocol,
	&lldp.Protocol,
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
	&tls.Protocol,
	&http.Protocol,
	&ssh.Protocol,
	&smb.Protocol,
	&kerberos.Protocol,
	&ldap.Protocol,
	&rdp.Protocol,
	&ssdp.Protocol,
	&dns.MDNS,
	&dns.LLMNR,
	&dns.Protocol,
}

// services are the other applications of a network.
var services = []*dissector.Protocol{
	&ftp.Protocol,
	&smtp.Protocol,
	&pop3.Protocol,
	&imap.Protocol,
	&telnet.Protocol,
	&radius.Protocol,
	&dcerpc.Protocol,
	&vnc.Protocol,
	&sip.Protocol,
	&rtsp.Protocol,
	&mqtt.Protocol,
	&jetdirect.Protocol,
	&lpd.Protocol,
	&amqp.Protocol,
	&chat.XMPP,
	&chat.IRC,
	&socks.Protocol,
	&remote.X11,
	&remote.Login,
	&remote.RSH,
	&stun.Protocol,
	&rtp.Control,
	&rtp.Protocol,
}
