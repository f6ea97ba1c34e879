// Package script runs text scripts against folds, in memory and in event time. A
// script is a story that a hospital's analyst can read and write: at ten this
// device talks to that one, and a detection is expected. It is how the services
// test their folds, and how a site tests its own policies (`wardflow script`).
//
// The folds are the caller's: this package knows none. It does not read capture
// files, and needs neither broker nor database.
//
// # The language
//
// One statement a line; # begins a comment; "two words" are one. Names are chosen
// by the script.
//
//	site st-alban                                    names the site; default "ward"
//	day 2026-11-17                                   the first day; this is the default
//	policy learning_until 12:00                      or learning_period 24h, silence_min 15m,
//	                                                 port_scan_ports 20, half_life 72h, trusted 198.51.100.0/24
//	device pump f8:c6:78:10:42:01 10.41.8.151        an inside device: MAC, address or both
//	equipment syringe "13877029^W3" behind gateway   a device without an interface of its own
//	outside cloud 203.0.113.45                       an outside host
//
//	at 10:00                                         time goes on to then; at +5m, at +1d 08:30
//	flow pump -> gateway tcp/3613 unknown            one flow, over now; protocol, then what deviates:
//	     by port | by context                        how the protocol is known (content)
//	     state S0                                    Zeek's (SF; for a state without answer nothing comes back)
//	     bytes 200/3800                              payload there and back
//	     for 30s                                     it began that long ago
//	     midstream                                   no handshake was seen, and the source's port is the server's
//	flow scanner -> ct tcp/1-100 unknown state REJ   one flow a port
//	every 5m until 18:00 flow pump -> gateway ...    one flow each five minutes
//	observe pump dhcp request hostname=PCU-1 ip=...  a protocol fact; a,b in [brackets] is a list
//	bind pump medical infusion_pump life_sustaining  as the device fold would say
//	detect pump new_external_peer high               as the anomaly fold would say
//	away until 12:00                                 the sensor hears nothing till then
//	end                                              the capture file ends
//
//	expect detection new_peer medium pump -> cloud at 10:05:00 count 3
//	expect no detection
//	expect device pump type infusion_pump model "8015 PCU"
//	expect risk pump score 55.1 tier medium factors cleartext_hl7=0.29
//
// A block of expect detection lines lists every detection that was told since the
// block before, as it stood when it was told last. The other expectations look at
// the present; a name alone asks for the usual fields. Updating a script rewrites
// its expectations to what came out.
package script
