package doctor

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// Port is a place where something of ours listens, or will.
type Port struct {
	What    string // embedded broker
	Setting string // that moves it
	Address string // host:port
	Taken   bool
	Ours    bool // it is taken, and what answers there is ours
	Err     error
}

// ReadPort tries to listen, and stops at once; where that is refused somebody
// is there.
func ReadPort(ctx context.Context, what, setting, address string) *Port {
	p := &Port{What: what, Setting: setting, Address: address}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		_ = l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		p.Taken = true
	default:
		p.Err = err
	}
	return p
}

// JudgePort judges.
func JudgePort(p *Port) []Result {
	f := &findings{area: "ports"}
	switch {
	case p.Err != nil:
		f.add(Problem, p.What, "name another address by "+p.Setting, "%s cannot be listened on: %v", p.Address, p.Err)
	case p.Taken && p.Ours:
		f.ok(p.What, "%s: it runs", p.Address)
	case p.Taken:
		f.add(Problem, p.What, "end what listens there (sudo ss -ltnp), or name another by "+p.Setting, "%s is taken by something else", p.Address)
	default:
		f.ok(p.What, "%s is free", p.Address)
	}
	return f.list
}
