// Package carescape dissects what nodes of a GE CARESCAPE network, once Unity, say
// of themselves over UDP: heartbeats (RWHAT), the time that its master sets, and
// that there are alarms. The layout is the one that Vocera documents for its
// Carescape adapter; the rest of the messages is not public.
//
// Here live the recognition, which wants the sender's own address inside the
// message, and the location and the clock. Alarms carry patients: they are counted
// and not read.
package carescape
