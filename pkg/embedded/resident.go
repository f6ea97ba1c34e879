package embedded

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ResidentBytes is the memory that the child occupies now. It fails where there is no /proc.
func (p *Process) ResidentBytes() (int64, error) {
	pid := p.PID()
	if pid == 0 {
		return 0, fmt.Errorf("read memory of %s: it does not run", p.cfg.Name)
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)) // proc(5): size resident shared ..., in pages
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", p.cfg.Name, err)
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read memory of %s: %q is not statm", p.cfg.Name, raw)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", p.cfg.Name, err)
	}
	return pages * int64(os.Getpagesize()), nil
}
