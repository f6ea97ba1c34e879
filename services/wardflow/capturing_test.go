package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
)

func TestCaptureConfig(t *testing.T) {
	cfg := config.Default()
	cfg.Site, cfg.Sensor = "ward", "core"
	cfg.Capture.Home, cfg.Capture.UDPIdle = []string{"10.0.0.0/8"}, 7*time.Second
	cfg.Capture.KeyFile = tempFile(t, "key", strings.Repeat("k", 32))
	c, err := captureConfig(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	if c.Site != "ward" || c.Sensor != "core" || c.UDPIdle != 7*time.Second || c.ActiveTimeout != time.Minute || len(c.Key) != 32 || c.Home[0] != netip.MustParsePrefix("10.0.0.0/8") || c.MaxFlows != 1<<20 {
		t.Errorf("got %+v", c)
	}
	for name, file := range map[string]string{"no file": "/not/there", "too short": tempFile(t, "key", "short")} {
		cfg.Capture.KeyFile = file
		if _, err := captureConfig(&cfg); err == nil || !strings.Contains(err.Error(), "capture.key_file: read key") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
