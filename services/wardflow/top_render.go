package main

import (
	"fmt"
	"strings"
	"time"
)

// panel is a table of the frame with its name in place of its first title.
type panel struct {
	cols  []column
	rows  [][]cell
	empty string // said when there are no rows
	err   string // why rows are missing or old
	rank  int    // rows are given to low ranks first
	least int    // rows that it has, if there are so many
}

// twoColumns is from where on sections stand side by side.
const twoColumns = 132

// render makes the lines of a frame, each at most wide; high 0 is without limit.
func render(s *screen, f frame, wide, high int) []string {
	left := []panel{sensorSection(&f), serviceSection(&f), rowsSection(&f), topicSection(&f)}
	right := []panel{riskSection(&f), detectionSection(&f), deviceSection(&f)}
	lines := []string{headLine(s, &f, wide)}
	room := 0
	if high > 0 {
		room = max(high-1, 4)
	}
	if wide < twoColumns {
		order := []panel{left[0], left[1], left[2], right[0], right[1], right[2], left[3]}
		lines = append(lines, stack(s, order, wide, room)...)
	} else {
		half := 0
		a := stack(s, left, (wide-3)*9/20, room)
		for _, line := range a {
			half = max(half, shownWidth(line))
		}
		b := stack(s, right, wide-3-half, room)
		for i := range max(len(a), len(b)) {
			lines = append(lines, padTo(at(a, i), half)+s.paint(" │ ", faint)+at(b, i))
		}
	}
	if high > 0 && len(lines) > high {
		lines = lines[:high]
	}
	return lines
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// padTo pads a line, whose colours take no room, to w.
func padTo(line string, w int) string {
	return line + strings.Repeat(" ", max(0, w-shownWidth(line)))
}

// shownWidth is the width of a text without its colours.
func shownWidth(s string) int {
	n, escaped := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escaped = true
		case escaped:
			escaped = r != 'm'
		default:
			n++
		}
	}
	return n
}

// headLine says when, and whether everything answers.
func headLine(s *screen, f *frame, wide int) string {
	state := func(name, err string) string {
		if err != "" {
			return s.paint(name+" away", redder)
		}
		return s.paint(name+" ok", green)
	}
	head := s.paint("wardflow top", bold) + "  " + f.time.UTC().Format("15:04:05") + " UTC  " + state("kafka", f.kafkaErr) + "  " + state("clickhouse", f.storeErr)
	const hint = "q quits"
	if gap := wide - shownWidth(head) - len(hint); s.width > 0 && gap > 1 {
		head += strings.Repeat(" ", gap) + s.paint(hint, faint)
	}
	return head
}

// stack puts sections under each other into room lines: each has its title, and
// rows are dealt out by rank until there is no room.
func stack(s *screen, sections []panel, wide, room int) []string {
	given := make([]int, len(sections))
	free := room
	for i := range sections {
		given[i] = sections[i].wants()
		free--
	}
	apart := room > 0 && room >= roomy
	if apart {
		free -= len(sections) - 1
	}
	if room > 0 {
		deal(sections, given, free)
	}
	var lines []string
	for i := range sections {
		if room > 0 && given[i] == 0 {
			continue
		}
		if apart && len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, sections[i].lines(s, wide, given[i])...)
	}
	if room > 0 && len(lines) > room {
		lines = lines[:room]
	}
	return lines
}

const maxRank = 3

// roomy is from where on a line is left free between sections.
const roomy = 36

// deal gives each section its least, and what is free line by line, those of low
// rank first. A section that gets nothing is not shown, so its title is free too.
func deal(sections []panel, given []int, free int) {
	for i := range sections {
		given[i] = min(sections[i].wants(), sections[i].least)
		free -= given[i]
	}
	for rank := 0; rank <= maxRank; rank++ {
		for more := true; more && free > 0; {
			more = false
			for i := range sections {
				if sections[i].rank == rank && given[i] < sections[i].wants() && free > 0 {
					given[i]++
					free--
					more = true
				}
			}
		}
	}
}

