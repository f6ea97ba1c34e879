package packet

// Reason says why a frame gave no usable headers, or what was odd about it. OK
// and FragmentWait are not losses: the first is a usable frame (which need not
// carry IP), the second a fragment whose datagram is not complete yet.
type Reason uint8

// The reasons.
const (
	OK                 Reason = iota
	FragmentWait              // kept until its datagram is complete
	LinkUnsupported           // link type that is not decoded
	LinkCut                   // frame ends inside its link header
	LinkMalformed             // the link header contradicts itself
	LinkTags                  // more VLAN tags, or other headers before the IP header, than maxTags
	LinkProtected             // 802.11 frame with an encrypted payload
	LinkDamaged               // the receiver says that the frame's check sequence was wrong
	LinkFragment              // fragment of a frame, which is not put together: 802.11 after the first, multilink PPP, CAPWAP
	LinkAggregate             // 802.11 frames with several packets (A-MSDU): the first is used
	TunnelDeep                // packets in more than MaxTunnels tunnels: used as what the innermost of these says
	TunnelBroken              // packets of a tunnel whose content does not decode: used as the outer packet
	IPCut                     // frame ends inside its IP header
	IPMalformed               // version, header length or total length contradict each other
	IPExtension               // IPv6 extension header chain broken or longer than maxExtensions
	TransportCut              // snaplen leaves too little of the transport header
	TransportMalformed        // the packet's own length leaves too little for its transport header
	FragmentMalformed         // length not a multiple of 8, or beyond 65,535 bytes
	FragmentTooMany           // more fragments in one datagram than maxFragments
	FragmentIncomplete        // packets of a datagram whose other fragments did not come in time
	FragmentEvicted           // packets of a datagram given up because the memory for fragments was full
	FragmentOverlap           // datagrams whose fragments overlapped; they are used, the first byte wins
	FragmentDuplicate         // fragments that came twice
	Reasons                   // how many there are
)

var reasonNames = [Reasons]string{
	"ok", "fragment_wait", "link_unsupported", "link_cut", "link_malformed", "link_tags", "link_protected", "link_damaged", "link_fragment", "link_aggregate",
	"tunnel_deep", "tunnel_broken", "ip_cut", "ip_malformed", "ip_extension",
	"transport_cut", "transport_malformed", "fragment_malformed", "fragment_too_many", "fragment_incomplete",
	"fragment_evicted", "fragment_overlap", "fragment_duplicate",
}

// String gives the reason's name in summary.json and in metrics.
func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Counters counts frames by reason.
type Counters [Reasons]uint64

// Each calls f for every reason but OK and FragmentWait that was counted, in order.
func (c *Counters) Each(f func(name string, n uint64)) {
	for r := LinkUnsupported; r < Reasons; r++ {
		if c[r] > 0 {
			f(r.String(), c[r])
		}
	}
}
