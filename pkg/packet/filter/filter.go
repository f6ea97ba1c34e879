// Package filter compiles packet filter expressions, in the syntax that tcpdump
// made usual (pcap-filter(7)), to programs that the kernel runs on each frame
// (classic BPF).
//
// It knows a documented part of the language: see Language. What it knows means
// what libpcap means by it, with one difference: VLAN tags are looked through.
// `host 10.0.0.1` takes that host's frames with and without tags, and `vlan 5`
// moves nothing for what follows it. Nothing here captures or looks up a name.
package filter

import (
	"fmt"
	"strings"

	"golang.org/x/net/bpf"

	"github.com/wardflow/wardflow/pkg/packet"
)

// Language is the part of the filter language that Compile knows, for help texts.
const Language = `  host ADDRESS, net CIDR, port N, portrange N-M     each with src or dst before it; several: port 80 or 443
  ip, ip6, arp, rarp, tcp, udp, sctp, icmp, icmp6, igmp, pim, vrrp, ah, esp    also before the above: tcp dst port 104
  ip proto N, ip6 proto N, proto N, ether proto N
  vlan, vlan ID                                     in any tag; other tests see through tags
  ether host MAC, broadcast, multicast, less N, greater N
  and, or, not, parentheses                         and and or bind alike, from left to right`

// Config says which frames a program is for.
type Config struct {
	Link packet.LinkType // Ethernet or raw IP
	// Stripped says that the kernel may have taken the outermost VLAN tag off and
	// keeps it beside the frame, as it does on a packet socket.
	Stripped bool
}

// Error is what is wrong with an expression, and where.
type Error struct {
	Expression string
	At         int // byte
	Reason     string
}

// Error quotes the expression up to the mistake.
func (e *Error) Error() string {
	if e.At >= len(e.Expression) {
		return fmt.Sprintf("filter %q: at the end: %s", e.Expression, e.Reason)
	}
	return fmt.Sprintf("filter %q: at character %d, before %q: %s", e.Expression, e.At+1, e.Expression[e.At:], e.Reason)
}

// keep is how many bytes of a frame a program keeps: all of them, as libpcap.
const keep = 1 << 18

// maxInstructions is BPF_MAXINSNS of linux/bpf_common.h.
const maxInstructions = 4096

// Compile makes a program that keeps the frames that an expression is true of.
// An empty expression takes everything and needs no program: nil. A mistake is
// an *Error.
func Compile(expression string, cfg Config) ([]bpf.RawInstruction, error) {
	code, err := compile(expression, cfg)
	if err != nil || code == nil {
		return nil, err
	}
	raw, err := bpf.Assemble(code)
	if err != nil {
		return nil, fmt.Errorf("filter %q: %w", expression, err)
	}
	return raw, nil
}

func compile(expression string, cfg Config) ([]bpf.Instruction, error) {
	switch cfg.Link {
	case packet.LinkEthernet, packet.LinkRaw:
	default:
		return nil, fmt.Errorf("filter %q: link type %d has no filters: leave the filter out", expression, cfg.Link)
	}
	if strings.TrimSpace(expression) == "" {
		return nil, nil
	}
	p := &parser{text: expression, link: cfg.Link}
	tree, err := p.parse()
	if err != nil {
		return nil, err
	}
	code := emit(prologue(cfg), tree)
	if len(code) > maxInstructions {
		return nil, &Error{Expression: expression, Reason: fmt.Sprintf("it takes %d instructions and the kernel runs at most %d: make it shorter, with net instead of many hosts", len(code), maxInstructions)}
	}
	return code, nil
}
