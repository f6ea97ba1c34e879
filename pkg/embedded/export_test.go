package embedded

import "time"

// Tidy does one round of housekeeping now.
func (b *Broker) Tidy(now time.Time) error { return b.tidy(now) }
