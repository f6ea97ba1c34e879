package fingerprint

import (
	"testing"

	"github.com/wardflow/wardflow/proto"
)

// examples are evidence as devices give it, and what it must say. Each rule of
// the files below has one at least. Descriptions, banners and headers are those
// that recog lists as examples, where it has any.
var examples = []struct{ evidence, value, fact, want string }{
	{"mdns_service", "_pdl-datastream._tcp", "type", "printer"},
	{"mdns_service", "_ipps._tcp", "type", "printer"},
	{"mdns_service", "_uscan._tcp", "type", "printer"},
	{"mdns_service", "_airplay._tcp", "type", "media_player"},
	{"mdns_service", "_googlecast._tcp", "type", "media_player"},
	{"mdns_service", "_sonos._tcp", "manufacturer", "Sonos"},
	{"mdns_service", "_hue._tcp", "type", "smart_hub"},
	{"mdns_service", "_meshcop._udp", "type", "smart_hub"},
	{"mdns_service", "_hap._tcp", "category", "iot"},
	{"mdns_service", "_shelly._tcp", "manufacturer", "Shelly"},
	{"mdns_service", "_axis-video._tcp", "type", "ip_camera"},
	{"mdns_service", "_rtsp._tcp", "type", "ip_camera"},
	{"mdns_service", "_dicom._tcp", "category", "medical"},
	{"mdns_service", "_adisk._tcp", "type", "storage"},
	{"mdns_service", "_smb._tcp", "type", "storage"},
	{"mdns_service", "_workstation._tcp", "os", "Linux"},
	{"mdns_service", "_apple-mobdev2._tcp", "type", "mobile"},
	{"mdns_service", "_companion-link._tcp", "manufacturer", "Apple"},
	{"mdns_service", "_sip._udp", "type", "voip_phone"},
	{"mdns_product", "HP LaserJet MFP M428fdn", "model", "LaserJet MFP M428fdn"},
	{"mdns_product", "Brother HL-L2340D series", "manufacturer", "Brother"},
	{"model", "MacBookPro14,2", "type", "laptop"},
	{"model", "Macmini9,1", "type", "workstation"},
	{"model", "iPhone14,5", "os", "iOS"},
	{"model", "iPad13,1", "os", "iPadOS"},
	{"model", "AppleTV6,2", "type", "media_player"},
	{"model", "AudioAccessory5,1", "type", "media_player"},
	{"model", "TimeCapsule6,116", "type", "access_point"},
	{"model", "Chromecast Ultra", "manufacturer", "Google"},
	{"model", "BSB002", "type", "smart_hub"},
	{"darwin_version", "16", "os_version", "10.12"},
	{"darwin_version", "17", "os_version", "10.13"},
	{"darwin_version", "18", "os_version", "10.14"},
	{"darwin_version", "19", "os_version", "10.15"},
	{"darwin_version", "20", "os_version", "11"},
	{"darwin_version", "21", "os_version", "12"},
	{"darwin_version", "22", "os_version", "13"},
	{"darwin_version", "23", "os_version", "14"},
	{"darwin_version", "24", "os_version", "15"},
	{"darwin_version", "24", "os", "macOS"},
	{"host_os", "LINUX", "os", "Linux"},
	{"hap_category", "2", "type", "smart_hub"},
	{"hap_category", "5", "type", "lighting"},
	{"hap_category", "6", "type", "access_control"},
	{"hap_category", "7", "type", "smart_plug"},
	{"hap_category", "10", "type", "sensor"},
	{"hap_category", "17", "type", "ip_camera"},
	{"hap_category", "19", "type", "appliance"},
	{"upnp_device", "Printer", "type", "printer"},
	{"upnp_device", "MediaRenderer", "type", "media_player"},
	{"upnp_device", "MediaServer", "category", "iot"},
	{"upnp_device", "InternetGatewayDevice", "type", "router"},
	{"upnp_device", "WLANAccessPointDevice", "type", "access_point"},
	{"upnp_device", "DigitalSecurityCamera", "type", "ip_camera"},
	{"upnp_device", "DimmableLight", "type", "lighting"},
	{"upnp_device", "SensorManagement", "type", "sensor"},
	{"upnp_device", "insight", "type", "smart_plug"},
	{"hue_bridge", "001788fffe2476ff", "type", "smart_hub"},
	{"upnp_server", "Microsoft-Windows-NT/5.1 UPnP/1.0 UPnP-Device-Host/1.0", "os", "Windows"},
	{"upnp_server", "Linux/2.6.21, UPnP/1.0, Portable SDK for UPnP devices/1.6.18", "os", "Linux"},
	{"upnp_server", "Ubuntu/bionic UPnP/1.0 MiniUPnPd/1.4", "os", "Ubuntu"},
	{"upnp_server", "Debian/4.0 UPnP/1.0 miniupnpd/1.0", "type", "router"},
	{"upnp_server", "Debian/4.0 UPnP/1.0 miniupnpd/1.0", "os", "Debian GNU/Linux"},
	{"upnp_server", "Linux/3.14.0 UPnP/1.0 IpBridge/1.9.0", "type", "smart_hub"},
	{"upnp_server", "Linux UPnP/1.0 Sonos/57.3-77280 (ZPS1)", "manufacturer", "Sonos"},
	{"upnp_server", "Roku/9.3.0 UPnP/1.0 Roku/9.3.0", "type", "media_player"},
	{"upnp_server", "Linux,    UPnP/1.0 DCS-935L/1.0", "type", "ip_camera"},

	{"lldp_capability", "bridge", "type", "switch"},
	{"lldp_capability", "router", "type", "router"},
	{"lldp_capability", "access_point", "type", "access_point"},
	{"lldp_capability", "telephone", "type", "voip_phone"},
	{"lldp_capability", "docsis", "type", "router"},
	{"lldp_class", "network_connectivity", "category", "network"},
	{"lldp_class", "endpoint_3", "type", "voip_phone"},
	{"system_description", "Cisco IOS Software, C3560 Software (C3560-ADVIPSERVICESK9-M), Version 12.2(44)SE, RELEASE SOFTWARE (fc1)", "os", "Cisco IOS"},
	{"system_description", "Cisco IOS Software, C3560 Software (C3560-ADVIPSERVICESK9-M), Version 12.2(44)SE, RELEASE SOFTWARE (fc1)", "software_version", "12.2(44)SE"},
	{"system_description", "Cisco IOS Software, C3560 Software (C3560-ADVIPSERVICESK9-M), Version 12.2(44)SE, RELEASE SOFTWARE (fc1)", "type", "switch"},
	{"system_description", "Cisco IOS Software [Dublin], Catalyst L3 Switch Software (CAT9K_LITE_IOSXE), Version 17.12.5, RELEASE SOFTWARE (fc5)", "os", "Cisco IOS XE"},
	{"system_description", "Cisco IOS Software [Dublin], Catalyst L3 Switch Software (CAT9K_LITE_IOSXE), Version 17.12.5, RELEASE SOFTWARE (fc5)", "type", "switch"},
	{"system_description", "Cisco IOS Software, IOS-XE Software (PPC_LINUX_IOSD-ADVENTERPRISEK9-M), Version 15.1(3)S2, RELEASE SOFTWARE (fc1)", "os", "Cisco IOS XE"},
	{"system_description", "Cisco IOS XR Software (ASR9K), Version 7.4.1  Copyright (c) 2013-2021 by Cisco Systems, Inc.", "software_version", "7.4.1"},
	{"system_description", "Cisco NX-OS(tm) ucs, Software (ucs-6100-k9-system), Version 5.0(3)N2(2.1s), RELEASE SOFTWARE", "os_version", "5.0(3)N2(2.1s)"},
	{"system_description", "Cisco AP Software, ap3g2-k9w8 Version: 8.5.151.0", "type", "access_point"},
	{"system_description", "Arista Networks EOS version 4.28.6.1M running on an Arista Networks DCS-7050QX-32S", "model", "DCS-7050QX-32S"},
	{"system_description", "Arista Networks EOS version 4.30.6M running on an Arista vEOS-lab", "software_version", "4.30.6M"},
	{"system_description", "Aruba JL256A 2930F-48G-PoE+-4SFP+ Switch, revision WC.16.11.0004, ROM WC.16.01.0010", "model", "2930F-48G-PoE+-4SFP+"},
	{"system_description", "ProCurve J9145A 2910al-24G Switch, revision W.14.03, ROM W.14.04 (/sw/code/build/sbm(t4a_RC3))", "software_version", "W.14.03"},
	{"system_description", "ArubaOS (MODEL: Aruba7005), Version 10.7.0.1 SSR (91033)", "type", "wlan_controller"},
	{"system_description", "ArubaOS (MODEL: Aruba7005), Version 10.7.0.1 SSR (91033)", "model", "Aruba7005"},
	{"system_description", "Juniper Networks, Inc. ex2200-24t-4g internet router, kernel JUNOS 10.1R1.8 #0: 2010-02-12", "type", "switch"},
	{"system_description", "Juniper Networks, Inc. srx240h internet router, kernel JUNOS 10.4R3.4 #0: 2011-03-19", "type", "firewall"},
	{"system_description", "Juniper Networks, Inc. mx80 internet router, kernel JUNOS 11.4R1.14 #0: 2011-11-15", "type", "router"},
	{"system_description", "Juniper Networks, Inc. mx80 internet router, kernel JUNOS 11.4R1.14 #0: 2011-11-15", "software_version", "11.4R1.14"},
	{"system_description", "ExtremeXOS (X460-24x) version 15.6.1.4 v1561b4 by release-manager on Tue Sep 30 14:06:19 EDT 2014", "software_version", "15.6.1.4"},
	{"system_description", "Palo Alto Networks PA-5000 series firewall", "model", "PA-5000"},
	{"system_description", "Debian GNU/Linux 12 (bookworm) Linux 6.1.0-26-amd64", "os", "Debian GNU/Linux"},
	{"system_description", "Ubuntu 14.04.5 LTS Linux 3.13.0-106-generic #153-Ubuntu SMP", "os_version", "14.04.5"},
	{"system_description", "OpenWrt Linux 5.4.154 mips", "os", "Linux"},
	{"system_description", "VMware ESX Releasebuild-4564106", "os", "VMware ESXi"},
	{"system_description", "Siemens AG SIMATIC S7 MULTIPORT SCALANCE X 200 FAM", "type", "switch"},
	{"system_description", "Siemens AG SIMATIC S7 MULTIPORT SCALANCE X 200 FAM", "manufacturer", "Siemens"},
	{"system_description", "APC Web/SNMP Management Card (MB:v3.6.8 PF:v2.6.4 PN:apc_hw02_aos_264.bin AF1:v2.6.1 MN:AP9619 HR:A10 SN: ZA0624022354", "type", "ups"},
	{"system_description", "APC Web/SNMP Management Card (MB:v3.6.8 PF:v2.6.4 PN:apc_hw02_aos_264.bin AF1:v2.6.1 MN:AP9619 HR:A10 SN: ZA0624022354", "serial", "ZA0624022354"},
	{"system_description", "HP ETHERNET MULTI-ENVIRONMENT,ROM none,JETDIRECT,JD153,EEPROM JSI24110045", "type", "printer"},
	{"system_description", "Cisco IP Phone 8841, V3, sip88xx.12-5-1SR1-4", "type", "voip_phone"},

	{"user_agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36", "os", "Windows"},
	{"user_agent", "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)", "os_version", "XP"},
	{"user_agent", "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", "os_version", "7 / Server 2008 R2"},
	{"user_agent", "Mozilla/5.0 (Windows NT 6.2; WOW64) AppleWebKit/537.36", "os_version", "8 / Server 2012"},
	{"user_agent", "Mozilla/5.0 (Windows NT 6.3; Win64; x64) AppleWebKit/537.36", "os_version", "8.1 / Server 2012 R2"},
	{"user_agent", "Microsoft-CryptoAPI/10.0", "os", "Windows"},
	{"user_agent", "Google Chrome/83.0.4103.106 Windows", "os", "Windows"},
	{"user_agent", "Google Chrome/83.0.4103.106 Mac OS X", "os", "macOS"},
	{"user_agent", "Google Chrome/83.0.4103.61 Linux", "os", "Linux"},
	{"user_agent", "Dalvik/2.1.0 (Linux; U; Android 13; SM-T510 Build/TP1A.220624.014)", "os_version", "13"},
	{"user_agent", "Dalvik/2.1.0 (Linux; U; Android 13; SM-T510 Build/TP1A.220624.014)", "model", "SM-T510"},
	{"user_agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15", "os_version", "17.4"},
	{"user_agent", "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15", "os", "iPadOS"},
	{"user_agent", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15", "os", "macOS"},
	{"user_agent", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36", "os", "ChromeOS"},
	{"user_agent", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0", "os", "Linux"},
	{"user_agent", "Debian APT-HTTP/1.3 (2.6.1)", "os", "Linux"},
	{"user_agent", "Wget/1.21.3 (linux-gnu)", "os", "Linux"},
	{"http_server", "Microsoft-HTTPAPI/2.0", "os", "Windows"},
	{"http_server", "Microsoft-IIS/10.0", "type", "server"},
	{"http_server", "Microsoft-IIS/6.0", "os_version", "Server 2003"},
	{"http_server", "Microsoft-IIS/7.0", "os_version", "Vista / Server 2008"},
	{"http_server", "Microsoft-IIS/7.5", "os_version", "7 / Server 2008 R2"},
	{"http_server", "Microsoft-IIS/8.0", "os_version", "8 / Server 2012"},
	{"http_server", "Microsoft-IIS/8.5", "os_version", "8.1 / Server 2012 R2"},
	{"http_server", "Cherokee/1.2.104 (Debian)", "os", "Debian GNU/Linux"},
	{"http_server", "Cherokee/1.2.104 (Ubuntu)", "os", "Ubuntu"},
	{"http_server", "Apache/2.2.3 (Red Hat)", "os", "Linux"},
	{"http_server", "HP HTTP Server; HP Officejet 6500 E709n - CB057A; Serial Number: abc123;", "model", "Officejet 6500"},
	{"http_server", "HP-iLO-Server/1.30", "type", "server"},
	{"http_server", "KM-MFP-http/V0.0.1", "type", "printer"},
	{"http_server", "DNVRS-Webs", "type", "ip_camera"},
	{"http_server", "Synology/DSM/stuff", "type", "storage"},
	{"http_server", "cisco-IOS/12.1 HTTP-server/1.0(1)", "os", "Cisco IOS"},
	{"http_server", "IPCamera-Web", "type", "ip_camera"},
	{"ssh_software", "OpenSSH_9.2p1 Debian-2+deb12u10", "os_version", "12"},
	{"ssh_software", "OpenSSH_6.7p1 Debian-5", "os", "Debian GNU/Linux"},
	{"ssh_software", "OpenSSH_7.9p1 Raspbian-10+deb10u2", "os", "Raspbian"},
	{"ssh_software", "OpenSSH_5.3p1 Debian-3ubuntu4", "os", "Ubuntu"},
	{"ssh_software", "OpenSSH_7.2p2 Ubuntu-4ubuntu2.10", "os_version", "16.04"},
	{"ssh_software", "OpenSSH_7.6p1 Ubuntu-4ubuntu0.3", "os_version", "18.04"},
	{"ssh_software", "OpenSSH_8.2p1 Ubuntu-4ubuntu0.5", "os_version", "20.04"},
	{"ssh_software", "OpenSSH_8.9p1 Ubuntu-3ubuntu0.6", "os_version", "22.04"},
	{"ssh_software", "OpenSSH_9.6p1 Ubuntu-3ubuntu13.5", "os_version", "24.04"},
	{"ssh_software", "OpenSSH_7.8 FreeBSD-20180909", "os", "FreeBSD"},
	{"ssh_software", "OpenSSH_for_Windows_8.1", "os", "Windows"},
	{"ssh_software", "Cisco-1.25", "manufacturer", "Cisco Systems"},
	{"ssh_software", "dropbear_2019.78", "os", "Linux"},
	{"ssh_software", "mpSSH_0.2.1", "type", "server"},
	{"ssh_software", "ROSSSH", "os", "RouterOS"},
	{"ssh_software", "NetScreen", "type", "firewall"},
	{"ssh_software", "Comware-7.1.045", "category", "network"},
	{"certificate_organization", "Axis Communications AB", "manufacturer", "Axis"},
	{"certificate_organization", "Cisco Systems, Inc.", "manufacturer", "Cisco Systems"},
	{"certificate_organization", "Dell Inc.", "manufacturer", "Dell"},
	{"certificate_organization", "Hewlett-Packard Co.", "manufacturer", "HP"},
	{"certificate_organization", "Super Micro Computer", "manufacturer", "Supermicro"},
	{"certificate_organization", "Synology Inc.", "type", "storage"},
	{"certificate_organization", "QNAP Systems, Inc.", "type", "storage"},
	{"certificate_organization", "VMware, Inc", "os", "VMware ESXi"},
	{"certificate_organization", "DrayTek Corp.", "manufacturer", "DrayTek"},
	{"certificate_organization", "Cambium Networks Inc", "category", "network"},
	{"certificate_organization", "Araknis Networks (TM)", "category", "network"},
	{"certificate_organization", "St Elsewhere Hospital", "manufacturer", ""},
	{"certificate_subject", "HP Jetdirect 38831831", "type", "printer"},
	{"certificate_subject", "iDRACdefault0023AEF89AD1", "manufacturer", "Dell"},
	{"certificate_subject", "CP-8851-SEPB07D47D33A1C", "model", "CP-8851"},
	{"certificate_subject", "SEP1C6A7AE57121", "type", "voip_phone"},
	{"certificate_subject", "XCC-7X06-J1005NEX", "manufacturer", "Lenovo"},
	{"certificate_subject", "QNAP NAS", "type", "storage"},
	{"certificate_subject", "Cambium WLAN AP", "type", "access_point"},
	{"certificate_subject", "ciscoasa", "type", "firewall"},

	{"ntlm_version", "5.1.2600", "os_version", "XP"},
	{"ntlm_version", "5.2.3790", "os_version", "Server 2003"},
	{"ntlm_version", "6.0.6002", "os_version", "Vista / Server 2008"},
	{"ntlm_version", "6.1.7601", "os_version", "7 / Server 2008 R2"},
	{"ntlm_version", "6.2.9200", "os_version", "8 / Server 2012"},
	{"ntlm_version", "6.3.9600", "os_version", "8.1 / Server 2012 R2"},
	{"ntlm_version", "10.0.10240", "os_version", "10 1507"},
	{"ntlm_version", "10.0.10586", "os_version", "10 1511"},
	{"ntlm_version", "10.0.14393", "os_version", "10 1607 / Server 2016"},
	{"ntlm_version", "10.0.15063", "os_version", "10 1703"},
	{"ntlm_version", "10.0.16299", "os_version", "10 1709"},
	{"ntlm_version", "10.0.17134", "os_version", "10 1803"},
	{"ntlm_version", "10.0.17763", "os_version", "10 1809 / Server 2019"},
	{"ntlm_version", "10.0.18362", "os_version", "10 1903 / 1909"},
	{"ntlm_version", "10.0.18363", "os_version", "10 1909"},
	{"ntlm_version", "10.0.19041", "os_version", "10 2004 or later"},
	{"ntlm_version", "10.0.19042", "os_version", "10 20H2"},
	{"ntlm_version", "10.0.19043", "os_version", "10 21H1"},
	{"ntlm_version", "10.0.19044", "os_version", "10 21H2"},
	{"ntlm_version", "10.0.19045", "os_version", "10 22H2"},
	{"ntlm_version", "10.0.20348", "os_version", "Server 2022"},
	{"ntlm_version", "10.0.22000", "os_version", "11 21H2"},
	{"ntlm_version", "10.0.22621", "os_version", "11 22H2 or later"},
	{"ntlm_version", "10.0.22631", "os_version", "11 23H2"},
	{"ntlm_version", "10.0.26100", "os_version", "11 24H2 / Server 2025"},
	{"ntlm_version", "10.0.26100", "os", "Windows"},
	{"ntlm_version", "6.1.0", "os", ""}, // Samba
	{"native_os", "Windows 5.1", "os_version", "XP"},
	{"native_os", "Windows 5.0", "os_version", "2000"},
	{"native_os", "Windows 7 Professional 7601 Service Pack 1", "os_version", "7"},
	{"native_os", "Windows 10 Pro 14393", "os_version", "10"},
	{"native_os", "Windows Server 2008 R2 Enterprise 7601 Service Pack 1", "os_version", "Server 2008 R2"},
	{"native_os", "Windows Server 2019 Standard 17763", "type", "server"},
	{"native_os", "Unix", "os", ""},
}

func TestIdentitySignatures(t *testing.T) {
	s := embedded()
	for _, x := range examples {
		got := ""
		if f := s.facts([]proto.Evidence{{Attribute: x.evidence, Value: x.value, Protocol: "x", Weight: 0.9}})[x.fact]; f != nil {
			got = f.Value
		}
		if got != x.want {
			t.Errorf("%s %q says %s %q, want %q", x.evidence, x.value, x.fact, got, x.want)
		}
	}
}

// Names that a device and the IEEE list have for one maker count as one.
func TestMakersOfIdentity(t *testing.T) {
	s := embedded()
	for _, names := range [][2]string{
		{"D-Link", "D-Link International"},
		{"Belkin", "Belkin International"},
		{"Hikvision", "Hangzhou Hikvision Digital Technology"},
		{"Brother", "Brother industries"},
		{"EPSON", "Seiko Epson"},
		{"Aruba", "Aruba, a Hewlett Packard Enterprise Company"},
		{"Supermicro", "Super Micro Computer"},
		{"Cisco Systems", "Cisco-Linksys"},
		{"HP", "Hewlett Packard"},
		{"Samsung", "Samsung Electronics"},
	} {
		if a, b := s.makerKey(names[0]), s.makerKey(names[1]); a != b {
			t.Errorf("%s is %s, %s is %s", names[0], a, names[1], b)
		}
	}
	if a, b := s.makerKey("Canon"), s.makerKey("Canon Medical Systems"); a == b {
		t.Errorf("Canon and Canon Medical are both %s", a)
	}
}

// TestIdentityReadings: observations of each protocol become the facts that they
// tell, and only of whom they are about.
func TestIdentityReadings(t *testing.T) {
	w := newWard(t)
	at := noon
	own := func(who byte) proto.MAC { return proto.MAC{2, 0, 0, 0, 0, who} } // no maker's
	list := func(who byte, protocol, kind, name string, values []string, attributes ...string) {
		at = at.Add(1e9)
		o := seen(protocol, kind, who, at, attributes...)
		o.MAC, o.Endpoint = own(who), proto.MACEndpoint("st-alban", own(who))
		o.Attributes.SetList(name, values)
		w.item(proto.Item{Observation: o})
	}
	say := func(who byte, protocol, kind string, attributes ...string) {
		list(who, protocol, kind, "", nil, attributes...)
	}
	list(1, "lldp", "announcement", "capabilities_enabled", []string{"bridge", "router"}, "system_name", "SW-1", "med_class", "network_connectivity", "location", "B2 / 3", "system_description", "Cisco IOS Software, C3560 Software (C3560-ADVIPSERVICESK9-M), Version 12.2(44)SE, RELEASE SOFTWARE (fc1)")
	list(2, "lldp", "announcement", "capabilities_enabled", []string{"bridge", "telephone"}, "med_class", "endpoint_3", "manufacturer", "Example", "model", "EP-8841", "serial", "S1", "software_version", "9.3", "firmware_version", "1.1", "location", "B2 / 3 / W3a")
	say(3, "mdns", "service", "service_type", "_ipp._tcp", "product", "HP LaserJet M507", "hostname", "prn1.local")
	list(3, "mdns", "response", "service_types", []string{"_pdl-datastream._tcp"}, "role", "server")
	list(4, "mdns", "query", "service_types", []string{"_pdl-datastream._tcp"}, "role", "client")
	say(4, "http", "request", "role", "client", "user_agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)")
	say(4, "smb", "ntlm_authenticate", "role", "client", "computer_name", "HOST-7", "os_version", "10.0.19045")
	say(4, "smb", "session_request", "role", "server", "computer_name", "*SMBSERVER")
	say(5, "ssh", "banner", "role", "server", "software", "OpenSSH_9.2p1", "comment", "Debian-2+deb12u3")
	say(5, "dhcp", "request", "vendor_class", "dhcpcd-9.4.1:Linux-6.1")
	say(6, "tls", "certificate", "role", "server", "certificate_organization", "Synology Inc.", "certificate_subject", "synology.com")
	say(7, "ssdp", "alive", "role", "server", "device_type", "MediaRenderer", "manufacturer", "Sony Corporation", "model", "BRAVIA", "server", "Linux/4.9, UPnP/1.0, X/1")
	say(9, "ssdp", "search", "role", "client", "device_type", "InternetGatewayDevice", "target", "urn:schemas-upnp-org:device:InternetGatewayDevice:1")
	say(10, "mdns", "service", "service_type", "_ipp._tcp", "hostname", "asleep.local") // said by its proxy
	say(8, "dhcp", "request", "vendor_class", "MSFT 5.0")
	say(8, "ssh", "banner", "role", "client", "software", "OpenSSH_9.2p1", "comment", "Debian-2+deb12u3") // of a guest
	w.beat(at.Add(1e9), true)
	for who, want := range map[byte]map[string]string{
		1: {"type": "switch", "category": "network", "manufacturer": "Cisco Systems", "software_version": "12.2(44)SE", "location": ""},
		2: {"type": "voip_phone", "manufacturer": "Example", "model": "EP-8841", "serial": "S1", "software_version": "9.3", "location": "B2 / 3 / W3a"},
		3: {"type": "printer", "manufacturer": "HP", "model": "LaserJet M507"},
		4: {"os": "Windows", "os_version": "10 22H2", "type": ""},
		5: {"os": "Debian GNU/Linux", "os_version": "12"},
		6: {"type": "storage", "manufacturer": "Synology"},
		7: {"type": "media_player", "manufacturer": "Sony Corporation", "model": "BRAVIA", "os": "Linux"},
		8: {"os": "Windows", "os_version": ""},
		9: {"type": "", "category": ""},
	} {
		d := w.devices[proto.MACEndpoint("st-alban", own(who))]
		for name, value := range want {
			f := map[string]*proto.Fact{
				"type": d.Type, "category": d.Category, "manufacturer": d.Manufacturer, "model": d.Model, "serial": d.Serial,
				"software_version": d.SoftwareVersion, "location": d.Location, "os": d.OS, "os_version": d.OSVersion,
			}[name]
			got := ""
			if f != nil {
				got = f.Value
			}
			if got != value {
				t.Errorf("device %d: %s %q, want %q", who, name, got, value)
			}
		}
	}
	if d := w.devices[proto.MACEndpoint("st-alban", own(10))]; d != nil {
		t.Errorf("what another says of a host makes it a device: %v", d.Hostnames)
	}
	if c := w.devices[proto.MACEndpoint("st-alban", own(8))].OS.Confidence; c < 0.6 {
		t.Errorf("a client's banner weighs as much as the host's own word: Windows %v", c)
	}
	for who, name := range map[byte]string{1: "SW-1", 3: "prn1", 4: "HOST-7"} {
		if h := w.devices[proto.MACEndpoint("st-alban", own(who))].Hostnames; len(h) != 1 || h[0] != name {
			t.Errorf("device %d is called %v, want %s", who, h, name)
		}
	}
}
