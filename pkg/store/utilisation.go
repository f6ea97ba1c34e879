package store

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The views of utilisation. The terms are those of the field: in use and online
// hours a day, examinations a day, utilisation = in use / operating hours, activity =
// online / wall clock, all over the last ninety whole days, or since the day on which
// the device was first seen.

// allWeek is the pattern of operating hours of what no setting names.
const allWeek = "mon-sun 00:00-24:00"

var (
	hoursRE  = regexp.MustCompile(`^(?:([a-z,-]+) )?(\d\d):(\d\d)-(\d\d):(\d\d)$`)
	weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
)

// hours is a pattern of operating hours: days of the week, 1 being Monday, and
// minutes of the day.
type hours struct {
	days     []int
	from, to int
}

// parseHours reads "mon-fri 08:00-18:00"; without days it is every day.
func parseHours(s string) (hours, error) {
	m := hoursRE.FindStringSubmatch(s)
	if m == nil {
		return hours{}, fmt.Errorf("%q: want [days] from-to, for example mon-fri 08:00-18:00 or mon,wed,fri 07:30-16:00", s)
	}
	h := hours{days: []int{1, 2, 3, 4, 5, 6, 7}}
	if m[1] != "" {
		h.days = nil
		for _, part := range strings.Split(m[1], ",") {
			first, last, isRange := strings.Cut(part, "-")
			a, b := slices.Index(weekdays, first), slices.Index(weekdays, last)
			if !isRange {
				b = a
			}
			if a < 0 || b < a {
				return hours{}, fmt.Errorf("%q: days %q: want names mon to sun, a range from earlier to later", s, part)
			}
			for d := a; d <= b; d++ {
				h.days = append(h.days, d+1)
			}
		}
		slices.Sort(h.days)
		h.days = slices.Compact(h.days)
	}
	var n [4]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[2+i]) // two digits
	}
	h.from, h.to = n[0]*60+n[1], n[2]*60+n[3]
	if n[1] > 59 || n[3] > 59 || h.to > 24*60 || h.from >= h.to {
		return hours{}, fmt.Errorf("%q: want a time of the day before a later one, 24:00 being the end of the day", s)
	}
	return h, nil
}

// sql is the pattern as a tuple: days, hours of the day.
func (h hours) sql() string {
	var days []string
	for _, d := range h.days {
		days = append(days, strconv.Itoa(d))
	}
	hour := func(minutes int) string { return strconv.FormatFloat(float64(minutes)/60, 'f', 4, 64) }
	return "tuple([" + strings.Join(days, ", ") + "], " + hour(h.to-h.from) + ")"
}

