package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Health is how a process is: what /healthz and /readyz answer.
type Health struct {
	Ready bool         `json:"ready"` // every part can be used
	Alive bool         `json:"alive"` // no part has failed for good
	Units []UnitHealth `json:"units"`
}

// UnitHealth is how a part of a process is.
type UnitHealth struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	Failed   bool   `json:"failed"`
	State    string `json:"state"`
	Restarts int    `json:"restarts"`
	Reason   string `json:"reason"` // why it is not ready; "" when it is
}

// Server answers /metrics, /healthz and /readyz over HTTP, to whoever can reach
// its address: there are no secrets and no patients in the answers, but the names
// of sites and interfaces are.
type Server struct {
	t      *Telemetry
	health func() Health
	log    *slog.Logger
	ln     net.Listener
	file   string
}

// Listen takes the address of t's configuration. health is asked for each answer;
// nil is a process of which nothing is known, which is not ready. Where the port
// is 0, the port that file tells of (see WriteTarget) is taken again when it is
// free. Nil, without an error, when there is no address.
func (t *Telemetry) Listen(file string, health func() Health) (*Server, error) {
	if t == nil || t.cfg.Listen == "" {
		return nil, nil //nolint:nilnil // nil is no server
	}
	if health == nil {
		health = func() Health { return Health{Alive: true} }
	}
	ln, err := listen(t.cfg.Listen, file)
	if err != nil {
		return nil, err
	}
	s := &Server{t: t, health: health, log: t.log, ln: ln, file: file}
	t.Observe(s.observe)
	return s, nil
}

func listen(address, file string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("telemetry.listen: %q is not host:port: %w", address, err)
	}
	if last := lastPort(file); port == "0" && last != "" {
		if ln, err := net.Listen("tcp", net.JoinHostPort(host, last)); err == nil {
			return ln, nil
		}
	}
	ln, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("telemetry.listen: %s is in use by another process: each process of Wardflow on a machine needs a port of its own; set another one, or port 0 for a free one, or \"\" for none", address)
	}
	if err != nil {
		return nil, fmt.Errorf("telemetry.listen: %w", err)
	}
	return ln, nil
}

// Address is host:port that the server listens on; "" for no server.
func (s *Server) Address() string {
	if s == nil {
		return ""
	}
	return s.ln.Addr().String()
}

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	if s == nil {
		<-ctx.Done()
		return nil
	}
	if s.file != "" {
		if err := WriteTarget(s.file, s.t.process, s.Address()); err != nil {
			s.log.Warn("the address of the metrics could not be written", "file", s.file, "error", err)
		}
	}
	h := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := h.Shutdown(end); err != nil {
			_ = h.Close()
		}
	}()
	err := h.Serve(s.ln)
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer for metrics: %w", err)
	}
	<-stopped
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.t.registry, promhttp.HandlerOpts{ErrorLog: problems{s.log}, MaxRequestsInFlight: 4, Timeout: 20 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h := s.health()
		s.answer(w, h, h.Alive)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h := s.health()
		s.answer(w, h, h.Ready)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "wardflow %s %s\n\n/metrics\n/healthz\n/readyz\n", s.t.process.Service, s.t.process.Version)
	})
	return mux
}

// answerTo is the JSON of /healthz and /readyz.
type answerTo struct {
	Status   string `json:"status"` // ok or failing
	Service  string `json:"service"`
	Instance string `json:"instance"`
	Version  string `json:"version"`
	UptimeS  int64  `json:"uptime_s"`
	Health
}

func (s *Server) answer(w http.ResponseWriter, h Health, good bool) {
	a := answerTo{Status: "ok", Service: s.t.process.Service, Instance: s.t.process.Instance, Version: s.t.process.Version, UptimeS: int64(time.Since(s.t.begun).Seconds()), Health: h}
	if a.Units == nil {
		a.Units = []UnitHealth{}
	}
	w.Header().Set("Content-Type", "application/json")
	if !good {
		a.Status = "failing"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(a) // whoever asked has gone
}

// observe tells the same as metrics.
func (s *Server) observe(o *Observer) {
	for _, u := range s.health().Units {
		ready := 0.0
		if u.Ready {
			ready = 1
		}
		o.Set(UnitReady, ready, u.Name)
		o.Set(UnitRestarts, float64(u.Restarts), u.Name)
	}
}

// problems takes what goes wrong while metrics are gathered.
type problems struct{ log *slog.Logger }

// Println is promhttp's.
func (p problems) Println(v ...any) { p.log.Warn("gathering metrics", "error", fmt.Sprint(v...)) }
