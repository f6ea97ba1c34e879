package fingerprint

import (
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

func TestJoinUsage(t *testing.T) {
	read := func(text string) (list []*proto.Usage) { // "from-to state", in minutes
		for _, s := range strings.Split(text, ", ") {
			span, state, _ := strings.Cut(s, " ")
			a, b, _ := strings.Cut(span, "-")
			at := func(s string) proto.Time {
				d, err := time.ParseDuration(s + "m")
				if err != nil {
					t.Fatal(err)
				}
				return noon.Add(d)
			}
			u := &proto.Usage{Start: at(a), End: at(b), State: state}
			if state != "idle" && state != "offline" {
				u.State, u.Kind = "in_use", state
			}
			list = append(list, u)
		}
		return list
	}
	for _, c := range []struct{ name, lines, want string }{
		{"apart, with nothing between", "0-10 idle, 20-30 idle", "0-10 idle, 10-20 offline, 20-30 idle"},
		{"one within the other", "0-30 offline, 10-20 idle", "0-10 offline, 10-20 idle, 20-30 offline"},
		{"a use over another's idle", "0-30 idle, 5-10 exam", "0-5 idle, 5-10 exam, 10-30 idle"},
		{"one use told twice", "0-30 idle, 5-10 exam, 6-12 exam", "0-5 idle, 5-12 exam, 12-30 idle"},
		{"two kinds", "0-10 infusion, 5-20 test, 20-30 offline", "0-5 infusion, 5-20 test, 20-30 offline"},
		{"idle joins over a border", "0-10 idle, 8-20 idle", "0-20 idle"},
	} {
		var got []string
		for _, u := range JoinUsage(read(c.lines)) {
			state := u.State
			if u.Kind != "" {
				state = u.Kind
			}
			got = append(got, strings.TrimSuffix(u.Start.Sub(noon).String(), "m0s")+"-"+strings.TrimSuffix(u.End.Sub(noon).String(), "m0s")+" "+state)
		}
		if text := strings.ReplaceAll(strings.Join(got, ", "), "0s-", "0-"); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
	if JoinUsage(nil) != nil {
		t.Error("lines of nothing")
	}
}
