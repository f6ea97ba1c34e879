package anomaly

import (
	"math/bits"
	"slices"
	"strconv"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

const (
	// scanPause is how long a slow scan may rest between two probes of a target.
	scanPause = 30 * time.Minute
	// scanMore is how many ports of a further target make it one of a scan that is
	// under way.
	scanMore = 3
)

var scanAll = [peerLen]byte{0: 0xfe} // a scan is one detection, whatever its targets

// failed reports a try that was not answered, or refused. UDP tells by silence
// alone; traceroute's ports (33434 and up) are not tries.
func failed(f *proto.Flow) bool {
	switch f.Transport {
	case proto.TCP:
		switch f.State {
		case "S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR":
			return true
		case "RSTO": // half-open: the port answered, and the scanner hung up at once
			return f.SrcPayloadBytes+f.DstPayloadBytes == 0
		}
	case proto.UDP:
		return f.DstPackets == 0 && (f.DstPort < 33434 || f.DstPort > 33534)
	}
	return false
}

// scan counts the ports of a target that were tried in vain.
func (c *call) scan(f *proto.Flow) {
	if f.Part != 0 || !failed(f) || c.p.mute(f.Start) {
		return
	}
	ip := f.DstIP.Unmap()
	if f.DstMAC.IsGroup() || ip.IsMulticast() || !ip.IsGlobalUnicast() {
		return
	}
	target := scanTarget(f)
	key := slices.Concat(c.id[:], target[:])
	a := scans.Get(c.tx, key)
	if a == nil || f.Start.Sub(a.last) > scanPause {
		fresh := a == nil
		a = scans.Edit(c.tx, key)
		*a = attempts{first: f.Start, last: f.End}
		if fresh {
			c.tx.Timer(c.tx.Now().Add(scanPause), append([]byte{timerScan}, key...))
		}
	} else {
		a = scans.Edit(c.tx, key)
	}
	a.n++
	a.last = max(a.last, f.End)
	a.bits[f.DstPort%512/8] |= 1 << (f.DstPort % 8)
	c.judge(f, a)
}

func (a *attempts) ports() (n int) {
	for _, b := range a.bits {
		n += bits.OnesCount8(b)
	}
	return n
}

// judge reports a scan, or adds to the one under way.
func (c *call) judge(f *proto.Flow, a *attempts) {
	limit := defaultScanPorts
	if c.p.PortScanPorts > 0 {
		limit = c.p.PortScanPorts
	}
	ports := a.ports()
	ip := f.DstIP.Unmap().String()
	under := c.alive(portScan, scanAll, f.Start)
	switch {
	case under != nil && hasTarget(under, f):
		c.repeat(under, f.End, 1)
	case under != nil && ports >= min(scanMore, limit):
		c.target(under, ip)
		c.repeat(under, f.End, a.n)
	case under == nil && ports >= limit:
		k := c.kind()
		severity := proto.SeverityMedium
		if k.category != "it" && k.category != "network" {
			severity = proto.SeverityHigh // nothing else has a reason to
		}
		c.detect(portScan, scanAll, &proto.Detection{
			Rule: portScan.name, Severity: severity, First: a.first, Last: f.End, Targets: []string{ip}, Attack: portScan.attack, Count: a.n,
			Title:    title(k) + " scans ports, first of " + ip,
			Evidence: proto.Object{"ports": strconv.Itoa(ports), "transport": f.Transport.String(), "flow_id": f.FlowID.String()},
		})
	}
}

// foldIntoScan adds a host that answered to the scan that is under way, if one is.
func (c *call) foldIntoScan(f *proto.Flow) bool {
	d := c.alive(portScan, scanAll, f.Start)
	if d == nil {
		return false
	}
	c.target(d, f.DstIP.Unmap().String())
	c.repeat(d, f.End, 1)
	return true
}

// forgetScan drops attempts that have rested.
func (c *call) forgetScan(t stream.Timer, key []byte) {
	a := scans.Get(c.tx, key)
	switch {
	case a == nil:
	case t.At.Sub(a.last) < scanPause:
		c.tx.Timer(a.last.Add(scanPause), t.Key)
	default:
		scans.Delete(c.tx, key)
	}
}
