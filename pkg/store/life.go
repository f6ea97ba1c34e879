package store

// The views of devices' lives, and of the hospital's inventory.

var lifecycleSelect = `SELECT
    ` + hexID("d.device_id") + ` AS device_id, d.site AS site, d.category AS category, d.type AS type, d.manufacturer AS manufacturer, d.model AS model,
    d.life_state AS state, if(d.life_state = '', NULL, d.life_since) AS since, d.life_reason AS reason, d.first_seen AS first_seen, d.last_seen AS last_seen,
    d.building AS building, d.floor AS floor, d.department AS department, d.room AS room, d.place_source AS place_source
FROM ` + standing + ` AS d`

const eventType = `'Array(Tuple(time String, event String, reason String, by String))'`

var lifecycleEventsSelect = `SELECT
    parseDateTime64BestEffort(e.1, 9, 'UTC') AS time, x.device_id AS device_id, x.site AS site, x.category AS category, x.type AS type, e.2 AS event, e.3 AS reason, e.4 AS by
FROM (SELECT ` + hexID("d.device_id") + ` AS device_id, d.site AS site, d.category AS category, d.type AS type, arrayJoin(JSONExtract(d.life_events, ` + eventType + `)) AS e
    FROM ` + standing + ` AS d WHERE d.life_events != '') AS x`

func assetText(key string) string { return "JSONExtractString(d.asset, '" + key + "') AS " + key }

func assetDay(key string) string {
	return "toDate32OrNull(JSONExtractString(d.asset, '" + key + "')) AS " + key
}

const conflictType = `'Array(Tuple(attribute String, roster String, seen String))'`

var assetsSelect = `SELECT
    ` + hexID("d.device_id") + ` AS device_id, d.site AS site, d.category AS category, d.type AS type, d.manufacturer AS manufacturer, d.model AS model, d.serial AS serial,
    ` + assetText("asset_tag") + `, ` + assetText("name") + `, ` + assetText("owner") + `, ` + assetText("cost_centre") + `, ` + assetText("purchase_cost") + `,
    ` + assetDay("purchase_date") + `, ` + assetDay("warranty_end") + `, ` + assetDay("last_maintenance") + `, ` + assetDay("maintenance_due") + `,
    ` + assetText("matched_by") + `, JSONExtract(d.asset, 'conflicts', ` + conflictType + `) AS conflicts, toDate32OrNull(d.end_of_support) AS end_of_support,
    JSONExtractString(d.record, 'end_of_support', 'what') AS end_of_support_of, JSONExtractString(d.record, 'end_of_support', 'source') AS end_of_support_source,
    d.life_state AS state, d.building AS building, d.floor AS floor, d.department AS department, d.room AS room
FROM ` + standing + ` AS d
WHERE (d.asset != '') OR (d.end_of_support != '')`

const levelDoc = `
building: where it is, by the context file
floor: floor
department: department
room: room`

// lifeViews are the views of this file.
var lifeViews = []View{
	{
		Name: "v_lifecycle", SQL: lifecycleSelect, Comment: "Which devices are online, silent, missing, returned or retired, since when and why: WHERE state = 'missing'.",
		Columns: doc(`device_id: device
site: site
category: the device's category as known today
type: its type
manufacturer: maker
model: model
state: online, silent, missing, returned, retired
since: since when
reason: why
first_seen: first packet
last_seen: last packet` + levelDoc + `
place_source: what says so; empty for nothing`),
	},
	{
		Name: "v_lifecycle_events", SQL: lifecycleEventsSelect, Comment: "What has happened in devices' lives: the first packet, and the latest silences and decisions after it.",
		Columns: doc(`time: when
device_id: device
site: site
category: the device's category as known today
type: its type
event: online, silent, missing, returned, retired, onboarding
reason: why
by: the person who decided, empty when traffic says it`),
	},
	{
		Name: "v_assets", SQL: assetsSelect, Comment: "What the inventory knows of devices, with their end of support: devices of which either is known.",
		Columns: doc(`device_id: device
site: site
category: the device's category as known today
type: its type
manufacturer: maker
model: model
serial: serial number, as seen or set
asset_tag: tag of the inventory
name: its name there
owner: who it belongs to
cost_centre: cost centre
purchase_cost: amount and currency
purchase_date: day, NULL for not known
warranty_end: day
last_maintenance: day
maintenance_due: day
matched_by: serial, mac, hostname or ip, by which the roster's line was found; empty when people have set it
conflicts: what the roster says otherwise than the network or a person
end_of_support: day, NULL for not known
end_of_support_of: what that is the end of
end_of_support_source: who says so
state: online, silent, missing, returned, retired` + levelDoc),
	},
}
