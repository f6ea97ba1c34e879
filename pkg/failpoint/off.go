//go:build !failpoints

package failpoint

// Enabled tells whether this binary has failpoints.
const Enabled = false

// Hit passes a place where the process may be ended.
func Hit(string) {}

// Error passes a place where a call may be made to fail.
func Error(string) error { return nil }
