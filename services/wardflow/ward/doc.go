// Package ward drives a simulated hospital ward's day and incidents through
// capture and every fold, in memory, and compares what comes out with what is
// known of the ward. It holds tests and what they share; nothing imports it.
package ward
