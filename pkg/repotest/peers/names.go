package peers

import "strings"

// ndpiNames are our labels for nDPI's protocols, where they differ from nDPI's name
// in lower case. Where several are given, any of them is right: nDPI names what is
// inside, or around.
var ndpiNames = map[string][]string{
	"TLS": {"tls"}, "HTTP": {"http"}, "HTTP_Connect": {"http"}, "HTTP_Proxy": {"http"}, "HTTP2": {"http", "http2", "h2c", "grpc"},
	"SOAP": {"http", "ws_discovery", "soap"}, "SMBv1": {"smb", "netbios"}, "SMBv23": {"smb"}, "NetBIOS": {"netbios", "smb"},
	"MDNS": {"mdns"}, "LLMNR": {"llmnr"}, "DHCPV6": {"dhcpv6"}, "WSD": {"ws_discovery"}, "FTP_CONTROL": {"ftp"}, "FTP_DATA": {"ftp", "ftp_data"},
	"FTPS": {"ftp", "tls"}, "IMAPS": {"imap", "tls"}, "POPS": {"pop3", "tls"}, "SMTPS": {"smtp", "tls"},
	"MsSQL-TDS": {"tds"}, "IEC60870": {"iec104"}, "S7Comm": {"s7comm"}, "S7CommPlus": {"s7comm", "s7commplus"}, "OPC-UA": {"opcua"}, "EthernetIP": {"enip"},
	"CIP_IO": {"enip"}, "KNXnet_IP": {"knx"}, "BACnet": {"bacnet"}, "HART-IP": {"hart_ip", "hartip"}, "COAP": {"coap"}, "RSH": {"rsh", "rlogin"},
	"DCERPC": {"dcerpc"}, "Jabber": {"xmpp", "jabber"}, "ISO9506-1-MMS": {"mms", "s7comm", "cotp"}, "BeckhoffADS": {"ads"}, "FINS": {"fins", "omron_fins"},
	"Service_Location_Protocol": {"slp"}, "CiscoSkinny": {"skinny", "sccp"}, "LDAP": {"ldap"}, "Radius": {"radius"}, "Kerberos": {"kerberos"},
	"STUN": {"stun"}, "SRTP": {"rtp", "srtp"}, "RTP": {"rtp"}, "RTCP": {"rtcp", "rtp"}, "RESP": {"redis"}, "IPSec": {"esp", "ah", "isakmp", "ike", "ipsec"},
	"ICMP": {"icmp"}, "ICMPV6": {"icmp6", "ndp"}, "IP_PIM": {"pim"}, "XDMCP": {"xdmcp"}, "Whois-DAS": {"whois"},
	"NFS": {"nfs", "rpc"}, "BFD": {"bfd"}, "Usenet": {"nntp"}, "DNScrypt": {"dnscrypt"}, "MikroTik": {"mndp"}, "ANSI_C1222": {"c1222"},
	"PROFINET_IO": {"dcerpc", "profinet", "profinet_io_cm"}, "UBNTAC2": {"ubnt", "ubiquiti"}, "AVASTSecureDNS": {"avastsecuredns", "dnscrypt"},
}

// NDPINames are the labels of ours that say the same as nDPI's protocol.
func NDPINames(master, sub, transport string) []string {
	if master == "SOAP" && transport == "udp" {
		return []string{"ws_discovery"}
	}
	list, ok := ndpiNames[master]
	if !ok {
		list = []string{strings.ToLower(strings.ReplaceAll(master, "-", "_"))}
	}
	if more, ok := ndpiNames[sub]; ok && (master == "NetBIOS" || master == "DCERPC" || master == "Modbus") {
		list = append(append([]string(nil), list...), more...)
	}
	return list
}
