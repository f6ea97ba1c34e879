package dissect

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
	"github.com/wardflow/wardflow/services/wardflow/internal/replay"
)

// pcap writes a capture of one UDP packet a second from 10.0.0.1 to 10.0.0.9, to
// the given ports.
func pcap(t *testing.T, name string, ports ...uint16) string {
	t.Helper()
	le, be := binary.LittleEndian, binary.BigEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint32(le.AppendUint32(b, 65535), 1)
	for i, port := range ports {
		f := append([]byte{2, 0, 0, 0, 0, 9}, 2, 0, 0, 0, 0, 1, 8, 0)
		f = append(f, 0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 9)
		f = be.AppendUint16(be.AppendUint16(f, 40000), port)
		f = append(be.AppendUint16(f, 12), 0, 0, 'w', 'a', 'r', 'd')
		b = le.AppendUint32(le.AppendUint32(b, uint32(1_700_000_000+i)), 0)
		b = le.AppendUint32(le.AppendUint32(b, uint32(len(f))), uint32(len(f)))
		b = append(b, f...)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func dissected(t *testing.T, o Options) *Result {
	t.Helper()
	o.Capture.Site = "ward"
	res, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sorted are the lines of a file with what only replay knows taken out.
func sorted(t *testing.T, device []string, path ...string) []string {
	t.Helper()
	var out []string
	for line := range bytes.Lines(read(t, path...)) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		for _, k := range device {
			if _, ok := m[k]; !ok {
				t.Fatalf("%s is not a key of %s", k, line)
			}
			m[k] = nil
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	slices.Sort(out)
	return out
}

// TestReplayWritesTheSame: capture's path is one; replay adds order and devices.
func TestReplayWritesTheSame(t *testing.T) {
	file, own, theirs := repotest.Shared(t, "captures/ward-a/incident-10-pump-silent.pcap"), t.TempDir(), t.TempDir()
	res := dissected(t, Options{Files: []string{file}, Out: own})
	other, err := replay.Run(t.Context(), replay.Options{Site: "ward", Files: []replay.File{{Path: file}}, Out: theirs})
	if err != nil {
		t.Fatal(err)
	}
	if res.Flows != other.Summary.Flows || res.Facts != other.Summary.Observations || res.Packets != other.Summary.Packets || res.Flows < 100 || res.Facts < 100 {
		t.Errorf("%+v, replay has %+v", res, other.Summary)
	}
	for name, device := range map[string][]string{"flows.jsonl": {"src_device", "dst_device"}, "observations.jsonl": {"device"}} {
		a, b := sorted(t, device, own, name), sorted(t, device, theirs, name)
		if !slices.Equal(a, b) {
			t.Errorf("%s: %d lines, replay has %d, or others", name, len(a), len(b))
		}
	}
}

func TestTheSameBytes(t *testing.T) {
	file := repotest.Shared(t, "captures/ward-a/incident-07-ot-write.pcap")
	a, b, each := t.TempDir(), t.TempDir(), t.TempDir()
	dissected(t, Options{Files: []string{file}, Out: a})
	dissected(t, Options{Files: []string{file}, Out: b})
	dissected(t, Options{Files: []string{file, pcap(t, "x.pcap", 53)}, Out: each, Each: true})
	found := ""
	err := filepath.WalkDir(each, func(path string, _ os.DirEntry, err error) error {
		if filepath.Base(path) == filepath.Base(file) {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no folder for the file: %v", err)
	}
	for _, name := range []string{"flows.jsonl", "observations.jsonl", "summary.json"} {
		first := read(t, a, name)
		if !bytes.Equal(first, read(t, b, name)) || !bytes.Equal(first, read(t, found, name)) || len(first) == 0 {
			t.Errorf("%s is not the same twice", name)
		}
	}
}

func TestSeveralFiles(t *testing.T) {
	one, two, out := pcap(t, "one.pcap", 1000, 2000), pcap(t, "two.pcap", 3000), t.TempDir()
	if res := dissected(t, Options{Files: []string{one, two}, Out: out}); res.Runs != 1 || res.Packets != 3 || res.Flows != 3 {
		t.Errorf("merged: %+v", res)
	}
	if n := bytes.Count(read(t, out, "flows.jsonl"), []byte("\n")); n != 3 {
		t.Errorf("%d lines", n)
	}
	var s Summary
	if err := json.Unmarshal(read(t, out, "summary.json"), &s); err != nil || s.Packets != 3 || s.FlowParts != 3 || s.Seconds != 1 || s.Drops["damaged_file"] != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	each := t.TempDir()
	if res := dissected(t, Options{Files: []string{one, two, one}, Out: each, Each: true}); res.Runs != 3 || res.Packets != 5 {
		t.Errorf("each: %+v", res)
	}
	list, err := filepath.Glob(filepath.Join(each, "*", "*", "flows.jsonl"))
	if err != nil || len(list) != 3 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ files, want []string }{
		{[]string{"/c/a.pcap"}, []string{"a.pcap"}},
		{[]string{"/c/x/a.pcap", "/c/y/a.pcap"}, []string{"x/a.pcap", "y/a.pcap"}},
		{[]string{"/c/a.pcap", "/c/y/b.pcap", "/c/../c/a.pcap"}, []string{"a.pcap", "y/b.pcap", "a.pcap.2"}},
		{[]string{"/a.pcap", "/c/b.pcap"}, []string{"a.pcap", "c/b.pcap"}},
	} {
		if got := names(tt.files); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.files, got, tt.want)
		}
	}
}

func TestFlowsOnly(t *testing.T) {
	file, all, some := repotest.Shared(t, "captures/ward-a/incident-10-pump-silent.pcap"), t.TempDir(), t.TempDir()
	with := dissected(t, Options{Files: []string{file}, Out: all})
	without := dissected(t, Options{Files: []string{file}, Out: some, Capture: capture.Config{FlowsOnly: true}})
	if with.Flows != without.Flows || with.Packets != without.Packets || without.Facts != 0 {
		t.Errorf("%+v, flows only %+v", with, without)
	}
	for line := range bytes.Lines(read(t, some, "flows.jsonl")) {
		var f struct {
			Transport  string
			ProtocolBy string `json:"protocol_by"`
		}
		if err := json.Unmarshal(line, &f); err != nil || f.ProtocolBy == proto.ByContent && (f.Transport == "tcp" || f.Transport == "udp") {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	good := pcap(t, "good.pcap", 53, 53)
	b := read(t, good)
	cut, text, none := filepath.Join(t.TempDir(), "cut.pcap"), filepath.Join(t.TempDir(), "notes.txt"), filepath.Join(t.TempDir(), "none.pcap")
	for path, b := range map[string][]byte{cut: b[:len(b)-3], text: []byte("not a capture")} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, each := range []bool{false, true} {
		notes := 0
		res := dissected(t, Options{Files: []string{none, good, text, cut}, Out: t.TempDir(), Each: each, Note: func(string, ...any) { notes++ }})
		if res.Damaged != 3 || notes != 3 || res.Packets != 3 {
			t.Errorf("each %v: %+v, %d notes", each, res, notes)
		}
		_, err := Run(t.Context(), Options{Files: []string{none, text}, Out: t.TempDir(), Each: each})
		if !errors.Is(err, ErrNoInput) || !strings.Contains(err.Error(), "none.pcap") || !strings.Contains(err.Error(), "not a capture file") {
			t.Errorf("each %v: %v", each, err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "flows.jsonl"), []byte("of the run before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Run(ctx, Options{Files: []string{pcap(t, "many.pcap", make([]uint16, 5000)...)}, Out: out})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(out)
	if err != nil || len(left) != 1 || string(read(t, out, "flows.jsonl")) != "of the run before\n" {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	file := pcap(t, "a.pcap", 53)
	if _, err := Run(t.Context(), Options{Files: []string{file}, Out: filepath.Join(file, "below")}); err == nil || !strings.Contains(err.Error(), "make output folder") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no device that is always full")
	}
	out := t.TempDir()
	if err := os.Symlink("/dev/full", unfinished(filepath.Join(out, "flows.jsonl"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Options{Files: []string{file}, Out: out}); err == nil || !strings.Contains(err.Error(), "write output") {
		t.Errorf("error %v", err)
	}
}

// TestMsgpackSaysTheSame: the batches hold what the JSON lines do, in its order.
func TestMsgpackSaysTheSame(t *testing.T) {
	file, asJSON, asBatches := repotest.Shared(t, "captures/ward-a/incident-10-pump-silent.pcap"), t.TempDir(), t.TempDir()
	one := dissected(t, Options{Files: []string{file}, Out: asJSON})
	two := dissected(t, Options{Files: []string{file}, Out: asBatches, Format: FormatMsgpack})
	if *one != *two || !bytes.Equal(read(t, asJSON, "summary.json"), read(t, asBatches, "summary.json")) {
		t.Errorf("%+v and %+v", one, two)
	}
	var flows, observations []byte
	next := uint64(0)
	for b := read(t, asBatches, "traffic.msgpack"); len(b) > 0; {
		n := 4 + int(binary.BigEndian.Uint32(b))
		var batch proto.Batch
		if err := proto.Unmarshal(b[4:n], &batch); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
		if batch.FirstSeq != next || batch.Site != "ward" || batch.Sensor != DefaultSensor {
			t.Errorf("batch %+v", batch)
		}
		next += uint64(len(batch.Items))
		for _, it := range batch.Items {
			switch {
			case it.Flow != nil:
				it.Flow.Site, it.Flow.Sensor = batch.Site, batch.Sensor
				flows = append(it.Flow.AppendJSON(flows), '\n')
			case it.Observation != nil:
				it.Observation.Site, it.Observation.Sensor = batch.Site, batch.Sensor
				observations = append(it.Observation.AppendJSON(observations), '\n')
			}
		}
	}
	if !bytes.Equal(flows, read(t, asJSON, "flows.jsonl")) || !bytes.Equal(observations, read(t, asJSON, "observations.jsonl")) || len(flows) == 0 || len(observations) == 0 {
		t.Error("the batches hold something else")
	}
}
