// Package dissector is what a protocol's package shares with the engine: the
// Protocol that it registers, the Context that it is called with, the Facts that
// it gives back, and the few means of keeping patients out of them.
//
// No protocol lives here, and no state of a flow: pkg/dissect has the engine and
// the list of protocols. To add a protocol, read that package's comment.
package dissector
