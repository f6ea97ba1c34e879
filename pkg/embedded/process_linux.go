package embedded

import "syscall"

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
