// Package hospital reads what a hospital says of itself, the context file: where its
// networks are, what its inventory knows of devices, until when makers support them.
// It answers, for what is known of a device, where that is (Locate), which line of
// the roster it is (Match) and when its support ends (Support).
//
// The file is YAML; every part may be left out:
//
//	sites:                        # sites > buildings > floors > departments and rooms
//	  - site: ward-a
//	    name: St Alban
//	    home: [10.41.8.0/24]      # networks that are inside
//	    buildings:
//	      - building: Main
//	        floors:
//	          - floor: "3"
//	            departments: [{department: ICU, rooms: ["3.01", "3.02"]}]
//	            rooms: [riser]    # of no department
//	subnets:                      # what is inside, and where
//	  - {cidr: 10.41.9.0/24, site: ward-a, vlan: 9, name: Radiology, building: Main, floor: "3", department: ICU}
//	vlans:
//	  - {vlan: 9, site: ward-a, name: Radiology, department: ICU}
//	switch_ports:                 # a port; without one, the whole switch
//	  - {switch: sw-3, port: Gi1/0/7, site: ward-a, room: "3.01"}
//	access_points:                # by its name or MAC address
//	  - {access_point: "00:11:22:33:44:55", site: ward-a, floor: "3", building: Main}
//	locations:                    # what protocols call places: SDC, PV1-3, sysLocation, circuits of DHCP option 82, ...
//	  - {is: Ward 3 riser, protocol: snmp, site: ward-a, building: Main, floor: "3", room: riser}
//	  - {matches: '^ICU\^(\d\.\d+)\^', site: ward-a, department: ICU, room: $1}
//	support:                      # ends of support; * stands for any text
//	  - {manufacturer: Siemens, model: "SOMATOM*", software_version: VA20, date: 2027-06-30, source: letter of the maker}
//	roster:                       # an inventory kept elsewhere, such as a CMMS
//	  - {asset: A-1001, name: CT 1, serial: "62341", mac: "00:01:e3:5d:31:01", owner: Radiology, cost_centre: "4711",
//	     purchase_cost: 450000.00 EUR, purchase_date: 2021-03-01, warranty_end: 2026-03-01, last_maintenance: 2026-09-01,
//	     maintenance_due: 2027-03-01, end_of_support: 2031-12-31, department: ICU}
//	policy, business, controls, framework: what other packages read
//
// A place is named by as many of site, building, floor, department and room as are
// needed; what follows from these is filled in. Where the file has one site, site may
// be left out. Unknown keys, networks of a site that overlap, and places that the
// hierarchy does not have are errors, which name file and line. What is wrong with a
// line of the roster costs that line alone.
//
// No I/O, no clock, and no state: the same text gives the same answers.
package hospital
