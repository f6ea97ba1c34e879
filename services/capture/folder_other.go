//go:build !linux

package capture

import (
	"context"
	"errors"
)

// closedFiles is not known here.
func closedFiles(context.Context, string) (<-chan string, error) {
	return nil, errors.New("inotify is Linux's")
}
