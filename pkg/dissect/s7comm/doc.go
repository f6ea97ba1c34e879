// Package s7comm dissects the communication of Siemens' S7 controllers: S7comm,
// and of S7comm-plus what a controller says it is. There is no public
// specification; the layouts are those that the free stacks (libnodave, Snap7)
// and Wireshark's dissector document.
//
// Here live the header, the jobs that read, write and control, and the lists of
// the system's state (SZL) that say which module answers. Values, names of plants
// and passwords are not read.
package s7comm
