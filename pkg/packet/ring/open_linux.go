package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/wardflow/wardflow/pkg/packet"
)

// frameBytes is nominal: TPACKET_V3 packs frames as they come, but the kernel
// wants a multiple of 16 that divides the block.
const frameBytes = 2048

// Open opens a ring. The socket has protocol 0 until everything is in place, so
// the first packet that the ring sees has passed the filter. The error says what
// to do where the right, the interface or the memory is missing; it wraps
// ErrDown where the interface is down.
func Open(cfg Config) (*Ring, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open ring: %w", err)
	}
	r := &Ring{cfg: cfg, fd: -1, wake: -1}
	if err := r.open(); err != nil {
		_ = r.release()
		return nil, fmt.Errorf("open ring on interface %s: %w", cfg.Interface, err)
	}
	return r, nil
}

func (r *Ring) open() error {
	index, err := findInterface(r.cfg.Interface)
	if err != nil {
		return err
	}
	r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("make socket: %w", explain(err))
	}
	if r.link, err = linkType(r.fd, r.cfg.Interface); err != nil {
		return err
	}
	if err := r.memory(); err != nil {
		return err
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("make eventfd: %w", err)
	}
	if err := r.attach(index); err != nil {
		return err
	}
	r.block = Block{link: r.link, snap: r.cfg.SnapLen, outgoing: r.cfg.Outgoing}
	return nil
}

// memory makes the ring and maps it.
func (r *Ring) memory() error {
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("choose TPACKET_V3, which needs Linux 3.2: %w", err)
	}
	// Room before each frame for a VLAN tag that was taken off. With a header of 14
	// bytes the kernel's alignment leaves it anyway, with a longer one not always.
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_RESERVE, vlanTag); err != nil {
		return fmt.Errorf("reserve room for VLAN tags: %w", err)
	}
	size := r.cfg.BlockBytes * r.cfg.Blocks
	err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size:     uint32(r.cfg.BlockBytes),
		Block_nr:       uint32(r.cfg.Blocks),
		Frame_size:     frameBytes,
		Frame_nr:       uint32(size / frameBytes),
		Retire_blk_tov: uint32(r.cfg.BlockTimeout.Milliseconds()),
	})
	switch {
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("make ring of %d blocks of %d bytes: %w: lower the number of blocks or free memory", r.cfg.Blocks, r.cfg.BlockBytes, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("make ring of %d blocks of %d bytes: %w: blocks must be a multiple of the page size, %d", r.cfg.Blocks, r.cfg.BlockBytes, err, os.Getpagesize())
	case err != nil:
		return fmt.Errorf("make ring of %d blocks of %d bytes: %w", r.cfg.Blocks, r.cfg.BlockBytes, err)
	}
	r.ring, err = unix.Mmap(r.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		r.ring = nil
		return fmt.Errorf("map ring of %d bytes: %w", size, err)
	}
	return nil
}

// attach sets the filter and only then binds. A ring of a fanout group can join
// it only when bound; until it has, a filter that takes nothing keeps it from
// receiving what the others of its group receive too.
func (r *Ring) attach(index int) error {
	wanted := limited(r.cfg.Filter, r.cfg.SnapLen)
	first := wanted
	if r.cfg.Fanout || r.cfg.FanoutWith != nil {
		first = []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}}
	}
	if err := setFilter(r.fd, first); err != nil {
		return err
	}
	if !r.cfg.Outgoing {
		// Since Linux 4.20. Before it, Block.Next leaves these packets out.
		err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		if err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			return fmt.Errorf("ignore outgoing packets: %w", err)
		}
	}
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if r.cfg.Promiscuous {
		mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
			return fmt.Errorf("receive promiscuously: %w", err)
		}
	}
	if !r.cfg.Fanout && r.cfg.FanoutWith == nil {
		return nil
	}
	if err := r.fanout(); err != nil {
		return err
	}
	return setFilter(r.fd, wanted)
}

