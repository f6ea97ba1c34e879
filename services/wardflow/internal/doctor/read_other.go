//go:build !linux

package doctor

import (
	"errors"
	"runtime"
)

// errLinux is why nothing is known of a machine that is no Linux.
var errLinux = errors.New("only Linux is looked at")

// ReadMachine knows little elsewhere than on Linux.
func ReadMachine() *Machine { return &Machine{Kernel: runtime.GOOS, CPUs: runtime.NumCPU()} }

// Memory is not known elsewhere than on Linux.
func Memory() uint64 { return 0 }

// ReadFolder knows nothing elsewhere than on Linux.
func ReadFolder(setting, path string, _ uint64, _ bool) *Folder {
	return &Folder{Setting: setting, Path: path, Err: errLinux}
}

// ReadInterface knows nothing elsewhere than on Linux.
func ReadInterface(name string) *Interface { return &Interface{Name: name, Err: errLinux} }

// Interfaces lists none elsewhere than on Linux.
func Interfaces() []string { return nil }
