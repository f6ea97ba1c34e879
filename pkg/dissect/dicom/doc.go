// Package dicom dissects the DICOM upper layer (PS3.8 9.3), the DIMSE commands on
// it (PS3.7) and, of the data sets that are stored or that report performed
// procedure steps, the tags that identify the device (PS3.6).
//
// Everything is read as a stream, PDU by PDU, fragment by fragment, element by
// element: an element is kept while it is read and only if tags.go lists it, so
// neither pixels nor a patient's data are ever held. Of group 0010 and its like
// only hashes live on, and only until the end of the message, so that no device
// tag repeats them. File reads the beginning of a DICOM file (PS3.10) for those who
// find one; DICOMweb is pkg/dissect/dicomweb.
package dicom
