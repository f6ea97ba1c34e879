// Package schema is the JSON Schema (2020-12) of the files that `wardflow replay`
// writes, one schema a file. The order of keys is the order of "required"; lines
// are sorted by the keys of "x-sort".
//
// It holds the schemas as they are committed and nothing else: what checks a
// folder against them is services/wardflow. It imports nothing.
package schema

import "embed"

//go:embed *.schema.json
var files embed.FS

// File is one of the files of an output folder.
type File struct {
	Name   string // flows.jsonl
	Schema string // flows.schema.json
	Lines  bool   // one JSON object a line; else the file is one object
}

// Files lists all files of an output folder; all of them always exist.
func Files() []File {
	return []File{
		{"flows.jsonl", "flows.schema.json", true},
		{"observations.jsonl", "observations.schema.json", true},
		{"devices.jsonl", "devices.schema.json", true},
		{"usage.jsonl", "usage.schema.json", true},
		{"detections.jsonl", "detections.schema.json", true},
		{"findings.jsonl", "findings.schema.json", true},
		{"risk.jsonl", "risk.schema.json", true},
		{"summary.json", "summary.schema.json", false},
	}
}

// Text gives a schema's JSON; name is one of File.Schema.
func Text(name string) ([]byte, error) { return files.ReadFile(name) }
