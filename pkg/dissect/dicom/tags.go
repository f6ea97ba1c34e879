package dicom

// The sequences that are looked into: a performed procedure step names its study in
// the first, and the images of its series in the second; a device its UDI in the
// third. Those of the storage commitment are counted.
const (
	tagScheduledSteps   = 0x0040_0270
	tagPerformedSeries  = 0x0040_0340
	tagUDISequence      = 0x0018_100a
	tagReferencedImages = 0x0008_1140
	tagReferencedOthers = 0x0040_0220
	tagReferencedSOPs   = 0x0008_1199
	tagFailedSOPs       = 0x0008_1198
)

// within are those whose elements are of interest, counted1 those whose items are.
var (
	within   = map[uint32]bool{tagScheduledSteps: true, tagPerformedSeries: true, tagUDISequence: true}
	counted1 = map[uint32]bool{tagReferencedSOPs: true, tagFailedSOPs: true}
)

// The identities, and what belongs together.
const (
	tagStudyUID  = 0x0020_000d
	tagSeriesUID = 0x0020_000e
	tagLevel     = 0x0008_0052 // of a query or retrieval
	tagUDI       = 0x0018_1009
	tagStartDate = 0x0040_0244
	tagStartTime = 0x0040_0245
	tagEndDate   = 0x0040_0250
	tagEndTime   = 0x0040_0251
)

// What is kept of one value: of a person's to be hashed, of a device's (LO has 64
// characters, PS3.5 6.2, and some tags several values).
const (
	maxKeptData = 2048
	maxText     = 256
)

// device are the elements that may leave, and the attribute that each becomes
// (PS3.6 chapter 6). This is the whole list.
var device = map[uint32]string{
	0x0008_0055: "station_ae",
	0x0008_0060: "modality",
	0x0008_0070: "manufacturer",
	0x0008_0080: "institution",
	0x0008_1010: "station_name",
	0x0008_1040: "department",
	0x0008_1090: "model",
	0x0018_1000: "serial",
	0x0018_1002: "device_uid",
	0x0018_1003: "device_id",
	0x0018_1005: "generator_id",
	0x0018_1008: "gantry_id",
	0x0018_1009: "udi",
	0x0018_1020: "software_version",
	0x0018_1200: "last_calibration",
	0x0018_700a: "detector_id",
	0x0040_0241: "station_ae",   // performed station, of a procedure step
	0x0040_0242: "station_name", // the same
	0x0040_0243: "location",     // the same
	0x0040_0252: "mpps_status",
}

// persons are the elements whose words no device attribute may repeat: the
// patient's and the physicians' names and numbers.
var persons = map[uint32]bool{
	0x0008_0050: true, // accession number
	0x0008_0090: true, 0x0008_1048: true, 0x0008_1050: true, 0x0008_1060: true, 0x0008_1070: true,
	0x0010_0010: true, 0x0010_0020: true, 0x0010_1000: true, 0x0010_1001: true, 0x0010_1005: true, 0x0010_1060: true,
	0x0010_1090: true, 0x0038_0010: true, 0x0040_1400: true,
}

// want is how much of an element's value is kept while it is read. Of a query's keys
// that is its level, of a retrieval's the study too.
func (m *message) want(e *elements, tag uint32) int {
	top := len(e.levels) == 0
	switch kinds[m.field] {
	case "c_store", "n_create", "n_set":
	case "c_move", "c_get":
		if top && (tag == tagLevel || tag == tagStudyUID) {
			return 66
		}
		return 0
	default:
		if top && tag == tagLevel {
			return 66
		}
		return 0
	}
	switch {
	case tag == tagStudyUID, tag == tagSeriesUID && top:
		return 66
	case tag == tagUDI && !top && e.levels[0].tag == tagUDISequence:
		return maxText
	case tag == tagStartDate, tag == tagStartTime, tag == tagEndDate, tag == tagEndTime:
		if top {
			return 16
		}
		return 0
	case top && m.field == cStore && m.acquired.wants(tag) > 0:
		return m.acquired.wants(tag)
	case persons[tag]:
		if e.left > maxKeptData {
			m.guard.Fill() // whom it names nobody can know
		}
		return maxKeptData
	case top && device[tag] != "":
		return maxText
	}
	return 0
}

// The command set's elements (PS3.7 E.1).
const (
	cmdAffectedClass     = 0x0000_0002
	cmdRequestedClass    = 0x0000_0003
	cmdField             = 0x0000_0100
	cmdMoveDestination   = 0x0000_0600
	cmdDataSetType       = 0x0000_0800
	cmdStatus            = 0x0000_0900
	cmdAffectedInstance  = 0x0000_1000
	cmdRequestedInstance = 0x0000_1001
	cmdEventType         = 0x0000_1002
	cmdActionType        = 0x0000_1008
	cmdRemaining         = 0x0000_1020 // of the operations of C-GET and C-MOVE
	cmdCompleted         = 0x0000_1021
	cmdFailed            = 0x0000_1022
	cmdWarning           = 0x0000_1023
	cmdMoveOriginator    = 0x0000_1030

	noDataSet = 0x0101
)

func wantCommand(_ *elements, tag uint32) int {
	switch tag {
	case cmdAffectedClass, cmdRequestedClass, cmdField, cmdMoveDestination, cmdDataSetType, cmdStatus, cmdAffectedInstance, cmdRequestedInstance,
		cmdEventType, cmdActionType, cmdRemaining, cmdCompleted, cmdFailed, cmdWarning, cmdMoveOriginator:
		return 66
	}
	return 0
}

// kinds are the requests by command field (PS3.7 E.1-1); a response has bit 15.
var kinds = map[uint16]string{
	0x0001: "c_store", 0x0010: "c_get", 0x0020: "c_find", 0x0021: "c_move", 0x0030: "c_echo",
	0x0100: "n_event_report", 0x0110: "n_get", 0x0120: "n_set", 0x0130: "n_action", 0x0140: "n_create", 0x0150: "n_delete",
	0x0fff: "c_cancel",
}

const (
	cStore   = 0x0001
	response = 0x8000
)
