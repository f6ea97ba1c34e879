package slab

import "syscall"

// outside gives memory that is zero and not the collector's, nil for none.
func outside(bytes int) []byte {
	b, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil // then it is the collector's
	}
	return b
}

func giveBack(b []byte) { _ = syscall.Munmap(b) }
