package dissect

import (
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/amqp"
	"github.com/wardflow/wardflow/pkg/dissect/arp"
	"github.com/wardflow/wardflow/pkg/dissect/astm"
	"github.com/wardflow/wardflow/pkg/dissect/bacnet"
	"github.com/wardflow/wardflow/pkg/dissect/carescape"
	"github.com/wardflow/wardflow/pkg/dissect/cdp"
	"github.com/wardflow/wardflow/pkg/dissect/chat"
	"github.com/wardflow/wardflow/pkg/dissect/database"
	"github.com/wardflow/wardflow/pkg/dissect/dcerpc"
	"github.com/wardflow/wardflow/pkg/dissect/dhcp"
	"github.com/wardflow/wardflow/pkg/dissect/dhcpv6"
	"github.com/wardflow/wardflow/pkg/dissect/dicom"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dnp3"
	"github.com/wardflow/wardflow/pkg/dissect/dns"
	"github.com/wardflow/wardflow/pkg/dissect/enip"
	"github.com/wardflow/wardflow/pkg/dissect/fox"
	"github.com/wardflow/wardflow/pkg/dissect/ftp"
	"github.com/wardflow/wardflow/pkg/dissect/goose"
	"github.com/wardflow/wardflow/pkg/dissect/hartip"
	"github.com/wardflow/wardflow/pkg/dissect/hl7"
	"github.com/wardflow/wardflow/pkg/dissect/http"
	"github.com/wardflow/wardflow/pkg/dissect/iec104"
	"github.com/wardflow/wardflow/pkg/dissect/ike"
	"github.com/wardflow/wardflow/pkg/dissect/imap"
	"github.com/wardflow/wardflow/pkg/dissect/intellivue"
	"github.com/wardflow/wardflow/pkg/dissect/kerberos"
	"github.com/wardflow/wardflow/pkg/dissect/knx"
	"github.com/wardflow/wardflow/pkg/dissect/label"
	"github.com/wardflow/wardflow/pkg/dissect/ldap"
	"github.com/wardflow/wardflow/pkg/dissect/lldp"
	"github.com/wardflow/wardflow/pkg/dissect/medibus"
	"github.com/wardflow/wardflow/pkg/dissect/mms"
	"github.com/wardflow/wardflow/pkg/dissect/modbus"
	"github.com/wardflow/wardflow/pkg/dissect/mqtt"
	"github.com/wardflow/wardflow/pkg/dissect/ndp"
	"github.com/wardflow/wardflow/pkg/dissect/netbios"
	"github.com/wardflow/wardflow/pkg/dissect/ntp"
	"github.com/wardflow/wardflow/pkg/dissect/opcua"
	"github.com/wardflow/wardflow/pkg/dissect/openvpn"
	"github.com/wardflow/wardflow/pkg/dissect/poct1a"
	"github.com/wardflow/wardflow/pkg/dissect/pop3"
	"github.com/wardflow/wardflow/pkg/dissect/printing"
	"github.com/wardflow/wardflow/pkg/dissect/profinet"
	"github.com/wardflow/wardflow/pkg/dissect/quic"
	"github.com/wardflow/wardflow/pkg/dissect/radius"
	"github.com/wardflow/wardflow/pkg/dissect/rdp"
	"github.com/wardflow/wardflow/pkg/dissect/remote"
	"github.com/wardflow/wardflow/pkg/dissect/rpc"
	"github.com/wardflow/wardflow/pkg/dissect/rtp"
	"github.com/wardflow/wardflow/pkg/dissect/rtsp"
	"github.com/wardflow/wardflow/pkg/dissect/s7comm"
	"github.com/wardflow/wardflow/pkg/dissect/sip"
	"github.com/wardflow/wardflow/pkg/dissect/smb"
	"github.com/wardflow/wardflow/pkg/dissect/smtp"
	"github.com/wardflow/wardflow/pkg/dissect/snmp"
	"github.com/wardflow/wardflow/pkg/dissect/socks"
	"github.com/wardflow/wardflow/pkg/dissect/ssdp"
	"github.com/wardflow/wardflow/pkg/dissect/ssh"
	"github.com/wardflow/wardflow/pkg/dissect/syslog"
	"github.com/wardflow/wardflow/pkg/dissect/telnet"
	"github.com/wardflow/wardflow/pkg/dissect/tftp"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
	"github.com/wardflow/wardflow/pkg/dissect/vnc"
	"github.com/wardflow/wardflow/pkg/dissect/wsdiscovery"
)

// protocols is the list of protocols. Where the content of two is alike, the
// first wins, unless the flow's port is the other's.
var protocols = slices.Concat(link, clinical, building, identity, services, label.Protocols, last)

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
	&poct1a.Protocol,
	&astm.Protocol,
	&intellivue.Protocol,
	&carescape.Protocol,
	&medibus.Protocol,
}

// building are those of buildings and of industrial control.
var building = []*dissector.Protocol{
	&bacnet.Protocol,
	&modbus.Protocol,
	&modbus.Home,
	&s7comm.Protocol,
	&mms.Protocol,
	&enip.Protocol,
	&dnp3.Protocol,
	&knx.Protocol,
	&iec104.Protocol,
	&hartip.Protocol,
	&fox.Protocol,
	&profinet.Protocol,
	&opcua.Protocol,
	&goose.Protocol,
}

// identity are those by which devices find each other and say who they are. mDNS
// and LLMNR are DNS on their own ports.
var identity = []*dissector.Protocol{
	&dhcp.Protocol,
	&dhcpv6.Protocol,
	&tls.Protocol,
	&tls.DTLS,
	&quic.Protocol,
	&http.Protocol,
	&ssh.Protocol,
	&smb.Protocol,
	&kerberos.Protocol,
	&ldap.Protocol,
	&rdp.Protocol,
	&ssdp.Protocol,
	&wsdiscovery.Protocol,
	&netbios.Protocol,
	&dns.MDNS,
	&dns.LLMNR,
	&dns.Protocol,
}

// services are the other applications of a network.
var services = []*dissector.Protocol{
	&snmp.Protocol,
	&radius.Protocol,
	&tftp.Protocol,
	&syslog.Protocol,
	&sip.Protocol,
	&rtsp.Protocol,
	&mqtt.Protocol,
	&vnc.Protocol,
	&rtp.STUN,
	&rtp.RTCP,
	&ftp.Protocol,
	&smtp.Protocol,
	&pop3.Protocol,
	&imap.Protocol,
	&telnet.Protocol,
	&ntp.Protocol,
	&database.TDS,
	&database.MySQL,
	&database.PostgreSQL,
	&database.Oracle,
	&rpc.NFS,
	&rpc.Protocol,
	&printing.JetDirect,
	&printing.Raw,
	&printing.LPD,
	&ike.Protocol,
	&openvpn.Protocol,
}

// last are those that are known by little: all others are asked before.
var last = []*dissector.Protocol{
	&dcerpc.Protocol,
	&amqp.Protocol,
	&chat.XMPP,
	&chat.IRC,
	&socks.Protocol,
	&remote.RSH,
	&remote.Exec,
	&remote.Login,
	&remote.X11,
	&rtp.Protocol,
}
