package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded/kafkatest"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
	"github.com/wardflow/wardflow/services/sensors"
)

// With real Kafka, TLS and access rules: what `sensors enrol` writes is all that a
// sensor needs to say its status and to be configured; revoked, it is away.
func TestEnrolledSensorOnKafka(t *testing.T) {
	k := kafkatest.Start(t, kafkatest.Options{TLS: true, User: "admin", Password: "geheim", Mechanism: "SCRAM-SHA-512", Settings: map[string]string{
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS;User:admin",
	}})
	env := []string{
		"WARDFLOW_KAFKA_BROKERS=" + k.Brokers()[0], "WARDFLOW_KAFKA_PARTITIONS=4", "WARDFLOW_KAFKA_REPLICAS=1", "WARDFLOW_KAFKA_TLS_ENABLED=true", "WARDFLOW_KAFKA_TLS_CA_FILE=" + k.TLS.CAFile,
		"WARDFLOW_KAFKA_SASL_MECHANISM=scram-sha-512", "WARDFLOW_KAFKA_SASL_USER=admin", "WARDFLOW_KAFKA_SASL_PASSWORD=geheim",
	}
	centre, err := config.Load(config.Source{Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.EnsureTopics(t.Context(), centre.Kafka, bus.Topics()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tap-1")
	w := &watch{t: t, env: env}
	w.run(0, "enrol", "tap-1", "--site", "north", "--user", "tap-1", "--out", dir, "--at", dir)
	w.run(0, "configure", "--all", "--site", "north", "workers=2")
	sensor, err := config.Load(config.Source{File: filepath.Join(dir, defaultConfigFile)})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	book := sensors.New(sensors.Config{RequireEnrolment: true, AwayAfter: 2 * time.Second, Instance: "0", Bus: centre.Kafka})
	remote := capture.NewRemote(capture.RemoteConfig{
		Site: sensor.Site, Sensor: sensor.Sensor, File: filepath.Join(dir, "sensor.json"), Every: 200 * time.Millisecond,
		Apply:   func(proto.SensorConfig) error { return nil },
		Connect: func() (capture.ControlReader, error) { return bus.NewReader(sensor.Kafka) },
	})
	reporter, err := capture.NewReporter(capture.ReporterConfig{
		Site: sensor.Site, Sensor: sensor.Sensor, Run: proto.ID{1}, Partitions: sensor.Kafka.Partitions, Every: 200 * time.Millisecond, Parts: []func(*proto.SensorStatus){remote.Report},
		Connect: func(n int) (capture.Link, error) { return bus.NewProducer(sensor.Kafka, n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 3)
	for _, run := range []func(context.Context) error{book.Run, remote.Run, reporter.Run} {
		go func() { done <- run(ctx) }()
	}
	defer func() {
		cancel()
		for range 3 {
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	}()
	awaitSensorEvents(t, centre.Kafka, "enrolled", "new_run", "config_applied")
	w.run(0, "revoke", "tap-1", "--site", "north")
	awaitSensorEvents(t, centre.Kafka, "revoked", "away")
	if st := reporter.Stats(); st.Said == 0 || st.Dropped == 0 {
		t.Errorf("%+v", st)
	}
}

// awaitSensorEvents waits until all of these have been said of tap-1, unknown never.
func awaitSensorEvents(t *testing.T, kafka bus.Config, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		said := saidOf(t, kafka)
		missing := slices.DeleteFunc(slices.Clone(want), func(what string) bool { return slices.Contains(said, what) })
		if slices.Contains(said, "unknown") {
			t.Fatalf("an enrolled sensor is unknown: %q", said)
		}
		if len(missing) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("said %q, and not %q", said, missing)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func saidOf(t *testing.T, kafka bus.Config) (said []string) {
	t.Helper()
	r, err := bus.NewReader(kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	partition := proto.SensorLane("north", "tap-1").Partition(kafka.Partitions)
	if _, err := r.Read(t.Context(), proto.TopicSensorEvents, partition, 0, func(rec bus.Record) error {
		var v proto.SensorEvent
		if rec.Control {
			return nil
		}
		err := json.Unmarshal(rec.Value, &v)
		said = append(said, v.What)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return said
}
