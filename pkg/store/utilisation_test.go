package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// yesterday is a time of the day before this one.
func yesterday(clock string) proto.Time {
	at, _ := time.Parse("15:04", clock)
	day := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
	return proto.TimeOf(day.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute))
}

func (w *ward) use(id proto.ID, from, to proto.Time, state, kind string) {
	w.t.Helper()
	w.record(store.Usage, to, &proto.Usage{DeviceID: id, Start: from, End: to, State: state, Kind: kind, How: "decoded", Confidence: 0.9, Site: "north"})
}

// clinic is a ward with the worked check of the definitions of utilisation: hours
// 08:00-18:00, six examinations of 30 minutes, online 07:30-16:30; and a CT that is
// online and not used.
func clinic(t *testing.T, hours map[string]string) *ward {
	cfg := testConfig(t)
	cfg.OperatingHours = hours
	w := &ward{t: t, s: open(t, cfg)}
	migrate(t, w.s)
	for i, id := range []proto.ID{pump, pacs} {
		w.record(store.Devices, noon, &proto.Device{
			DeviceID: id, Site: "north", Category: &proto.Fact{Value: "medical"}, Type: &proto.Fact{Value: "ct"}, Model: &proto.Fact{Value: "Model X"},
			FirstSeen: yesterday("07:30"), LastSeen: yesterday("16:30"), Version: uint64(i + 1),
		})
		at := yesterday("07:30")
		for i := range 6 {
			if id == pacs {
				break
			}
			from := yesterday("08:00").Add(time.Duration(i) * 75 * time.Minute)
			w.use(id, at, from, "idle", "")
			at = from.Add(30 * time.Minute)
			w.use(id, from, at, "in_use", "exam")
		}
		w.use(id, at, yesterday("16:30"), "idle", "")
	}
	w.use(pump, yesterday("08:10"), yesterday("08:10"), "in_use", "exam") // withdrawn
	return w
}

func TestUtilisationWorkedCheck(t *testing.T) {
	w := clinic(t, map[string]string{"ct": "08:00-18:00"})
	check := func(sql, want string) {
		t.Helper()
		if got := fmt.Sprint(rows(t, w.s, sql)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", sql, got, want)
		}
	}
	const of = " FROM v_utilisation WHERE device_id = '%s'"
	check(fmt.Sprintf("SELECT days, operating_h_day, in_use_h_day, round(utilisation * 100, 6), online_h_day, round(activity * 100, 6), exams_day, uses"+of, pump), "[[1 10 3 30 9 37.5 6 6]]")
	check(fmt.Sprintf("SELECT days, in_use_h_day, utilisation, online_h_day, exams_day, last_used"+of, pacs), "[[1 0 0 9 0 <nil>]]")
	check("SELECT grouped_by, value, devices, devices_used, in_use_h_day, exams_day, round(utilisation, 6) FROM v_utilisation_groups ORDER BY 1, 2",
		"[[category medical 2 1 1.5 3 0.15] [location  2 1 1.5 3 0.15] [model Model X 2 1 1.5 3 0.15] [site north 2 1 1.5 3 0.15] [type ct 2 1 1.5 3 0.15]]")
	check("SELECT device_id, idle_days FROM v_idle_fleet WHERE idle_days >= 1 AND last_used IS NULL", fmt.Sprintf("[[%s 1]]", pacs))
	check("SELECT count(), countIf(state = 'in_use') FROM v_usage", "[[14 6]]")
	check("SELECT sum(in_use_s), sum(idle_s), sum(offline_s), sum(exams), count(), max(in_use_s + idle_s) FROM v_usage_hourly", "[[10800 54000 0 6 20 3600]]")
	check(fmt.Sprintf("SELECT toHour(hour), in_use_s, idle_s, exams FROM v_usage_hourly WHERE device_id = '%s' AND toHour(hour) IN (7, 8, 9) ORDER BY hour", pump), "[[7 0 1800 0] [8 1800 1800 1] [9 1800 1800 1]]")
}

