//go:build !linux

package slab

func outside(int) []byte { return nil }

func giveBack([]byte) {}
