package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// centre is partition 0 of wardflow.control, and the sensor that is configured from it.
type centre struct {
	t       *testing.T
	mu      sync.Mutex
	records []bus.Record
	away    bool
	refuse  error
	applied []proto.SensorConfig
	file    string
}

func (c *centre) say(v proto.SensorConfig) {
	c.t.Helper()
	value, err := json.Marshal(&proto.Control{Kind: proto.ControlSensor, Sensor: &v})
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = append(c.records, bus.Record{Offset: int64(len(c.records)), Value: value})
}

// change changes anything else while a Remote runs.
func (c *centre) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// after lets time pass until nothing more happens at that moment.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Close implements ControlReader.
func (c *centre) Close() {}

// Read implements ControlReader.
func (c *centre) Read(_ context.Context, topic string, partition int32, offset int64, f func(bus.Record) error) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return 0, errors.New("no broker")
	}
	if topic != proto.TopicControl || partition != 0 {
		c.t.Errorf("reads %s/%d", topic, partition)
	}
	for i := offset; i < int64(len(c.records)); i++ {
		if err := f(c.records[i]); err != nil {
			return 0, err
		}
	}
	return int64(len(c.records)), nil
}

func (c *centre) remote() *Remote {
	everything := ""
	return NewRemote(RemoteConfig{
		Site: "north", Sensor: "tap-1", File: c.file,
		Own:     proto.SensorConfig{Interfaces: []string{"own0"}, Filter: &everything, Workers: 1},
		Connect: func() (ControlReader, error) { return c, nil },
		Apply: func(v proto.SensorConfig) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.refuse != nil {
				return c.refuse
			}
			c.applied = append(c.applied, v)
			return nil
		},
	})
}

func (c *centre) latest() string {
	if len(c.applied) == 0 {
		return "none"
	}
	v := c.applied[len(c.applied)-1]
	return fmt.Sprintf("%d %v %q %d %s/%s", v.Version, v.Interfaces, *v.Filter, v.Workers, v.Site, v.Sensor)
}

func runRemote(t *testing.T, r *Remote) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRemote(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t, file: filepath.Join(dir, "sensor", "config.json")}
		r := c.remote()
		stop := runRemote(t, r)
		filter := "not port 22"
		want := func(what, latest string, version uint64, problem string) {
			t.Helper()
			after(11 * time.Second)
			var s proto.SensorStatus
			r.Report(&s)
			if got := c.latest(); got != latest || s.ConfigVersion != version || s.ConfigError != problem {
				t.Errorf("%s: %s, reports %d %q; want %s, %d %q", what, got, s.ConfigVersion, s.ConfigError, latest, version, problem)
			}
		}
		want("nothing is decided", "none", 0, "")
		c.change(func() {
			c.records = append(c.records, bus.Record{Offset: 0, Control: true}, bus.Record{Offset: 1, Value: []byte("{")})
		})
		c.say(proto.SensorConfig{Site: "south", Sensor: "tap-1", Version: 9, Workers: 9})
		c.say(proto.SensorConfig{Site: "north", Sensor: "tap-2", Version: 9, Workers: 9})
		want("others", "none", 0, "")
		c.say(proto.SensorConfig{Site: "north", Version: 1, Workers: 2, Filter: &filter})
		want("the site's", `1 [own0] "not port 22" 2 north/tap-1`, 1, "")
		c.say(proto.SensorConfig{Site: "north", Sensor: "tap-1", Version: 2, Workers: 4, Interfaces: []string{"eth1"}})
		want("its own over it", `2 [eth1] "not port 22" 4 north/tap-1`, 2, "")
		c.say(proto.SensorConfig{Site: "north", Sensor: "tap-1", Version: 1, Workers: 7})
		want("an older one", `2 [eth1] "not port 22" 4 north/tap-1`, 2, "")
		c.say(proto.SensorConfig{Site: "north", Version: 3})
		want("the site's is withdrawn: the file's filter holds", `3 [eth1] "" 4 north/tap-1`, 3, "")
		n := len(c.applied)
		c.say(proto.SensorConfig{Site: "north", Version: 4})
		want("another number alone", `3 [eth1] "" 4 north/tap-1`, 4, "")
		if len(c.applied) != n {
			t.Error("capture is reconfigured for a number")
		}

		c.change(func() { c.refuse = errors.New("no such interface: eth9") })
		c.say(proto.SensorConfig{Site: "north", Sensor: "tap-1", Version: 5, Interfaces: []string{"eth9"}})
		want("a bad one", `3 [eth1] "" 4 north/tap-1`, 4, "version 5: no such interface: eth9")
		refused := r.Stats().Refused
		after(time.Minute)
		if got := r.Stats().Refused - refused; got != 1 {
			t.Errorf("tried %d times in a minute", got)
		}
		stop()

		// Started anew without the broker: the last good one, not the bad one.
		c.change(func() { c.refuse, c.away = nil, true })
		r = c.remote()
		stop = runRemote(t, r)
		want("stored", `4 [eth1] "" 4 north/tap-1`, 4, "")
		c.change(func() { c.away = false })
		want("the broker is back, the interface has come", `5 [eth9] "" 1 north/tap-1`, 5, "")
		c.change(func() { c.records = nil }) // somebody made the topic anew
		want("nothing there", `5 [eth9] "" 1 north/tap-1`, 5, "")
		c.say(proto.SensorConfig{Site: "north", Sensor: "tap-1", Version: 1, Workers: 3})
		want("the topic decides what is the latest", `1 [own0] "" 3 north/tap-1`, 1, "")
		stop()
		if st := r.Stats(); st.ReadErrors == 0 || st.Applied != 3 || st.StoreErrors != 0 {
			t.Errorf("%+v", st)
		}
		if st, err := os.Stat(c.file); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st, err)
		}
	})
}

