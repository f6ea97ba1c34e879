package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// With gives the configuration with a SensorConfig over it, checked; on an error
// it gives c as it was.
func (c LiveConfig) With(sc proto.SensorConfig) (LiveConfig, error) {
	changed := c
	if err := changed.change(sc); err != nil {
		return c, err
	}
	return changed, nil
}

// RemoteConfig says whose configuration is pulled, and what becomes of it.
type RemoteConfig struct {
	Site, Sensor string
	// Own is what the sensor's own file says: it holds where the centre says nothing.
	Own proto.SensorConfig
	// File keeps the last configuration that was good, for a start without the broker.
	File string
	// Apply puts a whole configuration in force, or gives an error and leaves the old
	// one in force; Live.Reconfigure does. ErrStopping means not yet.
	Apply func(proto.SensorConfig) error
	// Connect makes a reader of wardflow.control.
	Connect func() (ControlReader, error)
	Every   time.Duration // how often the topic is looked at; default 10 s
	Now     func() time.Time
	Log     *slog.Logger
}

// ControlReader reads a partition to its end; bus.Reader does.
type ControlReader interface {
	Read(ctx context.Context, topic string, partition int32, offset int64, f func(bus.Record) error) (int64, error)
	Close()
}

const (
	remoteEvery   = 10 * time.Second
	remoteSoon    = time.Second // while the sensor does not run yet
	remoteWithin  = 20 * time.Second
	remoteAgain   = time.Minute // a configuration that could not be used: its interface may have come
	remoteMaxFile = 1 << 20
)

// Remote lets a sensor be configured from the centre: it reads wardflow.control
// for the SensorConfig of its site and of itself, and puts them in force, its own
// over its site's, both over its file. One partition is enough, because every
// change goes to every partition.
//
// Which is the latest is decided by the topic, read from its start; the version
// only rises in it. What is stored is used until the topic has been read, and for
// as long as nothing is found there.
type Remote struct {
	cfg  RemoteConfig
	conn ControlReader
	next int64
	site *proto.SensorConfig // the latest for all sensors of the site
	own  *proto.SensorConfig // the latest for this one

	wanted  *proto.SensorConfig // what is to be put in force; nil: nothing new
	due     time.Time           // not before
	applied proto.SensorConfig  // what is in force, without the file's own

	mu      sync.Mutex
	version uint64
	problem string
	stats   RemoteStats
}

// RemoteStats are counts since the start.
type RemoteStats struct {
	Applied     uint64 // configurations put in force
	Refused     uint64 // attempts with one that could not be used
	ReadErrors  uint64 // looks at the topic that failed
	StoreErrors uint64 // good ones that could not be stored
}

// NewRemote makes a Remote; nothing happens before Run.
func NewRemote(cfg RemoteConfig) *Remote {
	cfg.Every = orElse(cfg.Every, remoteEvery)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Remote{cfg: cfg}
}