// fanout joins the group, or begins one. By flow hash, which is that of both
// directions: so all packets of a flow go to one ring. Fragments of IPv4 are put
// together before, because only the first has ports to hash.
func (r *Ring) fanout() error {
	how := unix.PACKET_FANOUT_HASH | unix.PACKET_FANOUT_FLAG_DEFRAG
	if !r.cfg.Outgoing { // in a group, the group's word counts; older kernels do not know it, and Block.Next leaves these packets out
		how |= unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
	}
	if other := r.cfg.FanoutWith; other != nil {
		r.group = other.group
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, int(r.group)|how<<16); err != nil {
			return fmt.Errorf("join fanout group %d: %w", r.group, err)
		}
		return nil
	}
	how |= unix.PACKET_FANOUT_FLAG_UNIQUEID
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, how<<16); err != nil {
		return fmt.Errorf("begin a fanout group, which needs Linux 4.12: %w: capture with one worker", err)
	}
	got, err := unix.GetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return fmt.Errorf("read the number of the fanout group: %w", err)
	}
	r.group = uint16(got)
	return nil
}

// limited is the filter with the snap length in it, so that the kernel copies no
// more: a BPF program returns how many bytes to keep. A program that computes
// that (BPF_RET|BPF_A) stays as it is, and Block.Next cuts.
func limited(filter []bpf.RawInstruction, snap int) []bpf.RawInstruction {
	if snap == 0 {
		return filter
	}
	keep := uint32(min(snap, 1<<30))
	if len(filter) == 0 {
		return []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K, K: keep}}
	}
	out := append([]bpf.RawInstruction(nil), filter...)
	for i := range out {
		if out[i].Op == unix.BPF_RET|unix.BPF_K {
			out[i].K = min(out[i].K, keep)
		}
	}
	return out
}

// setFilter puts a filter in place of the one before, in one step; an empty one
// leaves the socket as it is, or takes the one before off.
func setFilter(fd int, filter []bpf.RawInstruction) error {
	if len(filter) == 0 {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("take filter off: %w", err)
		}
		return nil
	}
	code := make([]unix.SockFilter, len(filter))
	for i, in := range filter {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attach filter of %d instructions: %w", len(filter), err)
	}
	return nil
}

// findInterface is the index of an interface that is there and up.
func findInterface(name string) (int, error) {
	all, err := net.Interfaces()
	if err != nil {
		return 0, fmt.Errorf("list interfaces: %w", err)
	}
	names := make([]string, 0, len(all))
	for _, i := range all {
		if i.Name != name {
			names = append(names, i.Name)
			continue
		}
		if i.Flags&net.FlagUp == 0 {
			return 0, fmt.Errorf("%w: `ip link set dev %s up`", ErrDown, name)
		}
		return i.Index, nil
	}
	if len(names) == 0 {
		names = append(names, "none at all")
	}
	return 0, fmt.Errorf("there is no such interface: there are %s", strings.Join(names, ", "))
}

// LinkTypeOf is the link layer of the frames of an interface. It needs no
// privilege. The error says what to do when it is one that is not understood.
func LinkTypeOf(name string) (packet.LinkType, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("make socket to ask for interface %s: %w", name, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return linkType(fd, name)
}

// linkType reads the hardware type (ARPHRD_* of linux/if_arp.h).
func linkType(fd int, name string) (packet.LinkType, error) {
	if name == "any" {
		return 0, errors.New("name the interfaces that the mirror ports are connected to: \"any\" would see traffic of bridges, bonds and VLANs twice")
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("name of the interface: %w", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, req); err != nil {
		if errors.Is(err, unix.ENODEV) {
			_, err = findInterface(name)
		}
		return 0, fmt.Errorf("read the hardware type: %w", err)
	}
	// The request now has a struct sockaddr, which begins with the type.
	switch hardware := req.Uint16(); hardware {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return packet.LinkEthernet, nil
	case unix.ARPHRD_NONE, unix.ARPHRD_RAWIP:
		return packet.LinkRaw, nil
	default:
		return 0, fmt.Errorf("hardware type %d (ARPHRD_* of linux/if_arp.h) is neither Ethernet nor raw IP: capture on the Ethernet interface below it", hardware)
	}
}

// explain adds what to do to the lack of a right.
func explain(err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	file, e := os.Executable()
	if e != nil {
		file = "FILE"
	}
	return fmt.Errorf("%w: capturing needs CAP_NET_RAW; give it in one of three ways: `sudo setcap cap_net_raw+ep %s`, "+
		"or systemd with AmbientCapabilities=CAP_NET_RAW, or start it with sudo, and it gives up all other rights at once", err, file)
}

// networkOrder is htons.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