// A sensor that does not run yet is asked again soon, and that is no error of the configuration.
func TestRemoteWaitsForTheSensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t, refuse: ErrStopping}
		c.say(proto.SensorConfig{Site: "north", Version: 1, Workers: 2})
		r := c.remote()
		stop := runRemote(t, r)
		after(4500 * time.Millisecond)
		var s proto.SensorStatus
		if r.Report(&s); s.ConfigError != "" || s.ConfigVersion != 0 {
			t.Errorf("reports %d %q", s.ConfigVersion, s.ConfigError)
		}
		c.change(func() { c.refuse = nil })
		after(time.Second)
		if r.Report(&s); s.ConfigVersion != 1 || len(c.applied) != 1 {
			t.Errorf("reports %d, applied %d", s.ConfigVersion, len(c.applied))
		}
		stop()
	})
}

// What lies in the file may be anything.
func TestRemoteStored(t *testing.T) {
	for what, tt := range map[string]struct{ text, want string }{
		"torn":          {`{"site":"nor`, "unexpected end"},
		"another's":     {`{"site":"north","sensor":"tap-2","version":3}`, `it is of sensor "tap-2"`},
		"another topic": {`[]`, "cannot unmarshal"},
	} {
		c := &centre{t: t, file: filepath.Join(t.TempDir(), "config.json"), away: true}
		if err := os.WriteFile(c.file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := c.remote()
		if _, ok, err := r.Stored(); ok || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v", what, ok, err)
		}
		synctest.Test(t, func(t *testing.T) {
			stop := runRemote(t, r)
			after(time.Second)
			stop()
		})
		if len(c.applied) != 0 {
			t.Errorf("%s is applied", what)
		}
	}
}

// Files that cannot be written are counted, and the configuration holds all the same.
func TestRemoteCannotStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.Mkdir(file, 0o700); err != nil { // a folder where the file should be
		t.Fatal(err)
	}
	c := &centre{t: t, file: file}
	c.say(proto.SensorConfig{Site: "north", Version: 1, Workers: 2})
	synctest.Test(t, func(t *testing.T) {
		r := c.remote()
		stop := runRemote(t, r)
		after(time.Second)
		stop()
		if st := r.Stats(); st.StoreErrors != 1 || st.Applied != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A sensor that was started with the stored configuration is not reconfigured for
// it, and one that cannot be reached stays so.
func TestRemoteHoldsWhatItWasStartedWith(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t, file: file, away: true}
		r := c.remote()
		r.Holds(proto.SensorConfig{Site: "north", Sensor: "tap-1", Version: 7, Workers: 2})
		stop := runRemote(t, r)
		after(15 * time.Second)
		var s proto.SensorStatus
		if r.Report(&s); len(c.applied) != 0 || s.ConfigVersion != 7 {
			t.Errorf("applied %v, reports %d", c.applied, s.ConfigVersion)
		}
		c.change(func() { c.away = false })
		c.say(proto.SensorConfig{Site: "north", Version: 8, Workers: 3})
		after(15 * time.Second)
		if r.Report(&s); len(c.applied) != 1 || s.ConfigVersion != 8 {
			t.Errorf("applied %v, reports %d", c.applied, s.ConfigVersion)
		}
		stop()
	})
}
