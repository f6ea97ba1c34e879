//go:build !linux

package ring

import (
	"context"

	"github.com/wardflow/wardflow/pkg/packet"
)

// Ring cannot be opened here.
type Ring struct{}

// Open returns ErrUnsupported.
func Open(Config) (*Ring, error) { return nil, ErrUnsupported }

// Block returns ErrUnsupported.
func (*Ring) Block(context.Context) (*Block, error) { return nil, ErrUnsupported }

// TryNext returns false.
func (*Ring) TryNext(*Packet) bool { return false }

// Check returns ErrUnsupported.
func (*Ring) Check() error { return ErrUnsupported }

// LinkTypeOf returns ErrUnsupported.
func LinkTypeOf(string) (packet.LinkType, error) { return 0, ErrUnsupported }

// Next returns ErrUnsupported.
func (*Ring) Next(context.Context, *Packet) error { return ErrUnsupported }

// Stats returns zeros.
func (*Ring) Stats() (Stats, error) { return Stats{}, ErrUnsupported }

// Interface returns "".
func (*Ring) Interface() string { return "" }

// LinkType returns zero.
func (*Ring) LinkType() packet.LinkType { return 0 }

// Close does nothing.
func (*Ring) Close() error { return nil }

// Confine returns ErrUnsupported.
func Confine(bool) error { return ErrUnsupported }
