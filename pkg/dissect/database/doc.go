// Package database dissects how connections to databases begin: Microsoft's TDS
// (MS-TDS), MySQL, PostgreSQL and Oracle's TNS. Told is which server it is, which
// program of which computer asks, how somebody signs on and whether in clear; after
// that the connection is not read any further.
//
// Here live the recognisers and the dissectors of the first messages, a file each.
// User names, passwords, databases' names and statements never leave.
package database
