package embeddedtest

import (
	"crypto/rand"
	"testing"

	"github.com/wardflow/wardflow/pkg/embedded"
)

// BrokerOption changes the broker that NewTestBroker opens.
type BrokerOption func(*embedded.BrokerConfig)

// OnDisk keeps the broker's data in dir, so that another one can be opened on it; the default is memory.
func OnDisk(dir string) BrokerOption { return func(c *embedded.BrokerConfig) { c.Dir = dir } }

// MaxBytes caps all topics together.
func MaxBytes(n int64) BrokerOption { return func(c *embedded.BrokerConfig) { c.MaxBytes = n } }

// NewTestBroker opens a broker in this process that lives as long as the test: its address and the only user, who
// authenticates by SASL SCRAM-SHA-256.
func NewTestBroker(t testing.TB, opts ...BrokerOption) (addr, user, password string) {
	t.Helper()
	c := embedded.BrokerConfig{User: "test", Password: rand.Text()}
	for _, o := range opts {
		o(&c)
	}
	b, err := embedded.OpenBroker(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b.Addr(), c.User, c.Password
}
