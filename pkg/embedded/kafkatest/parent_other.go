//go:build !linux

package kafkatest

import "syscall"

// dieWithParent is Linux's alone; elsewhere a killed test leaves its broker running.
func dieWithParent() *syscall.SysProcAttr { return nil }
