// Package printing dissects how printers are spoken to: HP's raw port with the
// Printer Job Language (PJL Technical Reference Manual, 5021-0380), and the line
// printer daemon's protocol (RFC 1179).
//
// Here live the lines of PJL and the commands of LPD. What is printed is never read,
// nor are names of jobs, users and files: they name patients.
package printing
