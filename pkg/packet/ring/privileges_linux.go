package ring

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrThreads is what DropPrivileges returns where Go does not reach all threads.
var ErrThreads = errors.New("drop privileges: impossible in a program that links C or loads C libraries: " +
	"start it with no more than it needs, under systemd with User=, AmbientCapabilities=CAP_NET_RAW, " +
	"CapabilityBoundingSet=CAP_NET_RAW and NoNewPrivileges=yes")

// DropPrivileges gives up every capability of the process, on all its threads,
// for good: no program that it starts can have more either. With keepNetRaw
// CAP_NET_RAW stays, where the process has it, so that a ring can be opened
// again after its interface went down. An open ring needs no capability.
//
// It changes nothing and returns ErrThreads in a program that links C, or the
// stand-in for it with which a pure Go program loads C libraries: Go cannot make
// a system call on every thread there (syscall.AllThreadsSyscall).
func DropPrivileges(keepNetRaw bool) error {
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		if errors.Is(e, unix.ENOTSUP) {
			return ErrThreads
		}
		return fmt.Errorf("drop privileges: set no_new_privs: %w", e)
	}
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0); e != 0 {
		return fmt.Errorf("drop privileges: clear ambient capabilities: %w", e)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have, keep [2]unix.CapUserData // 64 capabilities in two halves
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("drop privileges: read capabilities: %w", err)
	}
	if keepNetRaw {
		keep[0].Permitted = have[0].Permitted & (1 << unix.CAP_NET_RAW)
		keep[0].Effective = keep[0].Permitted
	}
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&keep[0])), 0)
	if e != 0 {
		return fmt.Errorf("drop privileges: set capabilities: %w", e)
	}
	return nil
}
