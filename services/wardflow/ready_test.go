package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReady(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"sink": "broker away"}`))
	}))
	address := strings.TrimPrefix(server.URL, "http://")
	if got := runCLI(t, nil, "", "ready", "--address", address); got.code != 0 || got.out != "ready\n" {
		t.Errorf("ready: %+v", got)
	}
	_, port, _ := strings.Cut(address, ":")
	if got := runCLI(t, []string{"WARDFLOW_TELEMETRY_LISTEN=0.0.0.0:" + port}, "", "ready"); got.code != 0 {
		t.Errorf("the address of the configuration: %+v", got)
	}
	status = http.StatusServiceUnavailable
	if got := runCLI(t, nil, "", "ready", "--address", address); got.code != exitFailed || !strings.Contains(got.err, "broker away") {
		t.Errorf("not ready: %+v", got)
	}
	server.Close()
	if got := runCLI(t, nil, "", "ready", "--address", address); got.code != exitFailed {
		t.Errorf("nobody there: %+v", got)
	}
	if got := runCLI(t, nil, "", "ready"); got.code != exitUsage || !strings.Contains(got.err, "--address") {
		t.Errorf("a port that only the service knows: %+v", got)
	}
}
