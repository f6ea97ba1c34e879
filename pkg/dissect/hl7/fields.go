package hl7

import "strings"

// action is what is done with a field.
type action uint8

const (
	drop     action = iota // never kept
	store                  // a device fact or a delimiter
	identity               // first components are a patient's or a person's: hashed, then forgotten
	person                 // the first three components are: hashed, then forgotten
	mark                   // only whether there is anything
)

// plan is what is done with each field of a segment, by field number; fields
// beyond it are dropped.
type plan []action

// plans lists, by segment, everything that is kept at all (HL7 v2.9 chapters 2,
// 3, 7, 13).
var plans = map[[3]byte]plan{
	{'M', 'S', 'H'}: {2: store, 3: store, 4: store, 5: store, 6: store, 7: store, 9: store, 10: store, 12: store, 18: store, 21: store},
	{'M', 'S', 'A'}: {1: store, 2: store},
	{'E', 'R', 'R'}: {1: store, 3: store},
	{'S', 'F', 'T'}: {1: store, 2: store, 3: store, 4: store},
	{'O', 'B', 'X'}: {3: store, 4: store, 5: store, 8: store, 16: person, 17: store, 18: store},
	{'P', 'R', 'T'}: {5: person, 10: store, 16: store, 17: store, 19: store, 20: store, 22: store},
	{'E', 'Q', 'U'}: {1: store},
	{'D', 'E', 'V'}: {2: store, 3: store, 4: store, 5: store, 6: store, 7: store, 8: store, 9: store, 10: store, 11: store, 12: store, 16: store, 17: mark},
	{'R', 'X', 'G'}: {5: mark, 6: mark, 15: mark, 17: mark, 23: mark},
	{'P', 'V', '1'}: {3: store, 5: identity, 7: person, 8: person, 9: person, 17: person, 19: identity, 50: identity, 52: person},
	{'P', 'I', 'D'}: {2: identity, 3: identity, 4: identity, 5: person, 6: person, 7: identity, 9: person, 11: identity, 13: identity, 14: identity, 18: identity, 19: identity, 20: identity, 21: identity},
	{'N', 'K', '1'}: {2: person, 30: person, 33: identity, 37: identity},
	{'G', 'T', '1'}: {2: identity, 3: person, 4: person, 12: identity},
	{'I', 'N', '1'}: {2: identity, 16: person, 36: identity, 49: identity},
	{'M', 'R', 'G'}: {1: identity, 2: identity, 3: identity, 4: identity, 5: identity, 6: identity, 7: person},
	{'O', 'R', 'C'}: {1: store, 10: person, 11: person, 12: person},
	{'O', 'B', 'R'}: {10: person, 16: person, 28: person, 32: person, 34: person},
}

// known are the segments that are counted by name: those of the standard. A
// site's own (Z) and anything else could say whatever the sender likes.
var known = segments("ABS ACC ADD ADJ AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BLC BLG BPO BPX BTX BUI CDM CDO CER CM0 CM1 CM2 " +
	"CNS CON CSP CSR CSS CTD CTI CTR DB1 DEV DG1 DMI DON DPS DRG DSC DSP DST ECD ECR EDU EQP EQU ERR EVN FAC FT1 GOL GP1 GP2 GT1 " +
	"IAM IAR IIM ILT IN1 IN2 IN3 INV IPC IPR ISD ITM IVC IVT LAN LCC LCH LDP LOC LRL MCP MFA MFE MFI MRG MSA MSH NCK NDS NK1 NPU " +
	"NSC NST NTE OBR OBX ODS ODT OH1 OH2 OH3 OH4 OM1 OM2 OM3 OM4 OM5 OM6 OM7 OMC ORC ORG OVR PAC PCE PCR PD1 PDA PDC PEO PES PID " +
	"PKG PM1 PMT PR1 PRA PRB PRC PRD PRT PSG PSH PSL PSS PTH PV1 PV2 PYE QAK QID QPD QRD QRF QRI RCP RDF RDT REL RF1 RFI RGS RMI " +
	"ROL RQ1 RQD RXA RXC RXD RXE RXG RXO RXR RXV SAC SCD SCH SCP SDD SFT SGH SGT SHP SID SLT SPM STF STZ TCC TCD TQ1 TQ2 TXA UAC " +
	"UB1 UB2 URD URS VAR VND")

// patients are the segments whose fields must never be taken for another's.
var patients = segments("PID PD1 NK1 PV1 PV2 GT1 IN1 IN2 IN3 MRG NTE OBX OBR ORC AL1 DG1 ZPI")

// charsets are the words for character sets (HL7 table 0211).
var charsets = words("ASCII 8859/1 8859/2 8859/3 8859/4 8859/5 8859/6 8859/7 8859/8 8859/9 8859/15 GB BIG-5 CNS JAS2020 JIS KS ISO GOST " +
	"UNICODE UTF-8 UTF-16")

func segments(s string) map[[3]byte]bool {
	m := map[[3]byte]bool{}
	for i := 0; i < len(s); i += 4 {
		m[[3]byte([]byte(s[i:i+3]))] = true
	}
	return m
}

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}
