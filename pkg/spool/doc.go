// Package spool keeps records on disk, in order and within a bound, while
// whoever should take them is away, and gives them back afterwards. It knows a
// record as a partition and bytes; Kafka and the meaning of the bytes are its
// callers'. Only its folder may be touched by it, and by nobody else: two
// processes on one folder are refused.
//
// # What is lost
//
// Append has handed a record to the kernel when it returns, so a kill of the
// process loses nothing, whatever the policy. What a power cut (or a crash of
// the kernel) loses is the policy's choice:
//
//	SyncEach      nothing that Append has confirmed
//	SyncInterval  what was appended since the last sync: at most SyncEvery, if Tick is called
//	SyncNever     what the kernel had not written by itself, tens of seconds
//
// A record is read again when the process ends between Read and Ack, so readers
// drop repetitions by a number of their own. Everything else that is lost is
// counted by reason and told to Config.OnDrop: the oldest segment at the bound,
// records on a full disk, what cannot be read back.
//
// # The folder
//
//	lock                        held by flock while the spool is open; names the process
//	acknowledged                two slots, written in turn; the higher whole one counts
//	00000000000000000007.spool  segments, named by their sequence
//
// A segment is a header and records; all numbers are little endian, every CRC is
// CRC-32C (Castagnoli, RFC 3720 B.4).
//
//	header, 36 bytes                   record, 28 bytes and the payload
//	 0  4 "wfsp"                        0  4 CRC of all that follows
//	 4  2 version                       4  4 length of the payload
//	 6  2 zero                          8  8 number, one more than the record before
//	 8  8 sequence                     16  8 when it was appended, Unix ns
//	16  8 number of the first record   24  4 partition
//	24  8 when it was made, Unix ns    28  . payload
//	32  4 CRC of 0..31
//
//	acknowledged, slots at 0 and 512
//	 0  4 "wfsa"
//	 4  2 version
//	 6  2 zero
//	 8  8 number up to which all is done
//	16  4 CRC of 0..15
//
// The slots are overwritten in place, because on a full disk a new file could
// not be written, and then nothing could be acknowledged and deleted either.
//
// # Non-obvious
//
//   - A spool that is opened never goes on in an old segment, it begins a new one
//     with the first record. So a torn tail cannot come to lie before good records.
//   - A segment ends where the next one's first number says. What lies behind that
//     is a record whose Append has failed, and is not read.
//   - Numbers never go below what is acknowledged, even if a power cut took the
//     segments with them: a new record must not look acknowledged.
//   - How many records a damaged segment has lost follows from the next segment's
//     first number. For the last segment that is not known, and only bytes are counted.
package spool
