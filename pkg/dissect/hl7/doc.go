// Package hl7 dissects HL7 version 2 over MLLP: which applications talk, what
// kinds of messages, how they are answered, and the devices that a message names
// (IHE PCD-01 and every other message with OBX-18, PRT-10 or EQU-1).
//
// Here live framing, delimiters and the few fields that may leave. A message is
// read as a stream: a field is kept only while it is read and only if it is on
// the list in fields.go; of PID and its like only hashes live on, and only until
// the end of the message, so that no device fact repeats them. Therapy values,
// drugs and free text are never kept. Observations about a device's use are made
// of the facts elsewhere.
package hl7
