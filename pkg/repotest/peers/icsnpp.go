package peers

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// ICSNPPLogs are the logs that the parsers of ICSNPP expect of their captures. Which
// trace a baseline is of stands in scripts that are not there: Capture is the folder
// of the traces, and the trace is the one that has the rows' flows.
func ICSNPPLogs(captures string) ([]*Log, error) {
	var list []*Log
	root := filepath.Join(captures, "icsnpp")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".log" {
			return err
		}
		l, err := ReadLog(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(captures, path)
		if err != nil || len(l.rows) == 0 {
			return err
		}
		l.Path = filepath.ToSlash(rel)
		parts := strings.Split(l.Path, "/") // icsnpp, project, tests, baseline, ...
		l.Capture = strings.Join(parts[:2], "/")
		list = append(list, l)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for ICSNPP's logs: %w", err)
	}
	return list, nil
}

// Share is how many of a log's rows have a flow here, 0 to 1.
func (o *Observed) Share(l *Log) float64 {
	n := 0
	for _, row := range l.Rows() {
		for _, transport := range []string{"tcp", "udp"} {
			if e, _, ok := row.ends(transport); ok && len(o.Flows[e]) > 0 {
				n++
				break
			}
		}
	}
	return float64(n) / float64(max(len(l.rows), 1))
}
