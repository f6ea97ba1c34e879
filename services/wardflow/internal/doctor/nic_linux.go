package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// interfaces is where the kernel tells of its interfaces.
const interfaces = "/sys/class/net"

// Interfaces lists what could capture.
func Interfaces() []string {
	list, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var names []string
	for _, i := range list {
		if i.Flags&net.FlagLoopback == 0 {
			names = append(names, i.Name)
		}
	}
	slices.Sort(names)
	return names
}

// ReadInterface looks at an interface.
func ReadInterface(name string) *Interface {
	n := &Interface{Name: name}
	i, err := net.InterfaceByName(name)
	if err != nil {
		n.Err, n.Others = fmt.Errorf("there is no interface %q", name), Interfaces()
		return n
	}
	n.Up, n.MTU = i.Flags&net.FlagUp != 0, i.MTU
	sys := filepath.Join(interfaces, filepath.Base(name))
	n.Carrier = sysText(sys, "carrier") == "1"
	n.Kind = kindOf(sys)
	if to, err := os.Readlink(filepath.Join(sys, "device", "driver")); err == nil {
		n.Driver = filepath.Base(to)
	}
	if to, err := os.Readlink(filepath.Join(sys, "master")); err == nil {
		n.Master = filepath.Base(to)
	}
	n.Packets = sysCount(sys, "rx_packets")
	n.Dropped = sysCount(sys, "rx_missed_errors") + sysCount(sys, "rx_fifo_errors") + sysCount(sys, "rx_over_errors")
	if addrs, err := i.Addrs(); err == nil {
		for _, a := range addrs {
			if p, ok := a.(*net.IPNet); ok && !p.IP.IsLinkLocalUnicast() {
				n.Addresses = append(n.Addresses, p.IP.String())
			}
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		n.FeaturesErr = os.NewSyscallError("socket", err)
		return n
	}
	defer func() { _ = unix.Close(fd) }()
	n.Features, n.FeaturesErr = features(fd, name)
	n.RingSize, n.RingOf = ringSizes(fd, name)
	return n
}

func sysText(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil { // reading carrier of an interface that is down fails
		return ""
	}
	return strings.TrimSpace(string(b))
}

func sysCount(dir, name string) uint64 {
	v, err := strconv.ParseUint(sysText(dir, "statistics/"+name), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// kindOf goes by the ARPHRD number (linux/if_arp.h).
func kindOf(sys string) string {
	for _, sub := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat(filepath.Join(sys, sub)); err == nil {
			return "wireless"
		}
	}
	switch sysText(sys, "type") {
	case "1":
		return "ethernet"
	case "772":
		return "loopback"
	case "801", "802", "803":
		return "wireless"
	case "768", "769", "776", "778", "65534":
		return "tunnel"
	}
	return "other"
}

// ethtool asks the driver (linux/ethtool.h); request begins with the command,
// and is overwritten by the answer. None of the commands here sets anything.
func ethtool(fd int, name string, request []byte) error {
	var ifr struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24 - unsafe.Sizeof(uintptr(0))]byte
	}
	if len(name) >= len(ifr.name) {
		return errors.New("the interface's name is too long")
	}
	copy(ifr.name[:], name)
	ifr.data = unsafe.Pointer(&request[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(request)
	if errno != 0 {
		return os.NewSyscallError("ioctl SIOCETHTOOL", errno)
	}
	return nil
}

// featureNames is ETH_SS_FEATURES of enum ethtool_stringset.
const featureNames = 4

// features gives what is active, by the names that `ethtool -k` calls long ones.
//
//	struct ethtool_sset_info { u32 cmd, reserved; u64 sset_mask; u32 data[]; }
//	struct ethtool_gstrings  { u32 cmd, string_set, len; u8 data[]; }      32 bytes each
//	struct ethtool_gfeatures { u32 cmd, size; struct { u32 available, requested, active, never_changed; } features[]; }
func features(fd int, name string) (map[string]bool, error) {
	order := binary.NativeEndian
	info := make([]byte, 20)
	order.PutUint32(info, unix.ETHTOOL_GSSET_INFO)
	order.PutUint64(info[8:], 1<<featureNames)
	if err := ethtool(fd, name, info); err != nil {
		return nil, err
	}
	n := int(order.Uint32(info[16:]))
	if order.Uint64(info[8:]) == 0 || n == 0 || n > 1024 {
		return nil, errors.New("the driver names no features")
	}
	const textLen = 32
	texts := make([]byte, 12+n*textLen)
	order.PutUint32(texts, unix.ETHTOOL_GSTRINGS)
	order.PutUint32(texts[4:], featureNames)
	order.PutUint32(texts[8:], uint32(n))
	if err := ethtool(fd, name, texts); err != nil {
		return nil, err
	}
	blocks := (n + 31) / 32
	bits := make([]byte, 8+blocks*16)
	order.PutUint32(bits, unix.ETHTOOL_GFEATURES)
	order.PutUint32(bits[4:], uint32(blocks))
	if err := ethtool(fd, name, bits); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for i := range n {
		text := unix.ByteSliceToString(texts[12+i*textLen : 12+(i+1)*textLen])
		if text != "" {
			out[text] = order.Uint32(bits[8+i/32*16+8:])&(1<<(i%32)) != 0
		}
	}
	return out, nil
}

// ringSizes reads struct ethtool_ringparam: cmd, rx_max, mini, jumbo, tx_max,
// rx, ..., u32 each. Virtual interfaces have none.
func ringSizes(fd int, name string) (now, most uint32) {
	ring := make([]byte, 36)
	binary.NativeEndian.PutUint32(ring, unix.ETHTOOL_GRINGPARAM)
	if ethtool(fd, name, ring) != nil {
		return 0, 0
	}
	return binary.NativeEndian.Uint32(ring[20:]), binary.NativeEndian.Uint32(ring[4:])
}
