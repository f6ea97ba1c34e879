//go:build !((linux || darwin) && (amd64 || arm64))

package embedded

import (
	"context"
	"fmt"
	"runtime"
)

func serveLibrary(_ context.Context, _ ClickHouseConfig, _ string) error {
	return fmt.Errorf("run ClickHouse: its library does not exist for %s/%s; configure the address of a server", runtime.GOOS, runtime.GOARCH)
}
