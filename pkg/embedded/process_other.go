//go:build !linux

package embedded

import "syscall"

// childAttr gives the child its own process group. Where the kernel has no parent-death signal, the end of the child's
// standard input alone tells it that we are gone.
func childAttr(bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// shed has nothing to take where there are no capabilities.
func shed() error { return nil }
