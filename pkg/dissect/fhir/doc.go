// Package fhir reads what HTTP carries of HL7 FHIR (DSTU2 to R5; JSON, NDJSON and XML):
// what a client does with which types of resources, what a server calls its software,
// and the devices that Device resources describe.
//
// Here live the interactions (FHIR 3.2, RESTful API) by the shape of paths, and a walk
// through documents that keeps the fields of fields.go and no others. Names and numbers
// of persons are hashed, so that no device repeats them, and forgotten with their
// document; references, ids and everything clinical are passed over. A device that is
// said to be a patient's is not told.
package fhir
