package poct1a

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
)

// The elements that are read, those that begin a message first.
const (
	other xmlscan.Name = iota
	hel
	dst
	obs1
	obs2
	evs
	req
	ack
	eot
	end
	esc
	dtv1
	dtv2
	opl1
	opl2
	ptl1
	ptl2
	kpa
	roots // the first that begins no message

	hdr
	controlID
	dev
	deviceID
	vendorID
	modelID
	serialID
	manufacturer
	hardware
	software
	deviceName
	timeout
	profile
	topic
	directive
	newObservations
	newEvents
	condition
	role
	svc
	observation
	event
	requestCode
	ackCode
	ackControlID
	typeID
	command
	reason
	detail
	patient
	operator
	password
	update
)

var vocabulary = &xmlscan.Vocabulary{
	Names: map[string]xmlscan.Name{
		"HEL.R01": hel, "DST.R01": dst, "OBS.R01": obs1, "OBS.R02": obs2, "EVS.R01": evs, "REQ.R01": req, "ACK.R01": ack, "EOT.R01": eot, "END.R01": end,
		"ESC.R01": esc, "DTV.R01": dtv1, "DTV.R02": dtv2, "OPL.R01": opl1, "OPL.R02": opl2, "PTL.R01": ptl1, "PTL.R02": ptl2, "KPA.R01": kpa,

		"HDR": hdr, "HDR.control_id": controlID,
		"DEV": dev, "DEV.device_id": deviceID, "DEV.vendor_id": vendorID, "DEV.model_id": modelID, "DEV.serial_id": serialID,
		"DEV.manufacturer_name": manufacturer, "DEV.hw_version": hardware, "DEV.sw_version": software, "DEV.device_name": deviceName,
		"DCP.application_timeout": timeout, "DSC.connection_profile_cd": profile, "DSC.topics_supported_cd": topic, "DSC.directives_supported_cd": directive,
		"DST.new_observations_qty": newObservations, "DST.new_events_qty": newEvents, "DST.condition_cd": condition,
		"SVC": svc, "SVC.role_cd": role, "OBS": observation, "EVT": event,
		"REQ.request_cd": requestCode, "ACK.type_cd": ackCode, "ACK.type_id": typeID, "ACK.ack_control_id": ackControlID, "ACK.control_id": ackControlID,
		"DTV.command_cd": command, "TRM.reason_cd": reason, "ESC.detail_cd": detail,
		"PT": patient, "OPR": operator, "ACC.password": password, "UPD": update,
	},
	Root: func(n xmlscan.Name) bool { return n < roots },
}

// kinds are the messages' names as facts have them.
var kinds = [roots]string{
	hel:  "hel_r01",
	dst:  "dst_r01",
	obs1: "obs_r01",
	obs2: "obs_r02",
	evs:  "evs_r01",
	req:  "req_r01",
	ack:  "ack_r01",
	eot:  "eot_r01",
	end:  "end_r01",
	esc:  "esc_r01",
	dtv1: "dtv_r01",
	dtv2: "dtv_r02",
	opl1: "opl_r01",
	opl2: "opl_r02",
	ptl1: "ptl_r01",
	ptl2: "ptl_r02",
	kpa:  "kpa_r01",
}

// The words that codes are looked up in: a code that is none of them leaves as
// "other".
var (
	conditions = map[string]string{"R": "ready", "B": "busy", "L": "locked"}
	serviced   = map[string]string{"OBS": "patient", "LQC": "liquid_control", "EQC": "electronic_control", "CVR": "calibration_check", "CAL": "calibration", "PRF": "proficiency"}
	ackCodes   = words("AA AE AR")
	requests   = words("ROBS RAOB RDEV REVS RDST RNOBS RSTS ROBST")
	reasons    = words("NRM USR UNK ERR TIM TMO CNC OTH BSY NOT PRO ABN LCK")
	topics     = words("DTV D_EV OP_LST OP_LST_I PT_LST PT_LST_I OBS EVS DST ALL_OBS ALL_EV KPA ORD TERM")
	profiles   = words("SA CS DM AP")
	// What directives are made of. Makers have their own; a name made of other
	// words is not told, whatever it is.
	directives = words(`SET GET TIME DATE CLOCK START STOP CONTINUOUS POLLING FORCE NORMAL HIGH LOW LOCK UNLOCK LOCKOUT RESET REBOOT RESTART SHUTDOWN POWER OFF ON CLEAR
		DELETE ERASE UPDATE UPGRADE DOWNLOAD UPLOAD SEND REQUEST CONFIG CONFIGURATION SETUP SETTINGS SOFTWARE FIRMWARE IMAGE LANGUAGE UNITS OPERATOR OPERATORS PATIENT PATIENTS
		LIST QC LQC EQC CONTROL CALIBRATION CALIBRATE CAL LOT REAGENT STRIP TEST RESULT RESULTS OBS OBSERVATION OBSERVATIONS EVENT EVENTS LOG LOGS MEMORY DATA ALL NEW STATUS DEVICE
		INSTRUMENT ANALYZER ANALYSER ENABLE DISABLE ACTIVATE DEACTIVATE RUN ABORT CANCEL PAUSE RESUME MODE SLEEP WAKE STANDBY PRINT BEEP ALARM REMOTE CONNECT DISCONNECT
		PASSWORD PIN USER USERS DVCMD DVCSET LQCSET SWU R01 R02`)
	makers = words("SIEM SIEMENS ROCHE ABBOTT ALERE AXIS AFINION AXISSHIELD ISTAT RADIOMETER RADIO QUIDEL CEPHEID NOVA HEMOCUE BECKMAN WERFEN IL LIFESCAN BAYER EKF POCD BECTON BD TRIVIDIA")
)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// code is a value that is on a list, "other" for one that is not, "" for none.
func code(list map[string]bool, v []byte) string {
	switch {
	case len(v) == 0:
		return ""
	case len(v) <= maxCode && list[string(v)]:
		return string(v)
	}
	return "other"
}

func translated(list map[string]string, v []byte) string {
	switch w := list[string(v)]; {
	case len(v) == 0:
		return ""
	case w != "":
		return w
	}
	return "other"
}

// directiveName is the name of a command where each of its words is known.
func directiveName(v []byte) string {
	if len(v) == 0 {
		return ""
	}
	if len(v) > maxCode {
		return "other"
	}
	for _, w := range strings.FieldsFunc(string(v), func(r rune) bool { return r == '_' || r == '.' || r == '-' }) {
		if !directives[w] && !makers[w] {
			return "other"
		}
	}
	return string(v)
}
