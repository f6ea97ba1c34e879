// Package intellivue dissects the Data Export interface of Philips IntelliVue
// patient monitors, over UDP: the Connect Indication that a monitor broadcasts, the
// association of a client with it, and the data that it then exports. Layouts and
// numbers are those of Philips' Data Export Interface Programming Guide, which
// follows ISO/IEEE 11073-10101 and 11073-20101.
//
// Here live the recognition and the attributes of the monitor itself that are
// read. Measured values are looked at only for whether there are any; waves, alarm
// texts and the patient's demographics are not read at all. A bed's label leaves
// only where it is made of short words and digits: some put the patient's name there.
package intellivue
