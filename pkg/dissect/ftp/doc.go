// Package ftp dissects the control connection of FTP (RFC 959, RFC 2389, RFC 2428,
// RFC 4217): what the server calls itself, how somebody logs in and whether that
// succeeds, what is done how often, and where the data connections will be.
//
// Here live the recognition of the two sides and the pairing of commands with
// replies. Names of users and files, passwords, and the texts of replies never
// leave; of the greeting leaves what pkg/dissect/banner lets through. The data
// connections are announced to the engine (ftp_data) and not read here. After AUTH
// TLS the connection is pkg/dissect/tls's.
package ftp