// operatingHours is the expression that picks a device's pattern. Settings are named
// by type, site/type, or site/ for the whole site; what names more goes before.
func (l layout) operatingHours() string {
	all, _ := parseHours(allWeek)
	keys := sortedKeys(l.hours)
	weight := func(key string) int {
		site, typ, split := strings.Cut(key, "/")
		switch {
		case split && site != "" && typ != "":
			return 0
		case !split:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(keys, func(a, b string) int { return weight(a) - weight(b) })
	var arms []string
	for _, key := range keys {
		h, err := parseHours(l.hours[key])
		if err != nil {
			continue // Validate has refused it
		}
		site, typ, split := strings.Cut(key, "/")
		if !split {
			site, typ = "", key
		}
		var is []string
		if site != "" {
			is = append(is, "d.site = "+quote(site))
		}
		if typ != "" {
			is = append(is, "d.type = "+quote(typ))
		}
		arms = append(arms, "("+strings.Join(is, " AND ")+"), "+h.sql())
	}
	if len(arms) == 0 {
		return all.sql()
	}
	return "multiIf(" + strings.Join(arms, ", ") + ", " + all.sql() + ")"
}

const nanos = "toUnixTimestamp64Nano"

// usageHourlySelect cuts the lines at the hours before it adds them up.
var usageHourlySelect = `SELECT
    site, ` + hexID("device") + ` AS device_id, hour, in_use_s, idle_s, offline_s, exams, infusions, monitorings, tests, sessions, in_use_estimated_s, exams_estimated
FROM (SELECT any(h.site) AS site, if(k.id = h.device_id, k.d.1, h.device_id) AS device, h.hour AS hour, sum(h.in_use_s) AS in_use_s, sum(h.idle_s) AS idle_s,
        sum(h.offline_s) AS offline_s, sum(h.exams) AS exams, sum(h.infusions) AS infusions, sum(h.monitorings) AS monitorings, sum(h.tests) AS tests, sum(h.sessions) AS sessions,
        sum(h.in_use_estimated_s) AS in_use_estimated_s, sum(h.exams_estimated) AS exams_estimated
    FROM (SELECT device_id, any(site) AS site, toDateTime(n * 3600, 'UTC') AS hour, sumIf(s, (state = 'in_use') AND NOT estimate) AS in_use_s, sumIf(s, state = 'idle') AS idle_s,
            sumIf(s, state = 'offline') AS offline_s, countIf(begun AND (kind = 'exam') AND NOT estimate) AS exams, countIf(begun AND (kind = 'infusion')) AS infusions,
            countIf(begun AND (kind = 'monitoring')) AS monitorings, countIf(begun AND (kind = 'test')) AS tests, countIf(begun AND (kind = 'session')) AS sessions,
            sumIf(s, (state = 'in_use') AND estimate) AS in_use_estimated_s, countIf(begun AND (kind = 'exam') AND estimate) AS exams_estimated
        FROM (SELECT device_id, site, state, kind, estimate, a, b,
                arrayJoin(range(toUInt32(intDiv(a, 3600000000000)), toUInt32(intDiv(b - 1, 3600000000000) + 1))) AS n,
                (least(b, (toInt64(n) + 1) * 3600000000000) - greatest(a, toInt64(n) * 3600000000000)) / 1000000000. AS s,
                (state = 'in_use') AND (intDiv(a, 3600000000000) = n) AS begun
            FROM (SELECT device_id, site, state, kind, method = 'activity' AS estimate, ` + nanos + `(start) AS a, ` + nanos + `("end") AS b FROM $db.usage FINAL WHERE "end" > start))
        GROUP BY device_id, n) AS h
    $global LEFT ANY JOIN ` + known + ` AS k ON k.id = h.device_id
    GROUP BY device, hour)`

// The window of utilisation: whole days of the setting's time zone.
const (
	today       = "toStartOfDay(now($zone))"
	windowFrom  = "(" + today + " - toIntervalDay(90))"
	windowStart = "toUnixTimestamp(" + windowFrom + ") * 1000000000"
	windowEnd   = "toUnixTimestamp(" + today + ") * 1000000000"
)

// usedSelect is what each device did in the window.
var usedSelect = `SELECT if(k.id = x.device_id, k.d.1, x.device_id) AS device, sum(x.in_use_s) AS in_use_s, sum(x.online_s) AS online_s, sum(x.exams) AS exams,
        sum(x.uses) AS uses, max(x.last_used) AS last_used, if(max(x.unknown) = 1, NULL, sum(x.in_use_estimated_s)) AS in_use_estimated_s, sum(x.exams_estimated) AS exams_estimated
    FROM (SELECT device_id, sumIf(s, (state = 'in_use') AND NOT estimate) AS in_use_s, sumIf(s, state != 'offline') AS online_s,
            countIf(counts AND (kind = 'exam') AND NOT estimate) AS exams, countIf(counts AND NOT estimate) AS uses, maxIf("end", state = 'in_use') AS last_used,
            sumIf(s, (state = 'in_use') AND estimate) AS in_use_estimated_s, countIf(counts AND estimate) AS exams_estimated, maxIf(1, counts AND estimate AND (confidence < 0.5)) AS unknown
        FROM (SELECT device_id, state, kind, method = 'activity' AS estimate, confidence, "end",
                greatest(0, least(` + nanos + `("end"), ` + windowEnd + `) - greatest(` + nanos + `(start), ` + windowStart + `)) / 1000000000. AS s,
                (state = 'in_use') AND (` + nanos + `(start) >= ` + windowStart + `) AND (` + nanos + `(start) < ` + windowEnd + `) AS counts
            FROM $db.usage FINAL WHERE ("end" > start) AND ("end" > ` + windowFrom + `))
        GROUP BY device_id) AS x
    $global LEFT ANY JOIN ` + known + ` AS k ON k.id = x.device_id
    GROUP BY device`

var utilisationSelect = `SELECT
    device_id, site, category, type, manufacturer, model, location, days, operating_s / days / 3600 AS operating_h_day, in_use_s / days / 3600 AS in_use_h_day,
    online_s / days / 3600 AS online_h_day, exams / days AS exams_day, uses / days AS uses_day, if(operating_s > 0, in_use_s / operating_s, NULL) AS utilisation,
    online_s / (days * 86400) AS activity, last_used, dateDiff('day', coalesce(last_used, begin), now($zone)) AS idle_days, last_seen,
    in_use_s, online_s, operating_s, exams, uses, building, floor, department, room,
    exams_estimated, in_use_estimated_s, if(operating_s > 0, in_use_estimated_s / operating_s, NULL) AS utilisation_estimated
FROM (SELECT ` + hexID("d.device_id") + ` AS device_id, d.site AS site, d.category AS category, d.type AS type, d.manufacturer AS manufacturer, d.model AS model, d.location AS location,
        greatest(toStartOfDay(toTimeZone(toDateTime(d.first_seen), $zone)), ` + windowFrom + `) AS begin,
        toUInt32(dateDiff('day', begin, ` + today + `)) AS days, $pattern AS pattern,
        arrayCount(i -> has(pattern.1, toDayOfWeek(toDate(begin, $zone) + i)), range(days)) * pattern.2 * 3600 AS operating_s,
        u.in_use_s AS in_use_s, u.online_s AS online_s, u.exams AS exams, u.uses AS uses, ` + timeNull("u.last_used") + ` AS last_used, d.last_seen AS last_seen,
        d.building AS building, d.floor AS floor, d.department AS department, d.room AS room,
        u.exams_estimated AS exams_estimated, if(u.exams_estimated = 0, 0, u.in_use_estimated_s) AS in_use_estimated_s
    FROM ` + standing + ` AS d
    $global LEFT ANY JOIN (` + usedSelect + `) AS u ON u.device = d.device_id)
WHERE days > 0`

const utilisationGroupsSelect = `SELECT
    site, g.1 AS grouped_by, g.2 AS value, count() AS devices, countIf(in_use_s > 0) AS devices_used, sum(in_use_s) / sum(days) / 3600 AS in_use_h_day, sum(online_s) / sum(days) / 3600 AS online_h_day,
    sum(exams) / sum(days) AS exams_day, if(sum(operating_s) > 0, sum(in_use_s) / sum(operating_s), NULL) AS utilisation, sum(online_s) / (sum(days) * 86400) AS activity,
    sum(exams_estimated) / sum(days) AS exams_estimated_day
FROM (SELECT *, arrayJoin(arrayConcat([('site', toString(site)), ('category', toString(category)), ('type', toString(type)), ('model', toString(model)), ('location', toString(location))],
        arrayFilter(x -> (x.2 != ''), [('building', toString(building)), ('department', toString(department))]))) AS g
    FROM $db.v_utilisation)
GROUP BY site, g`

const idleFleetSelect = `SELECT device_id, site, type, manufacturer, model, location, idle_days, last_used, last_seen, online_h_day
FROM $db.v_utilisation
WHERE (category = 'medical') AND (idle_days > 0) AND (last_seen > (now() - toIntervalDay(7)))`

const groupDoc = `
in_use_h_day: hours in use a day and device
online_h_day: hours online a day and device
exams_day: examinations a day and device
utilisation: in use / operating hours, 0.3 being 30 %; NULL where the pattern has no hours
activity: online / wall clock`

// utilisationViews are the views of utilisation.
var utilisationViews = []View{
	{
		Name: "v_usage_hourly", SQL: usageHourlySelect, Comment: "Seconds in use, idle and offline by device and hour, and the uses begun in it.",
		Columns: doc(`site: site
device_id: device
hour: start of the hour, UTC
in_use_s: seconds in use
idle_s: seconds online and not in use
offline_s: seconds offline, of silences that are over
exams: examinations begun
infusions: infusions begun
monitorings: monitoring of a patient begun
tests: batches of results begun
sessions: stretches begun that were known by their traffic alone
in_use_estimated_s: seconds in use by an estimate (method activity), of devices that say nothing that can be read; in none of the other numbers
exams_estimated: examinations begun, by the same`),
	},
	{
		Name: "v_utilisation", SQL: utilisationSelect,
		Comment: "Utilisation of each device over the last 90 whole days (clickhouse.time_zone), or since the day it was first seen, against clickhouse.operating_hours.",
		Columns: doc(`device_id: device
site: site
category: the device's category as known today
type: the device's type as known today
manufacturer: maker
model: model
location: where it is
days: whole days that are counted
operating_h_day: operating hours a day, by its pattern
in_use_h_day: hours in use a day
online_h_day: hours online a day
exams_day: examinations a day
uses_day: uses of any kind a day
utilisation: in use / operating hours, 0.3 being 30 %; NULL where the pattern has no hours
activity: online / wall clock
last_used: end of its last use, estimates too, in these days and today, NULL for none
idle_days: days since then, or since it is counted
last_seen: its last packet
in_use_s: seconds in use, estimates apart
online_s: seconds online
operating_s: seconds of operation by its pattern
exams: examinations
uses: uses of any kind
building: where it is, by the context file
floor: floor
department: department
room: room
exams_estimated: examinations by an estimate (method activity), of a device that says nothing that can be read; not in exams
in_use_estimated_s: seconds in use by the same, not in in_use_s; NULL where it is not known how long some of them took
utilisation_estimated: in_use_estimated_s / operating_s`),
	},
	{
		Name: "v_utilisation_groups", SQL: utilisationGroupsSelect, Comment: "Utilisation by site, category, type, model, location, building and department: choose with grouped_by.",
		Columns: doc(`site: site
grouped_by: site, category, type, model, location, building or department
value: which
devices: devices
devices_used: of which were in use at all, estimates apart` + groupDoc + `
exams_estimated_day: examinations a day and device by estimates, not in exams_day`),
	},
	{
		Name: "v_idle_fleet", SQL: idleFleetSelect, Comment: "Medical devices that were online in the last week, and since when they have not been used: WHERE idle_days >= 30.",
		Columns: doc(`device_id: device
site: site
type: the device's type
manufacturer: maker
model: model
location: where it is
idle_days: days since its last use, or since it is known; 90 at most
last_used: its last use in 90 days, NULL for none
last_seen: its last packet
online_h_day: hours online a day`),
	},
}
