package bacnet_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// rows reads one of Zeek's logs as maps of its columns.
func rows(t *testing.T, path string) []map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var list []map[string]string
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Split(line, "\t")
		switch {
		case f[0] == "#fields":
			names = f[1:]
		case line == "" || line[0] == '#':
		default:
			m := map[string]string{}
			for i, n := range names {
				if i < len(f) && f[i] != "-" {
					m[n] = f[i]
				}
			}
			list = append(list, m)
		}
	}
	return list
}

// plain takes out of a maker's name what is written now so, now so.
func plain(s string) string {
	s, _, _ = strings.Cut(s, " (Formerly")
	return strings.NewReplacer(",", "", ".", "", " ", "", "-", "").Replace(strings.ToLower(s))
}

// TestPeer compares with the logs that ICSNPP's tests expect: who announced
// itself, who searched for what, what was asked for, refused and restarted.
func TestPeer(t *testing.T) {
	root := repotest.Shared(t, "captures/icsnpp/bacnet/testing")
	total, equal := 0, 0
	want := func(where string, ok bool, why string) {
		t.Helper()
		total++
		switch {
		case ok:
			equal++
		case why == "":
			t.Error(where)
		default:
			t.Logf("%s: %s", where, why)
		}
	}
	for capture, baseline := range map[string]string{"example": "basic", "segmented_data": "segmented_data", "error_reject_abort": "error-reject-abort"} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, root+"/traces/bacnet_"+capture+".pcap"))
		left := r.Facts
		for _, row := range rows(t, root+"/baseline/analyzer."+baseline+"/bacnet_discovery.log") {
			kind := strings.ReplaceAll(row["pdu_service"], "-", "_")
			where := capture + " " + kind + " " + row["source_h"] + " " + row["instance_number"] + " " + row["vendor"]
			i := slices.IndexFunc(left, func(f dissecttest.Fact) bool {
				a := f.Attributes
				if f.Kind != kind || f.Speaker().String() != row["source_h"] && f.Subject.Equipment == "" {
					return false
				}
				switch kind {
				case "i_am":
					return a.Get("device_instance") == row["instance_number"] && (plain(a.Get("vendor")) == plain(row["vendor"]) || strings.HasPrefix(row["vendor"], "Unknown Vendor"))
				case "i_have":
					return a.Get("device_instance") == row["device_id_number"] && a.Get("object_instance") == row["instance_number"] && (row["object_name"] == "(empty)" || a.Get("object_name") == row["object_name"])
				case "who_has":
					return a.Get("object_instance") == row["instance_number"]
				}
				all := a.Get("low") + "-" + a.Get("high")
				return row["range"] == "All" && all == "-" || all == row["range"]
			})
			want(where, i >= 0, "") // several rows may be one fact: repetition is not told
		}
		if baseline == "basic" {
			continue
		}
		for _, row := range rows(t, root+"/baseline/analyzer."+baseline+"/bacnet.log") {
			kind := strings.NewReplacer("confirmed_", "", "unconfirmed_", "", "utc_time", "utc_time").Replace(strings.TrimPrefix(row["pdu_service"], "un"))
			why := ""
			switch {
			case row["pdu_type"] == "CONFIRMED_REQUEST" && slices.ContainsFunc(r.Facts, func(f dissecttest.Fact) bool {
				return f.Kind == "transactions" && slices.ContainsFunc(f.Attributes.List("services"), func(s string) bool { return strings.HasPrefix(s, kind+":") })
			}):
				want(capture+" "+row["pdu_service"], true, "")
				why = "in the sum"
			case slices.Contains([]string{"cov_notification", "get_alarm_summary", "get_enrollment_summary", "read_property", "read_property_multiple", "read_range", "get_event_information", "vt_data", "cov_notification_multiple", "audit_notification", "audit_log_query"}, kind):
				why = "reading, and changes of values: not told"
			case row["pdu_type"] == "SIMPLE_ACK", row["pdu_type"] == "COMPLEX_ACK", row["pdu_type"] == "SEGMENT_ACK":
				why = "an answer"
			case row["pdu_type"] == "ERROR", row["pdu_type"] == "REJECT", row["pdu_type"] == "ABORT":
				kind = strings.ToLower(row["pdu_type"])
			}
			if why == "" {
				want(capture+" "+row["pdu_type"]+" "+row["pdu_service"], slices.ContainsFunc(r.Facts, func(f dissecttest.Fact) bool { return f.Kind == kind }), "")
			}
		}
	}
	t.Logf("%d of %d as ICSNPP has them", equal, total)
	if total < 250 {
		t.Errorf("only %d rows: the logs are no longer read", total)
	}
}

// TestControl counts what Wireshark 4.0 counts in a capture of a device that is
// told to prepare for a restore again and again, and refuses.
func TestControl(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/malcolm-artifacts/pcap/protocols/BACnet_device_control.pcap")))
	asked, refused, total := 0, 0, ""
	for _, f := range r.Facts {
		a := f.Attributes
		switch {
		case f.Kind == "reinitialize_device" && a.Get("state") == "start_backup" && a.Get("cleartext_credential") == "password":
			asked++
		case f.Kind == "error" && a.Get("service") == "reinitialize_device" && a.Get("error_code") == "service_request_denied":
			refused++
		case f.Kind == "transactions":
			total += strings.Join(append(a.List("services"), a.List("errors")...), " ") + "\n"
		}
	}
	if asked != 31 || refused != 1 || !strings.Contains(total, "reinitialize_device service_request_denied:15") || !strings.Contains(total, "reinitialize_device:31") {
		t.Errorf("asked %d times, refused %d times; sums:\n%s", asked, refused, total)
	}
}

// TestIdentities compares what devices said of themselves with what Wireshark
// 4.0 reads of the same frames (bacapp.object_name and so on): pinned here.
func TestIdentities(t *testing.T) {
	for capture, want := range map[string]map[string]string{
		"clinical/bacnet.pcap": {"manufacturer": "ACME BMS", "model": "AHU-OR-2", "firmware_version": "3.1.4", "software_version": "2026.1", "device_instance": "1001"},
		"ward-a/day.pcapng": {
			"manufacturer": "Delta Controls", "model": "eBCON-OR2", "firmware_version": "3.40.582841", "software_version": "4.12.0.8", "object_name": "AHU-OR-2",
			"location": "Plant room 4", "description": "Air handling OR 2", "device_instance": "41001",
		},
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+capture)))
		got := map[string]string{}
		for _, f := range r.Of("bacnet", "identity") {
			for _, a := range f.Attributes {
				got[a.Name] = a.Value
			}
		}
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%s: %s is %q, want %q", capture, name, got[name], v)
			}
		}
	}
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ward-a/incident-07-ot-write.pcap")))
	if f := r.Of("bacnet", "write_property"); len(f) != 2 || f[0].Speaker().String() != "10.41.8.181" || f[0].Attributes.Get("object_instance") != "10" {
		t.Error(r.Text())
	}
}
