// Package poct1a dissects POCT1-A (CLSI POCT1-A2, Point-of-Care Connectivity): the
// XML messages of the device messaging layer between a point-of-care analyser and
// its data manager, over TCP on any port.
//
// Here live the recognition and the list of elements that are read: what a device
// says of itself, its state, how many results it has, and what it is told to do.
// Patients, operators, results, reagents and notes are passed over unread; of
// lists of them only the number of entries leaves. Only a hello says which device it
// is of; what the device says after it is told as the same one's. The XML is scanned
// by xmlscan.
package poct1a
