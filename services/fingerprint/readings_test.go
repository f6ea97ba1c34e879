package fingerprint

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

// TestReadings: what each protocol tells, as the dissectors tell it, by the facts and
// the evidence that come of it.
func TestReadings(t *testing.T) {
	fact := map[string]func(*proto.Device) *proto.Fact{
		"manufacturer": func(d *proto.Device) *proto.Fact { return d.Manufacturer }, "model": func(d *proto.Device) *proto.Fact { return d.Model },
		"serial": func(d *proto.Device) *proto.Fact { return d.Serial }, "software_version": func(d *proto.Device) *proto.Fact { return d.SoftwareVersion },
		"os": func(d *proto.Device) *proto.Fact { return d.OS }, "type": func(d *proto.Device) *proto.Fact { return d.Type },
		"location": func(d *proto.Device) *proto.Fact { return d.Location }, "category": func(d *proto.Device) *proto.Fact { return d.Category },
		"os_version": func(d *proto.Device) *proto.Fact { return d.OSVersion }, "hardware_version": func(d *proto.Device) *proto.Fact { return d.HardwareVersion },
	}
	for _, c := range []struct {
		protocol, kind string
		says, want     []string // names and values; an unknown name of want is evidence
	}{
		{"snmp", "response", []string{"role", "server", "location", "Theatre 4", "enterprise", "641", "model", "XC4240", "serial", "75291"}, []string{"location", "Theatre 4", "manufacturer", "Lexmark", "type", "printer", "model", "XC4240", "serial", "75291"}},
		{"snmp", "get", []string{"role", "client", "enterprise", "9"}, []string{"manufacturer", ""}},
		{"snmp", "response", []string{"role", "server", "device_description", "Brother HL-L6400DW series"}, []string{"manufacturer", "Brother", "model", "HL-L6400DW series"}},
		{"cdp", "announcement", []string{"platform", "cisco WS-C3850-24P", "manufacturer", "Cisco", "model", "WS-C3850-24P", "device_id", "core-2"}, []string{"model", "WS-C3850-24P", "type", "switch", "hostname", "core-2"}},
		{"netbios", "registration", []string{"computer_name", "MON-ICU-04", "netbios_domain", "CLINIC"}, []string{"hostname", "MON-ICU-04", "domain", "CLINIC"}},
		{"netbios", "query", []string{"role", "client", "computer_name", "OTHER"}, []string{"hostname", ""}},
		{"ipp", "printer", []string{"role", "server", "manufacturer", "Ricoh", "model", "IM C3000", "serial", "3089R", "firmware_version", "3.1"}, []string{"manufacturer", "Ricoh", "model", "IM C3000", "serial", "3089R", "software_version", "3.1"}},
		{"jetdirect", "identity", []string{"role", "server", "manufacturer", "Lexmark", "model", "MS621", "firmware_version", "CB.075"}, []string{"manufacturer", "Lexmark", "model", "MS621", "software_version", "CB.075"}},
		{"upnp", "description", []string{"manufacturer", "Sonos, Inc.", "model", "Sonos One", "device_types[]", "MediaRenderer"}, []string{"manufacturer", "Sonos, Inc.", "model", "Sonos One", "upnp_device", "MediaRenderer"}},
		{"kerberos", "as_request", []string{"role", "client", "computer_name", "WS-OR-3", "realm", "CLINIC.EXAMPLE"}, []string{"hostname", "WS-OR-3"}},
		{"kerberos", "as_response", []string{"role", "server", "computer_name", "WS-OR-3"}, []string{"hostname", ""}},
		{"ldap", "root_dse", []string{"role", "server", "dns_computer_name", "dc1.clinic.example", "os_version", "Windows Server 2016"}, []string{"hostname", "dc1.clinic.example", "type", "server", "os", "Windows"}},
		{"rdp", "client", []string{"role", "client", "computer_name", "LAB-PC"}, []string{"hostname", "LAB-PC"}},
		{"ftp", "banner", []string{"role", "server", "banner", "VxWorks FTP server", "os", "VxWorks"}, []string{"os", "VxWorks"}},
		{"telnet", "banner", []string{"role", "server", "banner", "Xerox Phaser", "manufacturer", "Xerox"}, []string{"manufacturer", "Xerox", "type", "printer"}},
		{"smtp", "ehlo", []string{"role", "client", "hostname", "scan-3"}, []string{"hostname", "scan-3"}},
		{"ftp", "banner", []string{"role", "server", "banner", "vsFTPd 3.0.3", "software", "vsFTPd", "software_version", "3.0.3"}, []string{"server_software", "vsFTPd 3.0.3", "software_version", ""}},
		{"syslog", "message", []string{"role", "client", "hostname", "asm-2", "syslog_version", "rfc3164"}, []string{"hostname", "asm-2"}},
		{"sip", "request", []string{"role", "client", "user_agent", "Yealink SIP-T46S 66.85.0.5"}, []string{"manufacturer", "Yealink", "model", "T46S", "software_version", "66.85.0.5", "type", "voip_phone"}},
		{"rtsp", "response", []string{"role", "server", "realm", "HIKVISION"}, []string{"manufacturer", "HIKVISION", "type", "ip_camera"}},
		{"vnc", "version", []string{"role", "server", "vnc_version", "3.889"}, []string{"os", "macOS"}},
		{"radius", "station", []string{"mac", "00:30:e6:01:02:07", "hostname", "zebra-tc52", "port_type", "wireless_802_11"}, []string{"hostname", "zebra-tc52"}},
		{"radius", "access_request", []string{"role", "client", "hostname", "other"}, []string{"hostname", ""}},
		{"dhcpv6", "solicit", []string{"fqdn", "vent-12.clinic.example", "vendor_class", "MSFT 5.0"}, []string{"hostname", "vent-12.clinic.example", "os", "Windows"}},
		{"quic", "client_hello", []string{"role", "client", "sni", "device.maker.example", "ja4", "q13d0310h3_55b375c5d22e_cd85d2d88918"}, []string{"tls_sni", "device.maker.example"}},
		{"fhir", "device", []string{"manufacturer", "Masimo", "model", "Radical-7", "serial", "77120", "software_version", "1.4"}, []string{"manufacturer", "Masimo", "model", "Radical-7", "serial", "77120", "software_version", "1.4"}},
		{"dicomweb", "instance", []string{"manufacturer", "Esaote", "model", "MyLab X8", "serial", "8812", "modality", "US"}, []string{"manufacturer", "Esaote", "model", "MyLab X8", "type", "ultrasound"}},
		{"ntp", "control", []string{"role", "server", "os", "Linux/5.10.0-8-amd64"}, []string{"os", "Linux", "os_version", "5.10.0-8-amd64"}},
		{"tds", "prelogin", []string{"role", "server", "product", "Microsoft SQL Server"}, []string{"os", "Windows", "model", ""}},
		{"tcp", "syn", []string{"role", "client", "stack", "128 MNWNNS"}, []string{"os", "Windows"}},
		{"tcp", "syn", []string{"role", "client", "stack", "255 M"}, []string{"os", ""}},
		{"hl7", "equipment", []string{"modules[]", "8100 LVP", "part_number", "10015896"}, []string{"module", "8100 LVP", "part_number", "10015896"}},
		{"intellivue", "mds", []string{"role", "monitor", "part_number", "866064"}, []string{"part_number", "866064", "type", "patient_monitor"}},
	} {
		w := newWard(t)
		o := seen(c.protocol, c.kind, 7, noon, c.says...)
		o.MAC = proto.MAC{0x02, 0, 0, 0, 0, 7} // of no maker
		o.Endpoint = proto.MACEndpoint("st-alban", o.MAC)
		for i := 0; i < len(c.says); i += 2 {
			if name, list := strings.CutSuffix(c.says[i], "[]"); list {
				o.Attributes.SetList(name, []string{c.says[i+1]})
			}
		}
		w.item(proto.Item{Observation: o})
		w.beat(noon.Add(sameTenancy), true)
		d := w.devices[o.Endpoint]
		if d == nil {
			t.Fatalf("%s %s: no device", c.protocol, c.kind)
		}
		for i := 0; i < len(c.want); i += 2 {
			name, want := c.want[i], c.want[i+1]
			var got []string
			if f := fact[name]; f == nil {
				for _, e := range d.Evidence {
					if e.Attribute == name {
						got = append(got, e.Value)
					}
				}
			} else if v := f(d); v != nil {
				got = append(got, v.Value)
			}
			if (want == "") != (len(got) == 0) || (want != "" && !slices.Contains(got, want)) {
				t.Errorf("%s %s: %s %q, want %q", c.protocol, c.kind, name, got, want)
			}
		}
	}
}