// wants is how many lines a section has to say.
func (x *panel) wants() int {
	n := len(x.rows)
	if x.err != "" || n == 0 {
		n++
	}
	return n
}

func (x *panel) lines(s *screen, wide, rows int) []string {
	shown := x.rows
	note := x.err
	if note == "" && len(shown) == 0 {
		note = x.empty
	}
	if note != "" {
		shown = shown[:min(len(shown), max(0, rows-1))]
	}
	shown = shown[:min(len(shown), rows)]
	lines := s.tableLines(x.cols, shown, wide)
	if note != "" && rows > 0 {
		c := faint
		if x.err != "" {
			c = red
		}
		lines = append(lines, s.paint(cut("  "+printable(note), wide), c))
	}
	return lines
}

func plainCells(texts ...string) []cell {
	out := make([]cell, len(texts))
	for i, t := range texts {
		out[i] = cell{text: printable(t)}
	}
	return out
}

// rate is a number a second for people; negative is not known.
func rate(v float64) string {
	switch {
	case v < 0:
		return "-"
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	case v < 100_000:
		return fmt.Sprintf("%.0f", v)
	case v < 10_000_000:
		return fmt.Sprintf("%.0fk", v/1e3)
	}
	return fmt.Sprintf("%.0fM", v/1e6)
}

// ago is a time span for people, in few characters.
func ago(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f d", d.Hours()/24)
}

func sensorSection(f *frame) panel {
	x := panel{
		rank: 1, least: 2, err: f.kafkaErr, empty: "no live sensor: files only",
		cols: []column{
			{title: "sensors", least: 12},
			{title: "state", least: 8},
			{title: "packets/s", right: true, least: 7},
			{title: "Mbit/s", right: true},
			{title: "lost/s", right: true},
			{title: "lost", right: true, spare: 2},
			{title: "spool", right: true},
			{title: "seen", right: true},
			{title: "version", spare: 1},
		},
	}
	for _, l := range f.sensors {
		mbit := -1.0
		if l.bits >= 0 {
			mbit = l.bits / 1e6
		}
		spool := "-"
		if l.spool > 0 {
			spool = size(l.spool)
		}
		r := plainCells(l.name, l.state, rate(l.packets), rate(mbit), rate(l.drops), fmt.Sprint(l.lost), spool, ago(l.seen), l.version)
		switch l.state {
		case "up":
			r[1].style = green
		case "away":
			r[1].style = redder
		default:
			r[1].style = yellow
		}
		if l.drops > 0 {
			r[4].style = redder
		}
		if l.spool > 0 {
			r[6].style = yellow
		}
		x.rows = append(x.rows, r)
	}
	return x
}

// serviceTitles are the services as people know them.
var serviceTitles = map[string]string{
	"endpoint": "fingerprint, endpoints", "identity": "fingerprint, identity", "device": "fingerprint, devices", "anomaly": "anomaly", "risk": "risk", "sink": "sink",
}

func serviceSection(f *frame) panel {
	x := panel{
		rank: 0, least: 5, err: f.kafkaErr, empty: "looking",
		cols: []column{
			{title: "services", least: 22},
			{title: "records/s", right: true},
			{title: "to do", right: true},
			{title: "behind", right: true},
			{title: "lost", right: true, spare: 1},
		},
	}
	for _, l := range f.services {
		behind := ago(l.behind)
		if l.over {
			behind = "> " + behind
		}
		r := plainCells(serviceTitles[l.name], rate(l.rate), fmt.Sprint(l.lag), behind, fmt.Sprint(l.lost))
		switch {
		case l.behind > time.Minute:
			r[3].style = redder
		case l.behind > 10*time.Second:
			r[3].style = yellow
		default:
			r[3].style = green
		}
		if l.lost > 0 {
			r[4].style = redder
		}
		x.rows = append(x.rows, r)
	}
	return x
}

func topicSection(f *frame) panel {
	x := panel{
		rank: 3, least: 0, empty: "looking",
		cols: []column{{title: "topics", least: 20}, {title: "records/s", right: true}, {title: "end", right: true}},
	}
	for _, l := range f.topics {
		x.rows = append(x.rows, plainCells(strings.TrimPrefix(l.name, "wardflow."), rate(l.rate), fmt.Sprint(l.end)))
	}
	return x
}

