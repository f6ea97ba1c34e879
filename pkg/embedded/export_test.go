package embedded

import "time"

// OpenUntendedBroker opens a broker that does no housekeeping but what Tidy does.
func OpenUntendedBroker(c BrokerConfig) (*Broker, error) { return openBroker(c, 1000*time.Hour) }

// Tidy does one round of housekeeping now.
func (b *Broker) Tidy(now time.Time) error { return b.tidy(now) }

// Cleanings counts how often compacted topics were cleaned.
func (b *Broker) Cleanings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cleanings
}
