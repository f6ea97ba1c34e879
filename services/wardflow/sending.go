package main

import (
	"log/slog"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/services/capture"
)

// senderConfig is how a live sensor sends, as the configuration says.
func senderConfig(cfg *config.Config, kafka bus.Config, log *slog.Logger) capture.SenderConfig {
	return capture.SenderConfig{
		Spool: cfg.SpoolConfig(), Partitions: kafka.Partitions, Log: log, Wait: cfg.Spool.After,
		Window: cfg.Spool.WindowBytes, Queue: cfg.Spool.WindowBytes / 2,
		Connect: func(maxBuffered int) (capture.Link, error) { return bus.NewProducer(kafka, maxBuffered) },
	}
}
