package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
)

// handshake is what a parent sends a child as the first line of its standard input: exactly one of the two.
type handshake struct {
	Broker     *BrokerConfig     `json:"broker,omitempty"`
	ClickHouse *ClickHouseConfig `json:"clickhouse,omitempty"`
}

// ServeChild is the whole of a child process: it reads its configuration from stdin, where StartBroker or
// StartClickHouse wrote it, serves, and ends when stdin ends (our parent is gone), when ctx ends, or with the server.
func ServeChild(ctx context.Context, stdin io.Reader) error {
	// Our output goes to our parent: when that is gone, writing must fail and not kill us in the middle of a clean end.
	signal.Ignore(syscall.SIGPIPE)
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read configuration from parent (this command is started by `wardflow up`, not by hand): %w", err)
	}
	var h handshake
	if err := json.Unmarshal(line, &h); err != nil {
		return fmt.Errorf("read configuration from parent: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel(errors.New("parent is gone"))
	}()
	switch {
	case h.Broker != nil:
		return ServeBroker(ctx, *h.Broker)
	case h.ClickHouse != nil:
		return ServeClickHouse(ctx, *h.ClickHouse)
	default:
		return errors.New("read configuration from parent: it names neither broker nor clickhouse")
	}
}
