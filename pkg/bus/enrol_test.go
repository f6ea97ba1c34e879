package bus

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/wardflow/wardflow/pkg/embedded/kafkatest"
	"github.com/wardflow/wardflow/proto"
)

// guarded are the settings of brokers that check rights. What comes without a name
// is the brokers among themselves.
func guarded(super string) map[string]string {
	return map[string]string{
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":           "User:ANONYMOUS;User:" + super,
	}
}

// attempts are what a sensor may do, and what it may not.
func attempts(t *testing.T, c Config) map[string]error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	cl, err := c.client(append(produceOptions(), kgo.RetryTimeout(5*time.Second), kgo.RecordRetries(3))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	got := map[string]error{}
	for _, topic := range []string{proto.TopicTraffic, proto.TopicSensors, proto.TopicRisk, proto.TopicControl, proto.TopicSensorEvents} {
		got["write "+topic] = cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v")}).FirstErr()
	}
	r, err := NewReader(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, topic := range []string{proto.TopicControl, proto.TopicDevices, proto.TopicTraffic} {
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, got["read "+topic] = r.Read(short, topic, 0, 0, func(Record) error { return nil })
		cancel()
	}
	_, err = kadm.NewClient(cl).DeleteTopic(ctx, proto.TopicTraffic)
	got["delete a topic"] = err
	_, got["read access rules"] = Rights(ctx, c, "User:x")
	return got
}

// mayOnly holds what was attempted to a sensor's rights. Denied means denied by the
// brokers, and not that something else went wrong.
func mayOnly(t *testing.T, who string, c Config, allowed ...string) {
	t.Helper()
	got := attempts(t, c)
	for _, what := range slices.Sorted(maps.Keys(got)) {
		err := got[what]
		switch {
		case slices.Contains(allowed, what):
			if err != nil {
				t.Errorf("%s cannot %s: %v", who, what, err)
			}
		case err == nil:
			t.Errorf("%s can %s", who, what)
		case !denied(err):
			t.Errorf("%s: %s: not by the brokers' rules: %v", who, what, err)
		}
	}
}

func denied(err error) bool {
	for _, e := range []error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	// The end of a topic whose name may not even be known.
	return strings.Contains(err.Error(), "there is no such partition") || strings.Contains(err.Error(), "TOPIC_AUTHORIZATION_FAILED")
}

var sensorMay = []string{"write " + proto.TopicTraffic, "write " + proto.TopicSensors, "read " + proto.TopicControl}

var sensorRights = []string{
	"CLUSTER kafka-cluster: IDEMPOTENT_WRITE",
	"TOPIC wardflow.control: DESCRIBE", "TOPIC wardflow.control: READ",
	"TOPIC wardflow.sensors: DESCRIBE", "TOPIC wardflow.sensors: WRITE",
	"TOPIC wardflow.traffic: DESCRIBE", "TOPIC wardflow.traffic: WRITE",
}

func TestEnrolledUserOnKafka(t *testing.T) {
	k := kafkatest.Start(t, kafkatest.Options{TLS: true, User: "admin", Password: "geheim", Mechanism: "SCRAM-SHA-512", Settings: guarded("admin")})
	c := Default()
	c.Brokers, c.Partitions, c.Replicas = k.Brokers(), 1, 1
	c.TLS = TLS{Enabled: true, CAFile: k.TLS.CAFile}
	c.SASL = SASL{Mechanism: "scram-sha-512", User: "admin", Password: "geheim"}
	if err := EnsureTopics(t.Context(), c, Topics()); err != nil {
		t.Fatal(err)
	}
	e := Enrolment{Principal: UserPrincipal("tap-1"), User: "tap-1", Password: "one", Mechanism: "scram-sha-512"}
	for range 2 { // the second time nothing changes
		if err := Enrol(t.Context(), c, e); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Rights(t.Context(), c, e.Principal); err != nil || !slices.Equal(got, sensorRights) {
		t.Errorf("rights %q, %v; want %q", got, err, sensorRights)
	}
	sensor := c
	sensor.SASL.User, sensor.SASL.Password = "tap-1", "one"
	mayOnly(t, "an enrolled sensor", sensor, sensorMay...)

	// Who writes already, as it does when it is revoked.
	p, err := NewProducer(sensor, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Produce(t.Context(), Message{Topic: proto.TopicTraffic, Value: []byte("before")}, nil)
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := Enrolment{Principal: UserPrincipal("tap-2"), User: "tap-2", Password: "two", Mechanism: "scram-sha-512"}
	if err := Enrol(t.Context(), c, other); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Revoke(t.Context(), c, e.Principal); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Rights(t.Context(), c, e.Principal); err != nil || len(got) != 0 {
		t.Errorf("rights %q, %v of a revoked sensor", got, err)
	}
	p.Produce(t.Context(), Message{Topic: proto.TopicTraffic, Value: []byte("after")}, nil)
	if err := p.Flush(t.Context()); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("an open connection of a revoked sensor writes: %v", err)
	}
	mayOnly(t, "a revoked sensor", sensor)
	sensor.SASL.User, sensor.SASL.Password = "tap-2", "two"
	mayOnly(t, "the other sensor", sensor, sensorMay...)

	for what, bad := range map[string]Enrolment{
		"who we are ourselves": {Principal: "User:admin", User: "admin", Password: "x", Mechanism: "scram-sha-512"},
		"want scram-sha-256":   {Principal: "User:tap-3", User: "tap-3", Password: "x", Mechanism: "plain"},
	} {
		if err := Enrol(t.Context(), c, bad); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	grant(t, c, "User:billing", "invoices")
	if err := Enrol(t.Context(), c, Enrolment{Principal: "User:billing", User: "billing", Password: "x", Mechanism: "scram-sha-512"}); err == nil || !strings.Contains(err.Error(), "has the right TOPIC invoices: READ already") {
		t.Errorf("somebody else's user: %v", err)
	}
}

func grant(t *testing.T, c Config, principal, topic string) {
	t.Helper()
	cl, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateACLs(t.Context(), kadm.NewACLs().Allow(principal).Topics(topic).Operations(kadm.OpRead)); err != nil {
		t.Fatal(err)
	}
}

// A certificate's subject is a principal as well. Who comes without one is, in
// this test, who the brokers are among themselves, and may do everything.
func TestEnrolledCertificateOnKafka(t *testing.T) {
	settings := guarded("nobody")
	settings["listener.name.client.ssl.client.auth"] = "requested"
	k := kafkatest.Start(t, kafkatest.Options{TLS: true, Settings: settings})
	c := Default()
	c.Brokers, c.Partitions, c.Replicas = k.Brokers(), 1, 1
	c.TLS = TLS{Enabled: true, CAFile: k.TLS.CAFile}
	if err := EnsureTopics(t.Context(), c, Topics()); err != nil {
		t.Fatal(err)
	}
	sensor := c
	sensor.TLS.CertFile, sensor.TLS.KeyFile = k.TLS.CertFile, k.TLS.KeyFile
	mayOnly(t, "a sensor that is not enrolled", sensor)
	if err := Enrol(t.Context(), c, Enrolment{Principal: UserPrincipal("CN=wardflow")}); err != nil {
		t.Fatal(err)
	}
	mayOnly(t, "an enrolled sensor", sensor, sensorMay...)
	if err := Revoke(t.Context(), c, UserPrincipal("CN=wardflow")); err != nil {
		t.Fatal(err)
	}
	mayOnly(t, "a revoked sensor", sensor)
}

// Brokers that check no rights say so.
func TestEnrolWithoutAuthorizer(t *testing.T) {
	k := kafkatest.Start(t, kafkatest.Options{})
	c := Default()
	c.Brokers = k.Brokers()
	if err := Enrol(t.Context(), c, Enrolment{Principal: UserPrincipal("tap-1"), User: "tap-1", Password: "x", Mechanism: "scram-sha-256"}); !errors.Is(err, ErrNoAuthorizer) {
		t.Errorf("enrolled: %v", err)
	}
	if err := Revoke(t.Context(), c, UserPrincipal("tap-1")); !errors.Is(err, ErrNoAuthorizer) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := Rights(t.Context(), c, "User:tap-1"); !errors.Is(err, ErrNoAuthorizer) {
		t.Errorf("rights: %v", err)
	}
}
