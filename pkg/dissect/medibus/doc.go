// Package medibus dissects Dräger's MEDIBUS (MEDIBUS.X, Rules and Standards for
// Implementation), as it runs over TCP behind serial device servers: commands of a
// controller, which begin with ESC, answers of a device, which begin with SOH, each
// with a checksum; bytes with the highest bit set are a stream of their own between.
//
// Here live the framing and the device's identification. Data, alarms, settings and
// texts are not read.
package medibus
