package telemetry

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// target is an entry of a file as Prometheus reads it with file_sd_configs
// (prometheus.io/docs/guides/file-sd): which addresses to ask, with which labels.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// TargetFile is where a process of the data folder says where its metrics are: one
// file for each service and instance, for Prometheus's file_sd_configs.
func TargetFile(dataDir string, p Process) string {
	plain := func(r rune) rune {
		if r < '0' && r != '-' && r != '.' || r == '/' || r == '\\' || r == ':' {
			return '_'
		}
		return r
	}
	return filepath.Join(dataDir, "telemetry", strings.Map(plain, p.Service+"-"+p.Instance)+".json")
}

// WriteTarget writes the file, whole or not at all.
func WriteTarget(file string, p Process, address string) error {
	b, err := json.MarshalIndent([]target{{Targets: []string{address}, Labels: map[string]string{"service": p.Service, "service_instance": p.Instance}}}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode metrics address: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // Prometheus is another user, and an address is no secret
		return fmt.Errorf("write metrics address: %w", err)
	}
	next := file + ".new"
	if err := os.WriteFile(next, append(b, '\n'), 0o644); err != nil { //nolint:gosec // as above
		return fmt.Errorf("write metrics address: %w", err)
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("write metrics address: %w", err)
	}
	return nil
}

// ReadTarget gives the address that a process wrote last; it may run no more.
func ReadTarget(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read metrics address: %w", err)
	}
	var list []target
	if err := json.Unmarshal(b, &list); err != nil || len(list) == 0 || len(list[0].Targets) == 0 {
		return "", fmt.Errorf("read metrics address: %s is not what a process of Wardflow writes there", file)
	}
	return list[0].Targets[0], nil
}

// lastPort is the port that the process had before, "" for none.
func lastPort(file string) string {
	if file == "" {
		return ""
	}
	address, err := ReadTarget(file)
	if err != nil {
		return ""
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return port
}
