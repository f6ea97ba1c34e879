package embedded

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttr gives the child its own process group, so that Ctrl-C reaches us alone and we stop things in order, and,
// unless it ends by itself, has the kernel kill it when we die. SIGKILL and not SIGTERM: whoever starts next must find
// ports and locks free, and both servers keep what they have acknowledged to the operating system.
func childAttr(endsItself bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if !endsItself {
		attr.Pdeathsig = syscall.SIGKILL
	}
	return attr
}

// shed takes CAP_NET_RAW from the calling thread, and from all that it will start, for good: a program that captures
// has it, and hands it on to its children where it lies in the ambient set, where it runs as root, or where the file of
// the program carries it. The thread must not be used for anything but children.
func shed() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData // 64 capabilities in two halves
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	const raw = 1 << unix.CAP_NET_RAW
	if (have[0].Permitted|have[0].Inheritable)&raw == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	// What leaves the permitted or the inheritable set leaves the ambient one too.
	have[0].Effective &^= raw
	have[0].Permitted &^= raw
	have[0].Inheritable &^= raw
	if err := unix.Capset(&header, &have[0]); err != nil {
		return fmt.Errorf("give up CAP_NET_RAW: %w", err)
	}
	return nil
}
