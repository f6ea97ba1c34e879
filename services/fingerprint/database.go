package fingerprint

// loginReadings are what connections to databases tell of both ends: of the server
// which program it is, of the client its computer's name.
var loginReadings = []reading{
	{"product", "server_software", 0.8}, // a device may have several
	{"computer_name", "hostname", 0.6},
	{"os", "os", 0.5},
}

// databaseReadings are by protocol; shares and printers are spoken to in the same way.
var databaseReadings = map[string][]reading{
	"tds": loginReadings, "mysql": loginReadings, "postgresql": loginReadings, "oracle": loginReadings, "nfs": loginReadings, "rpc": loginReadings, "lpd": loginReadings,
	"jetdirect": { // PJL: INFO ID, INFO PRODINFO
		{"manufacturer", "manufacturer", 0.9},
		{"model", "model", 0.9},
		{"serial", "serial", 0.9},
		{"firmware_version", "software_version", 0.9},
	},
}
