package label

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

var messaging = []*dissector.Protocol{
	tcp("stomp", begins("CONNECT\naccept-version:", "CONNECT\nhost:", "CONNECT\nlogin:", "STOMP\n", "CONNECTED\n", "CONNECT\n\n"), 61613),
	tcp("nats", begins("INFO {\"server_id\"", "CONNECT {\"verbose\""), 4222),
	atHome(tcp("kafka", kafka, 9092)),
	tcp("fix", fix),
	udp("rtps", func(_ *dissector.Context, b []byte) bool { return rtps(b) == dissector.Yes }, 7400, 7410),
	tcp("jrmi", whole("J", 7, func(b []byte) bool { // Java RMI 10.2: magic, version 1 or 2, StreamProtocol and its kin
		return string(b[:4]) == "JRMI" && b[4] == 0 && (b[5] == 1 || b[5] == 2) && b[6] >= 0x4b && b[6] <= 0x4d
	}), 1099),
	tcp("ajp", whole("\x12", 5, func(b []byte) bool { // AJP 1.3: magic, length, and a code of the first packet
		return b[0] == 0x12 && b[1] == 0x34 && be16(b[2:]) > 0 && be16(b[2:]) <= 8192 && (b[4] == 2 || b[4] == 7 || b[4] == 8 || b[4] == 10)
	}), 8009),
	tcp("zabbix", whole("Z", 13, func(b []byte) bool { return string(b[:4]) == "ZBXD" && b[4]&1 == 1 && b[4] < 8 }), 10050, 10051),
	tcp("munin", begins("# munin node at "), 4949),
	udp("collectd", collectd, 25826),
	udp("mgcp", mgcp, 2427, 2727),
	udp("iax", iax, 4569),
	atHome(tcp("skinny", skinny, 2000)),
	atHome(both("h323", h323, func(_ *dissector.Context, b []byte) bool { // RAS that names H.225.0's version: 0.0.8.2250.0
		return bytes.Contains(b[:min(len(b), 32)], []byte{6, 0, 8, 0x91, 0x4a, 0})
	}, 1719, 1720)),
	tcp("rtmp", whole("\x03", 9, func(b []byte) bool { // RTMP 5.2: C0 with version 3, C1 with a time and four zeros
		return b[0] == 3 && b[5]|b[6]|b[7]|b[8] == 0 && b[1] < 0x10
	}), 1935),
}

// kafka knows a request: length, a key and a version that exist, a number, and the
// client's name (Kafka's documentation, protocol guide).
func kafka(b []byte) dissector.Verdict {
	if len(b) < 14 {
		return dissector.More
	}
	n, name := be32(b), be16(b[12:])
	return yes(n >= 10 && n < 100<<20 && be16(b[4:]) <= 92 && be16(b[6:]) <= 20 && (name == 0xffff || name < 256 && printable(b[14:min(len(b), 14+name)])))
}

// fix knows the first two fields of a message, BeginString and BodyLength (FIX 4.2).
func fix(b []byte) dissector.Verdict {
	if v := begins("8=")(b); v != dissector.Yes {
		return v
	}
	version, rest, found := bytes.Cut(b[2:], []byte{1})
	switch {
	case len(version) > 9 || !printable(version):
		return dissector.No
	case !found:
		return dissector.More
	}
	v := begins("9=")(rest)
	if v == dissector.Yes && len(rest) > 2 {
		return yes(rest[2] >= '0' && rest[2] <= '9')
	} else if v == dissector.Yes {
		return dissector.More
	}
	return v
}

// rtps knows the header of a DDS message (OMG DDSI-RTPS 9.4.1).
func rtps(b []byte) dissector.Verdict {
	return whole("R", 20, func(b []byte) bool {
		return (string(b[:4]) == "RTPS" || string(b[:4]) == "RTPX") && b[4] <= 2 && b[5] <= 10
	})(b)
}

// collectd walks the parts of a packet, which begins with a host's name (collectd's
// wiki, binary protocol).
func collectd(_ *dissector.Context, b []byte) bool {
	if len(b) < 8 || be16(b) != 0 || be16(b[2:]) < 6 || be16(b[2:]) > len(b) || b[be16(b[2:])-1] != 0 {
		return false
	}
	for len(b) > 0 {
		if len(b) < 4 || be16(b) > 0x0210 || be16(b[2:]) < 4 || be16(b[2:]) > len(b) {
			return false
		}
		b = b[be16(b[2:]):]
	}
	return true
}

// mgcp knows a command with its version, or an answer on the port (RFC 3435 3.2).
func mgcp(c *dissector.Context, b []byte) bool {
	line := b[:min(len(b), 200)]
	if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	if len(line) < 5 || !printable(line) {
		return false
	}
	switch string(line[:5]) {
	case "EPCF ", "CRCX ", "MDCX ", "DLCX ", "RQNT ", "NTFY ", "AUEP ", "AUCX ", "RSIP ":
		return bytes.Contains(line, []byte(" MGCP "))
	}
	return on(c, 2427, 2727) && line[0] >= '1' && line[0] <= '8' && line[3] == ' ' && line[4] >= '0' && line[4] <= '9'
}

// iax knows a full frame whose type and subclass exist, on its port (RFC 5456 8.1.1).
func iax(c *dissector.Context, b []byte) bool {
	return on(c, 4569) && len(b) >= 12 && b[0]&0x80 != 0 && b[10] >= 1 && b[10] <= 10 && b[11] != 0 && (len(b) == 12 || b[10] != 6 || len(b) >= 14)
}

// skinny knows SCCP: length, a version that is zero or small, a message's number.
func skinny(b []byte) dissector.Verdict {
	if len(b) < 12 {
		return dissector.More
	}
	n, header, id := le32(b), le32(b[4:]), le32(b[8:])
	return yes(n >= 4 && n < 4096 && header <= 32 && (id <= 0x60 || id >= 0x81 && id <= 0x160))
}

// h323 knows TPKT with a message of Q.931 (RFC 1006 6, ITU-T H.225.0).
func h323(b []byte) dissector.Verdict {
	return whole("\x03", 6, func(b []byte) bool { return b[0] == 3 && b[1] == 0 && be16(b[2:]) > 9 && b[4] == 8 && b[5] <= 2 })(b)
}
