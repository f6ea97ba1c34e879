// Package capfile reads capture files: pcap and pcapng, plain or compressed with
// gzip or zstd, told apart by content and never by name; and it merges several
// by time.
//
// It knows file formats only: frames come out as they were captured, decoding is
// pkg/packet's. A file's lengths are never believed before the bytes are there,
// so a hostile one costs nothing. A file that ends early gives what is readable
// and then an error that says what is missing and where.
package capfile