// TestEstimatesAreApart: an estimate of use is in no number of what devices say
// themselves, and hours are not told where some are not known.
func TestEstimatesAreApart(t *testing.T) {
	w := clinic(t, map[string]string{"ct": "08:00-18:00"})
	estimate := func(from, to string, confidence float64) {
		w.record(store.Usage, yesterday(to), &proto.Usage{
			DeviceID: pacs, Start: yesterday(from), End: yesterday(to), State: "in_use", Kind: "exam", How: "inferred", Confidence: confidence, Site: "north", Method: "activity",
		})
	}
	w.record(store.Usage, yesterday("16:30"), &proto.Usage{DeviceID: pacs, Start: yesterday("07:30"), End: yesterday("10:00"), State: "idle", How: "inferred", Site: "north"})
	estimate("10:00", "10:30", 0.6)
	estimate("10:30", "11:00", 0.6)
	check := func(sql, want string) {
		t.Helper()
		if got := fmt.Sprint(rows(t, w.s, sql)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", sql, got, want)
		}
	}
	of := fmt.Sprintf(" FROM v_utilisation WHERE device_id = '%s'", pacs)
	check("SELECT in_use_s, exams, uses, utilisation, exams_estimated, in_use_estimated_s, utilisation_estimated, online_h_day, last_used IS NULL"+of, "[[0 0 0 0 2 3600 0.1 3.5 0]]")
	check("SELECT sum(in_use_s), sum(exams), sum(in_use_estimated_s), sum(exams_estimated) FROM v_usage_hourly", "[[10800 6 3600 2]]")
	check("SELECT devices_used, exams_day, exams_estimated_day FROM v_utilisation_groups WHERE grouped_by = 'type'", "[[1 3 1]]")
	check("SELECT method, count() FROM v_usage WHERE state = 'in_use' GROUP BY method ORDER BY method", "[[ 6] [activity 2]]")
	estimate("11:00", "11:01", 0.3)
	check("SELECT exams_estimated, in_use_estimated_s, utilisation_estimated"+of, "[[3 <nil> <nil>]]")
}

func TestOperatingHours(t *testing.T) {
	day := strings.ToLower(time.Now().UTC().Add(-24 * time.Hour).Weekday().String()[:3])
	for _, c := range []struct {
		hours map[string]string
		want  string
	}{
		{nil, "[[24 0.125]]"},
		{map[string]string{"north/": "06:00-18:00", "mri": "08:00-09:00", "south/ct": "01:00-02:00"}, "[[12 0.25]]"},
		{map[string]string{"north/": "06:00-18:00", "ct": "10:00-16:00"}, "[[6 0.5]]"},
		{map[string]string{"north/ct": day + " 10:00-13:00", "ct": "10:00-16:00"}, "[[3 1]]"},
		{map[string]string{"ct": strings.NewReplacer(day+",", "", ","+day, "").Replace("mon,tue,wed,thu,fri,sat,sun") + " 10:00-13:00"}, "[[0 <nil>]]"},
	} {
		w := clinic(t, c.hours)
		if got := fmt.Sprint(rows(t, w.s, fmt.Sprintf("SELECT operating_h_day, utilisation FROM v_utilisation WHERE device_id = '%s'", pump))); got != c.want {
			t.Errorf("%v: %s, want %s", c.hours, got, c.want)
		}
		if m := migrate(t, w.s); len(m.Statements)+len(m.Differences) > 0 {
			t.Errorf("%v: the second migration does %v %v", c.hours, m.Statements, m.Differences)
		}
	}
	cfg := store.Default()
	cfg.OperatingHours, cfg.TimeZone = map[string]string{"ct": "mon-fri 8-18", "mri": "fri-mon 08:00-18:00", "xray": "18:00-08:00", "": "08:00-18:00"}, "Nowhere"
	err := cfg.Validate()
	for _, want := range []string{"operating_hours.ct:", "operating_hours.mri:", "operating_hours.xray:", `operating_hours: "" names nothing`, `time_zone: "Nowhere"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}
