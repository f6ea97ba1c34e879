package embedded

import "time"

// Tidy does one round of housekeeping now.
func (b *Broker) Tidy(now time.Time) error { return b.tidy(now) }

// Cleanings counts how often compacted topics were cleaned.
func (b *Broker) Cleanings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cleanings
}
