// Package hl7 dissects HL7 version 2 over MLLP: which applications talk, what
// kinds of messages, how they are answered, and the devices that a message names
// (IHE PCD-01 and every other message with OBX-18, PRT-10, EQU-1 or DEV), their
// state and alarms, and who programs a pump (IHE PCD-03, PCD-04, PCD-10).
//
// Here live framing (MLLP of both releases, HLLP, batches, messages without any
// framing, UTF-16), delimiters and the few fields that may leave. A message is
// read as a stream: a field is kept only while it is read and only if it is on
// the list in fields.go; of PID and its like only hashes live on, and only until
// the end of the message, so that no device fact repeats them. Therapy values,
// drugs and free text are never kept; of XML only the root element's name is read.
// Observations about a device's use are made of the facts elsewhere.
//
// Sources: HL7 v2.1 to v2.9 (chapters 2, 3, 7, 13, 17 and appendix C), the IHE PCD
// Technical Framework, and ISO/IEEE 11073-10101 for the codes.
package hl7
