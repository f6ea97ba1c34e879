package store

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/wardflow/wardflow/proto"
)

// editsTable has a row for each record of wardflow.edits. Writers are people, who number
// nothing, so a row is known by its place: inserted again it changes nothing.
var editsTable = Table{
	Name: Edits, Version: "row_version", OrderBy: "device_id, topic_generation, kafka_partition, kafka_offset",
	Comment: "What people have decided about devices, as it was handed in. Read v_edits.",
	Indexes: []Index{byOffset},
	Columns: fromKafka(
		idCol("device_id", "device that it is about, by the id that it had"),
		idCol("edit_id", "the edit's own id"),
		timeCol("time", "when it was decided"),
		wordCol("by", "who decided; wardflow for the device fold's own merge and split"),
		wordCol("action", "set, confirm, undo, note, rate, join, separate, merge or split"),
		wordCol("attribute", "set, confirm: which"),
		textCol("value", "the value"),
		idCol("undoes", "undo: the edit that holds no longer"),
		col("rating", "UInt8", "ZSTD(1)", "rate: 1 to 5"),
		textCol("note", "the note, or why"),
		idCol("made_on", "the device that it was made on, where that has become part of this one since; split: the one that has left"),
		idCol("into", "merge: the device that this one has become part of; join, separate: the other id"),
		versionCol,
	),
}

func readEdit(o *row, r *Record) error {
	var e proto.Edit
	if err := decode(r.Value, &e); err != nil {
		return err
	}
	if e.DeviceID.IsZero() || e.EditID.IsZero() {
		return errors.New("edit without device_id or edit_id")
	}
	if e.Rating < 0 || e.Rating > 255 {
		return fmt.Errorf("rating %d is not between 1 and 5", e.Rating)
	}
	o.add(uuid.UUID(e.DeviceID), uuid.UUID(e.EditID))
	o.time(e.Time)
	o.add(e.By, e.Action, e.Attribute, e.Value, uuid.UUID(e.Undoes), uint8(e.Rating), e.Note, uuid.UUID(e.MadeOn), uuid.UUID(e.Into), r.At.version())
	return nil
}

// editRefused are the places of edits that the device fold did not apply, and why. What
// is kept until its device appears is told among the dead letters too, and is no refusal.
const editRefused = `(SELECT partition, offset, any(reason) AS why FROM $db.deadletters
    WHERE (topic = 'wardflow.edits') AND (consumer = 'device') AND (position(reason, 'the edit is kept') = 0) GROUP BY partition, offset)`

const (
	editPlace = "(topic_generation, kafka_offset)"
	editUndos = `(SELECT device_id, undoes, argMin((edit_id, time, toString(by), note), ` + editPlace + `) AS u FROM $db.edits FINAL
    WHERE (action = 'undo') AND ((toInt32(kafka_partition), toInt64(kafka_offset)) $global NOT IN (SELECT partition, offset FROM ` + editRefused + `)) GROUP BY device_id, undoes)`
	editSplits = `(SELECT device_id, made_on, max(` + editPlace + `) AS at, max(time) AS last FROM $db.edits FINAL WHERE action = 'split' GROUP BY device_id, made_on)`
)

// editsSelect says what has become of each edit, as fingerprint.EditHistory does. A merge
// is told where the id is that has become part of a device, and shown in the history of
// that device: so of it and a split only the times can be compared, not the offsets.
var editsSelect = `SELECT ` + hexID("device_id") + ` AS device_id, ` + hexID("edit_id") + ` AS edit_id, time, by, action, attribute, value, nullIf(rating, 0) AS rating, note,
    if((state = 'holds') AND (action IN ('set', 'confirm', 'rate')) AND (row_number() OVER (PARTITION BY device_id, state, if(action = 'rate', concat('by ', by), concat('of ', attribute)) ORDER BY topic_generation DESC, kafka_offset DESC) > 1), 'earlier', state) AS state,
    why AS refused_because, ` + hexID("undoes") + ` AS undoes, ` + hexID("undone.1") + ` AS undone_by_edit, if(state = 'undone', undone.3, '') AS undone_by, if(state = 'undone', ` + timeNull("undone.2") + `, NULL) AS undone_at,
    if(state = 'undone', undone.4, '') AS undone_note, ` + hexID("made_on") + ` AS made_on, if(action IN ('join', 'separate'), ` + hexID("into") + `, NULL) AS into, kafka_time
FROM (SELECT e.device_id AS device_id, e.edit_id AS edit_id, e.time AS time, toString(e.by) AS by, toString(e.action) AS action, toString(e.attribute) AS attribute, e.value AS value, e.rating AS rating, e.note AS note,
        e.undoes AS undoes, e.made_on AS made_on, e.into AS into, e.topic_generation AS topic_generation, e.kafka_offset AS kafka_offset, e.kafka_time AS kafka_time, r.why AS why, u.u AS undone,
        multiIf(e.nth > 1, 'repeated', r.why != '', 'refused', if(e.action = 'merge', s.last > e.time, (e.action != 'split') AND (s.at > (e.topic_generation, e.kafka_offset))), 'left', (u.undoes = e.edit_id) AND (e.action != 'undo'), 'undone', 'holds') AS state
    FROM (SELECT * EXCEPT (device_id, made_on), device AS device_id, part AS made_on, row_number() OVER (PARTITION BY device, edit_id ORDER BY topic_generation ASC, kafka_offset ASC) AS nth
        FROM (SELECT *, if(action = 'merge', into, device_id) AS device, if(action = 'merge', device_id, made_on) AS part FROM $db.edits FINAL)) AS e
    $global LEFT ANY JOIN ` + editRefused + ` AS r ON (r.partition = toInt32(e.kafka_partition)) AND (r.offset = toInt64(e.kafka_offset))
    $global LEFT ANY JOIN ` + editUndos + ` AS u ON (u.device_id = e.device_id) AND (u.undoes = e.edit_id)
    $global LEFT ANY JOIN ` + editSplits + ` AS s ON (s.device_id = e.device_id) AND (s.made_on = e.made_on))`

var editViews = []View{{
	Name: "v_edits", SQL: editsSelect, Comment: "What people have decided about devices, and what has become of it: the history of a device with WHERE device_id = ...",
	Columns: doc(`device_id: device that it is about; what was made on a device that is part of another today is there once more, with made_on
edit_id: the edit's own id
time: when it was decided
by: who decided
action: set, confirm, undo, note, rate, join or separate; merge and split are told by the service, with the reason as note
attribute: set, confirm: which
value: the value
rating: 1 to 5, NULL for none
note: the note, or why
state: holds, earlier (another value came after it), undone, left (made on a device that is no part of this one any more), refused, repeated
refused_because: why it was not applied
undoes: undo: the edit that holds no longer
undone_by_edit: the edit that undid it
undone_by: who undid it
undone_at: when
undone_note: why
made_on: the device that it was made on, where that has become part of this one since; merge, split: the one that came, or left
into: join, separate: the other id
kafka_time: when it was handed in`),
}}