// Stored gives the last configuration that was good, false when there is none: a
// live sensor can start with it at once (LiveConfig.With). A file that cannot be
// used, or is another sensor's, is an error.
func (r *Remote) Stored() (proto.SensorConfig, bool, error) {
	var c proto.SensorConfig
	st, err := os.Stat(r.cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	var b []byte
	if err == nil && st.Size() > remoteMaxFile {
		err = fmt.Errorf("it has %d bytes", st.Size())
	}
	if err == nil {
		b, err = os.ReadFile(r.cfg.File)
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err == nil && (c.Site != r.cfg.Site || c.Sensor != r.cfg.Sensor) {
		err = fmt.Errorf("it is of sensor %q of site %q", c.Sensor, c.Site)
	}
	if err != nil {
		return proto.SensorConfig{}, false, fmt.Errorf("read the stored configuration %s (remove it, if need be): %w", r.cfg.File, err)
	}
	return c, true, nil
}

// Holds says, before Run, that the sensor starts with the stored configuration: it
// need not be put in force again.
func (r *Remote) Holds(c proto.SensorConfig) {
	r.applied = c
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version = c.Version
}

// start puts the stored configuration in force.
func (r *Remote) start() {
	c, ok, err := r.Stored()
	if err != nil {
		r.cfg.Log.Warn("the stored configuration cannot be used", "error", err)
	}
	if ok {
		r.wanted = &c
		r.apply()
	}
}

// Stats may be called at any time.
func (r *Remote) Stats() RemoteStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Report fills in which configuration is in force.
func (r *Remote) Report(s *proto.SensorStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.ConfigVersion, s.ConfigError = r.version, r.problem
}

// Run follows the topic until ctx ends. It fails by nothing: a sensor goes on with
// what it has.
func (r *Remote) Run(ctx context.Context) error {
	defer r.hangUp()
	if r.applied.Site == "" {
		r.start()
	}
	for {
		r.look(ctx)
		r.apply()
		wait := r.cfg.Every
		if r.wanted != nil && !r.due.After(r.cfg.Now()) {
			wait = min(wait, remoteSoon)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func (r *Remote) hangUp() {
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
}

func (r *Remote) count(f func(*RemoteStats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.stats)
}

// look reads what has come to the topic, and finds what is wanted now.
func (r *Remote) look(ctx context.Context) {
	if err := r.read(ctx); err != nil {
		if ctx.Err() == nil {
			r.count(func(s *RemoteStats) { s.ReadErrors++ })
			r.cfg.Log.Debug("the sensor's configuration cannot be read", "error", err)
		}
		r.hangUp()
		return
	}
	if r.site == nil && r.own == nil {
		return // nothing was ever decided, or the topic is another than it was
	}
	c := proto.SensorConfig{Site: r.cfg.Site, Sensor: r.cfg.Sensor}
	if r.own != nil {
		c = *r.own
	}
	if r.site != nil {
		c = c.Over(*r.site)
	}
	same := r.applied
	if r.wanted != nil {
		same = *r.wanted
	}
	if !reflect.DeepEqual(c, same) {
		r.wanted, r.due = &c, time.Time{}
	}
}

// changes tells whether a configuration says other than what is in force, by more than its number.
func (r *Remote) changes(c proto.SensorConfig) bool {
	c.Version = r.applied.Version
	return r.applied.Site == "" || !reflect.DeepEqual(c, r.applied)
}

func (r *Remote) read(ctx context.Context) (err error) {
	if r.conn == nil {
		if r.conn, err = r.cfg.Connect(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, remoteWithin)
	defer cancel()
	next, err := r.conn.Read(ctx, proto.TopicControl, 0, r.next, func(rec bus.Record) error {
		r.take(&rec)
		return nil
	})
	if err != nil {
		return err
	}
	if next < r.next { // another topic of that name
		r.next, r.site, r.own = 0, nil, nil
		return errors.New("the topic has become shorter: it is read anew")
	}
	r.next = next
	return nil
}

// take keeps a change that is for us, if none that is higher has been seen.
func (r *Remote) take(rec *bus.Record) {
	var c proto.Control
	if rec.Control || json.Unmarshal(rec.Value, &c) != nil || c.Sensor == nil || c.Sensor.Site != r.cfg.Site {
		return
	}
	into := &r.own
	switch c.Sensor.Sensor {
	case r.cfg.Sensor:
	case "":
		into = &r.site
	default:
		return // for another
	}
	if *into == nil || c.Sensor.Version >= (*into).Version {
		*into = c.Sensor
	}
}

// apply puts in force what is wanted. What cannot be used is tried again now and
// then, and the old one stays.
func (r *Remote) apply() {
	now := r.cfg.Now()
	if r.wanted == nil || now.Before(r.due) {
		return
	}
	c := *r.wanted
	var err error
	if r.changes(c) {
		err = r.cfg.Apply(c.Over(r.cfg.Own))
	}
	switch {
	case errors.Is(err, ErrStopping):
		return
	case err != nil:
		r.due = now.Add(remoteAgain)
		r.cfg.Log.Warn("a configuration from the centre cannot be used; the old one stays", "version", c.Version, "error", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.problem = fmt.Sprintf("version %d: %v", c.Version, err)
		r.stats.Refused++
		return
	}
	r.wanted, r.applied = nil, c
	r.mu.Lock()
	r.version, r.problem = c.Version, ""
	r.stats.Applied++
	r.mu.Unlock()
	r.cfg.Log.Info("a configuration from the centre is in force", "version", c.Version)
	if err := r.store(&c); err != nil {
		r.count(func(s *RemoteStats) { s.StoreErrors++ })
		r.cfg.Log.Warn("the configuration cannot be stored: after a start without Kafka the one before would hold", "error", err)
	}
}

// store replaces the file as a whole.
func (r *Remote) store(c *proto.SensorConfig) error {
	if r.cfg.File == "" {
		return nil
	}
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(r.cfg.File), 0o700); err != nil {
		return fmt.Errorf("store configuration: %w", err)
	}
	next := r.cfg.File + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("store configuration: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store configuration: %w", err)
	}
	if err := os.Rename(next, r.cfg.File); err != nil {
		return fmt.Errorf("store configuration: %w", err)
	}
	return nil
}
