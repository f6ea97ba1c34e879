// Package dicomweb reads what HTTP carries of DICOM (PS3.18): which service a client
// uses (QIDO, WADO, STOW, WADO-URI, UPS), and of the DICOM files and the metadata that
// are sent the tags that identify the device.
//
// Here live the shapes of paths, multipart bodies (RFC 2046) and the DICOM JSON model
// (PS3.18 F). Files are pkg/dissect/dicom's to read, and the list of tags that may leave
// is its own. Nothing of a path or a query leaves: they are full of patients.
package dicomweb
