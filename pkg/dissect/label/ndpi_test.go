package label_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/label"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// ours are our names of nDPI's protocols.
var ours = map[string][]string{
	"MySQL": {"mysql"}, "PostgreSQL": {"postgresql"}, "MsSQL-TDS": {"tds"}, "Oracle": {"oracle"}, "MongoDB": {"mongodb"}, "RESP": {"redis"}, "Cassandra": {"cassandra"},
	"Memcached": {"memcached"}, "DRDA": {"drda"}, "Elasticsearch": {"elasticsearch", "http"}, "AMQP": {"amqp"}, "Jabber": {"xmpp"}, "IRC": {"irc"}, "STOMP": {"stomp"}, "Nats": {"nats"},
	"Kafka": {"kafka"}, "FIX": {"fix"}, "RTPS": {"rtps"}, "JRMI": {"jrmi"}, "AJP": {"ajp"}, "Zabbix": {"zabbix"}, "Munin": {"munin"}, "collectd": {"collectd"}, "MGCP": {"mgcp"},
	"IAX": {"iax"}, "CiscoSkinny": {"skinny"}, "H323": {"h323"}, "RTMP": {"rtmp"}, "BGP": {"bgp"}, "LDP": {"ldp"}, "BFD": {"bfd"}, "HSRP": {"hsrp"}, "RIP": {"rip"},
	"Service_Location_Protocol": {"slp"}, "NetFlow": {"netflow", "ipfix"}, "IPFIX": {"ipfix"}, "sFlow": {"sflow"}, "XDMCP": {"xdmcp"}, "NAT-PMP": {"natpmp"}, "UBNTAC2": {"ubnt"},
	"Diameter": {"diameter"}, "GTP": {"gtp"}, "GTP_C": {"gtp"}, "GTP_U": {"gtp"}, "GTP_PRIME": {"gtp"}, "PFCP": {"pfcp"}, "Syncthing": {"syncthing"}, "Dropbox": {"dropbox"}, "BitTorrent": {"bittorrent"},
	"IPSec": {"isakmp", "esp"}, "WireGuard": {"wireguard"}, "OpenVPN": {"openvpn"}, "DTLS": {"dtls"}, "PPTP": {"pptp"}, "Teredo": {"teredo"}, "NFS": {"nfs", "rpc"}, "RSYNC": {"rsync"},
	"Git": {"git"}, "AFP": {"afp"}, "Citrix": {"ica"}, "NoMachine": {"nomachine"}, "TeamViewer": {"teamviewer"}, "Radmin": {"radmin"}, "iSCSI": {"iscsi"},
	"COAP": {"coap"}, "BeckhoffADS": {"ads"}, "FINS": {"fins"}, "ANSI_C1222": {"c1222"}, "CNP-IP": {"cnp_ip"}, "Ether-S-Bus": {"ether_s_bus"}, "SOMEIP": {"someip"}, "TRDP": {"trdp"},
	"RSH": {"rsh"}, "Whois-DAS": {"whois"}, "Usenet": {"nntp"}, "Gearman": {"gearman"}, "Kismet": {"kismet"}, "Ceph": {"ceph"}, "Tacacs": {"tacacs"},
}

// differs says why we and nDPI differ about flows of a capture.
var differs = map[string]string{
	"bittorrent_utp.pcap":                  "of uTP only the opening packet is known",
	"coap_mqtt.pcap":                       "CoAP on Dropbox's port",
	"collectd.pcap":                        "a part's length leads out of the packet",
	"h323.pcap":                            "messages of RAS without H.225.0's version",
	"jabber.pcap":                          "port 5223: not XMPP, but Apple's push or TLS",
	"lru_ipv6_caches.pcapng":               "of uTP only the opening packet is known",
	"nomachine.pcapng":                     "NoMachine over UDP",
	"ossfuzz_seed_fake_traces_2.pcapng":    "single invented packets; TruPhone is XMPP",
	"stun_dtls_unidirectional_client.pcap": "STUN, and DTLS behind it",
	"stun_dtls_unidirectional_server.pcap": "STUN, and DTLS behind it",
	"stun_zoom.pcapng":                     "STUN, and DTLS behind it",
	"teamviewer.pcap":                      "TeamViewer over UDP",
}

var line = regexp.MustCompile(`^\s+\d+\s+(TCP|UDP) (\S+) (?:<->|->|<-) (\S+) \[proto: [^/\]]*/([^\]]*)\].*\[Confidence: DPI\]`)

// TestNDPI compares with the flows that nDPI knows by their content, on the captures
// of its own tests: what it names, and what we do.
func TestNDPI(t *testing.T) {
	root := repotest.Shared(t, "captures/nDPI")
	names := map[string]bool{}
	for _, p := range label.Protocols {
		names[p.Name] = true
	}
	results, err := filepath.Glob(root + "/result/*.out")
	if err != nil || len(results) < 100 {
		t.Fatal(len(results), err)
	}
	total, equal := 0, 0
	for _, path := range results {
		name := strings.TrimSuffix(filepath.Base(path), ".out")
		capture := filepath.Join(root, "pcap", name)
		if _, err := os.Stat(capture); err != nil {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		type ends [2]netip.AddrPort
		flows := map[ends]string{}
		for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, capture)).Flows {
			flows[ends{netip.AddrPortFrom(f.SrcIP, f.SrcPort), netip.AddrPortFrom(f.DstIP, f.DstPort)}] = strings.TrimSuffix(f.Protocol+" "+f.By, " content")
		}
		for _, l := range strings.Split(string(b), "\n") {
			m := line.FindStringSubmatch(l)
			if m == nil {
				continue
			}
			x, err1 := netip.ParseAddrPort(m[2])
			y, err2 := netip.ParseAddrPort(m[3])
			if err1 != nil || err2 != nil {
				continue
			}
			got, known := flows[ends{x, y}]
			if !known {
				got, known = flows[ends{y, x}]
			}
			theirs, _, _ := strings.Cut(m[4], ".")
			want := ours[theirs]
			if !known || want == nil && !names[got] {
				continue
			}
			total++
			right := false
			for _, w := range want {
				right = right || w == got
			}
			if right {
				equal++
				continue
			}
			if differs[name] == "" {
				t.Errorf("%s %s %s: nDPI %s, ours %q", name, x, y, m[4], got)
			}
		}
	}
	t.Logf("%d of %d equal", equal, total)
	if total < 150 {
		t.Errorf("only %d labels were compared", total)
	}
}
