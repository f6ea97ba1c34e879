package ring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// confined tells a program that was started again by Confine that it was. Its
// value is the process id, which exec keeps, so that children do not take it for theirs.
const confined = "WARDFLOW_CONFINED"

const netRaw = 1 << unix.CAP_NET_RAW

// ErrNotConfined is wrapped by the error of Confine when the process has more
// than CAP_NET_RAW and cannot get rid of it. It can capture all the same.
var ErrNotConfined = errors.New("cannot give up rights that are not needed: start it as an ordinary user with CAP_NET_RAW only")

// Confine gives up, for good, every capability of the process but CAP_NET_RAW,
// which is all that opening a ring needs. A process that has no more, or not even
// that, stays as it is. Any other starts itself again (exec: same process id,
// arguments, open files), so it is called first of all: Go has many threads,
// capabilities belong to threads, and a program that loads C libraries cannot
// change them on all threads at once (syscall.AllThreadsSyscall). Children cannot
// get more either (no_new_privs).
//
// With children the bounding set stays. It is not needed for that, and without it
// the kernel refuses to start a program whose file carries capabilities, as
// ClickHouse's does in some distributions.
func Confine(children bool) error {
	guard := os.Getenv(confined)
	if err := os.Unsetenv(confined); err != nil {
		return fmt.Errorf("confine: %w", err)
	}
	runtime.LockOSThread() // for capabilities; exec takes those of the calling thread
	defer runtime.UnlockOSThread()
	header, have, err := capabilities()
	if err != nil {
		return fmt.Errorf("confine: %w", err)
	}
	permitted := uint64(have[1].Permitted)<<32 | uint64(have[0].Permitted)
	switch {
	case permitted&netRaw == 0 || permitted == netRaw:
		return nil
	case guard == fmt.Sprint(os.Getpid()):
		return fmt.Errorf("confine: %w", ErrNotConfined)
	}
	// From here on a failure leaves this thread with less than the others.
	if err := shrink(header, have, children); err != nil {
		return fmt.Errorf("confine: %w: %w", err, ErrNotConfined)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("confine: find our own binary: %w", err)
	}
	environ := append(os.Environ(), fmt.Sprintf("%s=%d", confined, os.Getpid()))
	return fmt.Errorf("confine: start %s again: %w", self, syscall.Exec(self, os.Args, environ))
}

func capabilities() (unix.CapUserHeader, [2]unix.CapUserData, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData // 64 capabilities in two halves
	if err := unix.Capget(&header, &have[0]); err != nil {
		return header, have, fmt.Errorf("read capabilities: %w", err)
	}
	return header, have, nil
}

// shrink leaves the calling thread CAP_NET_RAW, and hands it on over exec: to an
// ordinary user by the ambient set, to root by the inheritable one. That root does
// not get everything back is no_new_privs' doing (capabilities(7)).
func shrink(header unix.CapUserHeader, have [2]unix.CapUserData, children bool) error {
	if !children && have[0].Effective&(1<<unix.CAP_SETPCAP) != 0 {
		for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
			if c == unix.CAP_NET_RAW {
				continue
			}
			// EINVAL: this kernel does not know the capability.
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("reduce the bounding set: %w", err)
			}
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	keep := [2]unix.CapUserData{{Effective: netRaw, Permitted: netRaw, Inheritable: netRaw}}
	if err := unix.Capset(&header, &keep[0]); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW, 0, 0); err != nil {
		return fmt.Errorf("raise CAP_NET_RAW: %w", err)
	}
	return nil
}
