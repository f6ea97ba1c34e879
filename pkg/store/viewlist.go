package store

import (
	"slices"
	"strings"
)

// deviceDoc documents the columns that every view with a device joined has.
const deviceDoc = `
category: the device's category as known today
type: the device's type as known today
manufacturer: maker
model: model
location: where it is`

const riskDoc = `time: when the score became this
device_id: device, 32 hex digits
score: 0 to 100
tier: low, medium, high, critical
likelihood: 0 to 1
impact: 0 to 1; patient safety counts here
factors: the terms of the score: name, value, share of the likelihood, why, evidence
framework: name of the scoring framework
version: counts up per device
cause: what changed it
site: site
endpoint: endpoint of the change` + deviceDoc

// views is every view, in the order in which they are made.
var views = slices.Concat(mainViews, utilisationViews, patternViews, editViews, lifeViews)

var mainViews = []View{
	{
		Name: "v_flows", SQL: strings.Replace(flowsSelect, "$flows", "$db.flows", 1) + "\nWHERE f." + noCanary,
		Comment: "Parts of flows with the devices of both ends, by endpoint and time. Give a site and a start to read little.",
		Columns: doc(`flow_id: constant over the parts of a flow
part: counts up from 0; counters are deltas since the part before
final: the flow ended with this part
site: site of the sensor
sensor: sensor that saw it
start: first packet of this part, UTC
end: last packet of this part, UTC
transport: tcp, udp, icmp, icmp6, sctp, else the IP protocol number
src_ip: address that opened the flow
src_port: its port; the type for ICMP
src_mac: its MAC, empty for none
src_packets: packets from src
src_bytes: IP bytes from src
src_payload_bytes: transport payload bytes from src
dst_ip: the other address
dst_port: its port; the code for ICMP
dst_mac: its MAC, empty for none
dst_packets: packets from dst
dst_bytes: IP bytes from dst
dst_payload_bytes: transport payload bytes from dst
vlan: outermost VLAN tag
vlan_inner: second VLAN tag
tunnel: outer headers, outermost first
state: connection state, Zeek's names (S0, SF, REJ, ...)
protocol: outermost application protocol
protocol_by: content, context, or port (a guess)
protocol_inner: what rides on protocol
community_id: Community ID v1
src_device: device at src, NULL for an outside end
dst_device: device at dst, NULL for an outside end
duplicate_of_sensor: not empty: the named sensor's report of this traffic counts and this one does not; leave such rows out of sums
src_endpoint: endpoint at src, NULL for an outside end
dst_endpoint: endpoint at dst, NULL for an outside end
src_inside: src is inside the site's networks
dst_inside: dst is inside the site's networks
src_retransmits: TCP segments from src whose numbers it had sent before
dst_retransmits: the same from dst
src_resets: TCP resets from src
dst_resets: TCP resets from dst
src_zero_windows: TCP segments that say that src can take no more
dst_zero_windows: the same of dst
src_rtt_ms: handshake, SYN-ACK to its acknowledgement: from the sensor to src and back, NULL when not known
dst_rtt_ms: handshake, SYN to SYN-ACK: from the sensor to dst and back, NULL when not known
first_payload: who sent the flow's first payload, src or dst; empty while there is none
path: what is odd about the packets' way: asymmetric, two_paths, src_nat, dst_nat
src_messages: messages (runs of payload) from src that began in this part, from the flow's eighth on
src_message_first: when the first of them began, NULL for none
src_message_last: when the last of them began, NULL for none
src_message_gap_ms: milliseconds from one message of src to its next, as lower end of a bin and count; sumMap() adds parts up
src_message_bytes: payload of the messages from src, as lower end of a bin and count
dst_messages: messages from dst
dst_message_first: when the first of them began, NULL for none
dst_message_last: when the last of them began, NULL for none
dst_message_gap_ms: milliseconds from one message of dst to its next
dst_message_bytes: payload of the messages from dst
src_category: category of src_device
src_type: type of src_device
dst_category: category of dst_device
dst_type: type of dst_device
time_clamped: an event time was implausible and stored clamped
kafka_time: when it was published
clock_offset_ms: what was added to the times that the sensor told, because its clock was off; 0: it was believed`),
	},
	{
		Name: "v_observations", SQL: observationsSelect, Comment: "Protocol facts with the device they are about.",
		Columns: doc(`time: when it was seen
observation_id: follows from what the observation says
site: site
sensor: sensor
flow_id: flow that carried it, NULL outside IP
device: device it is about
protocol: protocol that said so
kind: the protocol's own message
attributes: JSON object; JSONExtractString(attributes, 'hostname')
endpoint: endpoint it is about
ip: its address, empty when unknown
mac: its MAC, empty when unknown
vlan: VLAN tag
gateway: endpoint that spoke for it
peer: the other end's endpoint
category: category of device
type: type of device
kafka_time: when it was published
duplicate_of_sensor: not empty: the named sensor told the same, and this does not count
clock_offset_ms: what was added to the time that the sensor told, because its clock was off; 0: it was believed`),
	},
	{
		Name: "v_pairs", SQL: pairsSelect, Comment: "Who talked to whom, one row per hour, pair, port and protocol.",
		Columns: doc(`site: site
hour: start of the hour, UTC
client_device: device of the client, NULL when outside
client_category: its category
client_type: its type
client_ip: its address
server_device: device of the server, NULL when outside
server_category: its category
server_type: its type
server_ip: its address
transport: tcp, udp, ...
port: the server's port
protocol: application protocol
flows: flows begun
src_packets: packets from the client
src_bytes: IP bytes from the client
dst_packets: packets from the server
dst_bytes: IP bytes from the server
first: first packet
last: last packet
client_endpoint: endpoint of the client
server_endpoint: endpoint of the server` + placeDoc),
	},
	{
		Name: "v_activity", SQL: activitySelect, Comment: "What each endpoint did, one row per hour.",
		Columns: doc(`site: site
hour: start of the hour, UTC
device_id: device
category: its category
type: its type
endpoint: endpoint
flows: flows as client or server
packets_out: packets sent
bytes_out: IP bytes sent
packets_in: packets received
bytes_in: IP bytes received
first: first packet
last: last packet`),
	},
	{
		Name: "v_bindings", SQL: bindingsSelect, Comment: "Which device an endpoint belonged to, from when to when.",
		Columns: doc(`endpoint: endpoint
device_id: device
category: its category
type: its type
valid_from: from when on; 1970 for the first binding
valid_to: until when; NULL while it holds`),
	},
	{
		Name: "v_devices", SQL: devicesSelect, Comment: "Devices as they stand, with their latest risk.",
		Columns: doc(`device_id: device, 32 hex digits
aliases: ids that were merged into it
site: site
macs: MAC addresses
ips: IP addresses, in order of first use
hostnames: host names
ae_titles: DICOM application entity titles
gateway: device it sits behind
category: medical, ot, iot, it, network, unknown
type: what it is
manufacturer: maker
model: model
os: operating system
os_version: its version
hardware_version: hardware version
software_version: software or firmware version
serial: serial number
location: where it is
type_confidence: confidence in type, 0 to 1
first_seen: first packet
last_seen: last packet
last_state: in_use, idle, offline or empty
endpoints: its endpoints
score: latest risk score, NULL before the first
tier: latest risk tier
record: the whole device as JSON: confidences, sources, evidence
human: attributes that a person has set or confirmed
conflicts: of these, the ones of which traffic says something else
building: where it is, by the context file
floor: floor
department: department
room: room
place_source: what says so: human, switch_port, access_point, a protocol, subnet, vlan, roster; empty for nothing
life_state: online, silent, missing, returned, retired
life_since: since when
end_of_support: day, NULL for not known`),
	},
	{
		Name: "v_detections", SQL: detectionsSelect, Comment: "Detections, each once, with the device that acted.",
		Columns: doc(`time: when it was detected
detection_id: detection
rule: rule that fired
title: one line for people
severity: info, low, medium, high, critical
device_id: the inside device that acted
targets: ids or addresses acted upon
attack: ATT&CK technique ids
evidence: JSON object
count: how often
first: first event
last: last event
site: site
endpoint: the endpoint that acted` + deviceDoc),
	},
	{Name: "v_risk", SQL: riskSelect, Comment: "The latest risk of each device.", Columns: doc(riskDoc)},
	{Name: "v_risk_history", SQL: riskHistorySelect, Comment: "Every risk score: the first of each device, then each change.", Columns: doc(riskDoc)},
	{
		Name: "v_usage", SQL: usageSelect, Comment: "When devices were in use, idle, offline.",
		Columns: doc(`device_id: device
start: begin of the interval
end: end of the interval
state: in_use, idle, offline
kind: exam, infusion, monitoring, test, session or empty
outcome: completed, discontinued, unknown or empty
how: decoded or inferred
confidence: 0 to 1
site: site` + deviceDoc + `
method: activity: in use by an estimate of what cannot be read; else empty`),
	},
	{
		Name: "v_findings", SQL: findingsSelect, Comment: "Devices and their vulnerabilities.",
		Columns: doc(`device_id: device
vulnerability: CVE id where there is one
advisory: the document's id
status: affected, likely, possible, not_affected, fixed
why: reason
cvss_vector: CVSS vector
cvss_score: 0 to 10
epss: 0 to 1
known_exploited: in CISA's catalogue
source: who published it
site: site` + deviceDoc),
	},
	sensorsView,
	sensorEventsView,
}
