// Package modbus dissects Modbus over TCP (MODBUS Application Protocol
// Specification V1.1b3; MODBUS Messaging on TCP/IP Implementation Guide V1.0b), and
// Modbus RTU frames that a gateway passes on over TCP as they are.
//
// Here live the framing of both, the judgement whether a message is a request or
// a response, the identification objects of a device, and an account of who read
// and wrote what. Values of coils and registers are not read, only how many and
// where. Of Schneider's UMAS, which rides in function 90, the operation is read.
package modbus