func rowsSection(f *frame) panel {
	x := panel{
		rank: 2, least: 1, err: f.storeErr, empty: "looking",
		cols: []column{{title: "stored", least: 14}, {title: "rows/s", right: true}, {title: "rows", right: true}},
	}
	for _, l := range f.rows {
		x.rows = append(x.rows, plainCells(l.table, rate(l.rate), fmt.Sprint(l.total)))
	}
	return x
}

// fromRow makes cells of a row of ClickHouse.
func fromRow(row []any, shows []func(any) string) []cell {
	out := make([]cell, len(shows))
	for i, show := range shows {
		if i < len(row) {
			out[i] = cell{text: printable(show(row[i]))}
		}
	}
	return out
}

func riskSection(f *frame) panel {
	x := panel{
		rank: 1, least: 2, empty: "no scores yet",
		cols: []column{
			{title: "risk", right: true, least: 5},
			{title: "tier", least: len("critical")},
			{title: "device", least: idShown},
			{title: "type", least: 12},
			{title: "manufacturer", least: 10, spare: 1},
			{title: "because of", least: 18},
		},
	}
	for _, r := range f.risks {
		c := fromRow(r, []func(any) string{showScore, showAny, showID, showAny, showAny, showFactors})
		if len(r) > 1 {
			c[1].style = severity(r[1])
		}
		x.rows = append(x.rows, c)
	}
	return x
}

func detectionSection(f *frame) panel {
	x := panel{
		rank: 1, least: 2, empty: "nothing out of the ordinary",
		cols: []column{
			{title: "detections", least: len("01-02 15:04:05")},
			{title: "severity", least: len("critical")},
			{title: "rule", least: len("new_external_peer"), spare: 2},
			{title: "device", least: idShown},
			{title: "type", least: 12, spare: 1},
			{title: "what", least: 20},
		},
	}
	for _, r := range f.found {
		c := fromRow(r, []func(any) string{showShortTime, showAny, showAny, showID, showAny, showAny})
		if len(r) > 1 {
			c[1].style = severity(r[1])
		}
		x.rows = append(x.rows, c)
	}
	return x
}

func deviceSection(f *frame) panel {
	x := panel{
		rank: 2, least: 1, empty: "no devices yet",
		cols: []column{
			{title: "new devices", least: len("01-02 15:04:05")},
			{title: "device", least: idShown},
			{title: "type", least: 12},
			{title: "manufacturer", least: 10, spare: 2},
			{title: "host name", least: 10, spare: 1},
			{title: "ip", least: addressWidth},
			{title: "site", spare: 3},
		},
	}
	for _, r := range f.devices {
		x.rows = append(x.rows, fromRow(r, []func(any) string{showShortTime, showID, showAny, showAny, showAny, showAny, showAny}))
	}
	return x
}

// showShortTime leaves the year to those who look closer.
func showShortTime(v any) string {
	s := showTime(v)
	if len(s) == timeWidth {
		return s[len("2006-"):]
	}
	return s
}

// oneLine is a frame for a log.
func oneLine(f frame) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	add("%s", f.time.UTC().Format(time.RFC3339))
	if f.kafkaErr != "" {
		add("kafka: %s", printable(f.kafkaErr))
	} else {
		up, lost := 0, 0.0
		for _, s := range f.sensors {
			if s.state == "up" {
				up++
			}
			lost += max(0, s.drops)
		}
		add("sensors %d of %d up, %s lost/s", up, len(f.sensors), rate(lost))
		for _, s := range f.services {
			add("%s %d to do, %s behind", s.name, s.lag, ago(s.behind))
		}
	}
	if f.storeErr != "" {
		add("clickhouse: %s", printable(f.storeErr))
	} else {
		for _, r := range f.rows[:min(2, len(f.rows))] {
			add("%s %s rows/s", r.table, rate(r.rate))
		}
	}
	return strings.Join(parts, "; ")
}
