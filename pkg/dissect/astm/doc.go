// Package astm dissects what laboratory analysers and their host say to each other
// by ASTM E1381 (CLSI LIS1-A) and E1394 (CLSI LIS2-A2), over TCP on any port: with
// the frames, checksums and acknowledgements of the former, or as bare records.
//
// Here live the framing, the reader of records, and the reading of the sender's
// name. Of patients, specimens, orders, results and comments nothing is kept but
// their number; the identities among them are remembered as hashes until the
// message ends, so that a device's field which repeats one is withheld.
package astm
