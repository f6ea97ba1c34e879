package replay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// collector keeps what capture and the folds emit until all of it is known, and
// then hands it to the sink, sorted and with devices filled in.
type collector struct {
	o            Options
	registry     *registry
	flows        *spool
	observations *spool
	risk         *spool
	detections   map[proto.ID]*proto.Detection
	usage        map[useKey]*proto.Usage

	mute    bool       // a baseline is being read: nothing is a detection
	learned proto.Time // nor what happened up to here
	dead    uint64
	temp    string
	key     []byte
	err     error
}

func newCollector(o Options) (*collector, error) {
	c := &collector{o: o, registry: newRegistry(), detections: map[proto.ID]*proto.Detection{}, usage: map[useKey]*proto.Usage{}}
	if o.Out != "" {
		if err := os.MkdirAll(o.Out, 0o755); err != nil {
			return nil, fmt.Errorf("make output folder: %w", err)
		}
	}
	c.flows = &spool{dir: c.tempDir, limit: o.Memory / 2}
	c.observations = &spool{dir: c.tempDir, limit: o.Memory / 4}
	c.risk = &spool{dir: c.tempDir, limit: o.Memory / 4}
	return c, nil
}

// tempDir is made when the first chunk does not fit; beside the output, where
// there is room for it.
func (c *collector) tempDir() (string, error) {
	if c.temp == "" {
		dir, err := os.MkdirTemp(c.o.Out, ".sorting-*")
		if err != nil {
			return "", fmt.Errorf("make sorting folder: %w", err)
		}
		c.temp = dir
	}
	return c.temp, nil
}

func (c *collector) close() {
	for _, s := range []*spool{c.flows, c.observations, c.risk} {
		s.close()
	}
	if c.temp != "" {
		_ = os.RemoveAll(c.temp)
	}
}

// item keeps a flow or an observation; a mirror is the folds' alone.
func (c *collector) item(sensor string, it *proto.Item) error {
	switch {
	case it.Flow != nil && !it.Mirror:
		c.key = binary.BigEndian.AppendUint32(sortKey(c.key[:0], it.Flow.Start, it.Flow.FlowID), it.Flow.Part)
		val, err := proto.Marshal(it.Flow)
		if err != nil {
			return fmt.Errorf("encode flow: %w", err)
		}
		return c.flows.add(c.key, named(sensor, val))
	case it.Observation != nil:
		c.key = sortKey(c.key[:0], it.Observation.Time, it.Observation.ObservationID)
		val, err := proto.Marshal(it.Observation)
		if err != nil {
			return fmt.Errorf("encode observation: %w", err)
		}
		return c.observations.add(c.key, named(sensor, val))
	}
	return nil
}

// named puts the sensor behind a message, which does not carry it itself.
func named(sensor string, val []byte) []byte {
	val = append(val, sensor...)
	return binary.BigEndian.AppendUint16(val, uint16(len(sensor)))
}

func unnamed(val []byte) (msg []byte, sensor string) {
	n := len(val) - 2
	at := n - int(binary.BigEndian.Uint16(val[n:]))
	return val[:at], string(val[at:n])
}

// emitted takes what a fold says.
func (c *collector) emitted(e stream.Emitted) {
	if c.err != nil {
		return
	}
	var err error
	switch e.Kind {
	case proto.KindBinding:
		var b proto.Binding
		if err = proto.Unmarshal(e.Value, &b); err == nil {
			c.registry.bind(&b, e.Envelope.Time)
		}
	case proto.KindDevice:
		c.registry.tell(e.Key, e.Value)
	case proto.KindDetection:
		err = c.detection(e.Value)
	case proto.KindUsage:
		u := new(proto.Usage)
		if err = json.Unmarshal(e.Value, u); err == nil {
			c.usage[useKey{u.DeviceID, u.Start}] = u // told again: the last word counts
		}
	case proto.KindRisk:
		err = c.score(e.Value)
	case proto.KindDead:
		c.dead++
		var d proto.Deadletter
		if err = json.Unmarshal(e.Value, &d); err == nil {
			c.o.Note("fold %s could not use an event: %s", d.Consumer, d.Reason)
		}
	}
	if err != nil {
		c.err = fmt.Errorf("read %s of a fold: %w", e.Kind, err)
	}
}

func (c *collector) detection(val []byte) error {
	d := new(proto.Detection)
	dec := json.NewDecoder(bytes.NewReader(val))
	dec.UseNumber() // evidence is passed on as it is
	if err := dec.Decode(d); err != nil {
		return err
	}
	if !c.mute && d.Time > c.learned {
		c.detections[d.DetectionID] = d // told again: the last word counts
	}
	return nil
}

func (c *collector) score(val []byte) error {
	var head struct {
		Time     proto.Time `json:"time"`
		DeviceID proto.ID   `json:"device_id"`
		Version  uint64     `json:"version"`
	}
	if err := json.Unmarshal(val, &head); err != nil {
		return err
	}
	c.key = binary.BigEndian.AppendUint64(sortKey(c.key[:0], head.Time, head.DeviceID), head.Version)
	return c.risk.add(c.key, val)
}

// sink takes results in the order of the files.
type sink interface {
	flow(*proto.Flow) error
	observation(*proto.Observation) error
	device(*proto.Device) error
	detection(*proto.Detection) error
	score(*proto.Risk) error
	use(*proto.Usage) error
	close(*Summary) error
}

// finish hands everything to the sink.
func (c *collector) finish(ctx context.Context, res *Result) (err error) {
	if c.err != nil {
		return c.err
	}
	if err := c.registry.settle(); err != nil {
		return err
	}
	var to sink = &memory{res}
	if c.o.Out != "" {
		w, err := newFolder(c.o.Out)
		if err != nil {
			return err
		}
		defer w.abandon()
		to = w
	}
	sum := &res.Summary
	for _, step := range []func() error{
		func() error { return c.finishFlows(to, sum) },
		func() error { return c.finishObservations(to, sum) },
		func() error { return c.finishDevices(to, &sum.Devices) },
		func() error { return c.finishDetections(to, &sum.Detections) },
		func() error { return c.finishRisk(to, &sum.Risk) },
		func() error { return c.finishUsage(to, &sum.Usage) },
	} {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		if err := step(); err != nil {
			return err
		}
	}
	return to.close(sum)
}

// finishFlows counts what is no copy; a copy of a first part takes back its flow.
func (c *collector) finishFlows(to sink, sum *Summary) error {
	return c.flows.each(func(_, val []byte) error {
		msg, sensor := unnamed(val)
		f := new(proto.Flow)
		if err := proto.Unmarshal(msg, f); err != nil {
			return fmt.Errorf("read flow back: %w", err)
		}
		f.Site, f.Sensor = c.o.Site, sensor
		f.SrcDevice = c.registry.at(f.SrcEndpoint, f.Start)
		f.DstDevice = c.registry.at(f.DstEndpoint, f.Start)
		switch {
		case f.DuplicateOfSensor == "":
			sum.FlowParts++
		case f.Part == 0:
			sum.Flows--
			sum.DuplicateFlowParts++
		default:
			sum.DuplicateFlowParts++
		}
		return to.flow(f)
	})
}

func (c *collector) finishObservations(to sink, sum *Summary) error {
	return c.observations.each(func(_, val []byte) error {
		msg, sensor := unnamed(val)
		o := new(proto.Observation)
		if err := proto.Unmarshal(msg, o); err != nil {
			return fmt.Errorf("read observation back: %w", err)
		}
		o.Site, o.Sensor = c.o.Site, sensor
		o.Device = c.registry.at(o.Endpoint, o.Time)
		if o.DuplicateOfSensor == "" {
			sum.Observations++
		} else {
			sum.DuplicateObservations++
		}
		return to.observation(o)
	})
}

func (c *collector) finishDevices(to sink, n *uint64) error {
	for _, d := range c.registry.final() {
		*n++
		if err := to.device(d); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) finishDetections(to sink, n *uint64) error {
	list := make([]*proto.Detection, 0, len(c.detections))
	for _, d := range c.detections {
		d.DeviceID = c.registry.now(d.DeviceID)
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *proto.Detection) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.DetectionID[:], b.DetectionID[:]))
	})
	for _, d := range list {
		*n++
		if err := to.detection(d); err != nil {
			return err
		}
	}
	return nil
}

// finishRisk sorts scores of the same time again: which device an id has become
// is known only now.
func (c *collector) finishRisk(to sink, n *uint64) error {
	var same []*proto.Risk
	flush := func() error {
		slices.SortStableFunc(same, func(a, b *proto.Risk) int {
			return cmp.Or(bytes.Compare(a.DeviceID[:], b.DeviceID[:]), cmp.Compare(a.Version, b.Version))
		})
		for _, r := range same {
			*n++
			if err := to.score(r); err != nil {
				return err
			}
		}
		same = same[:0]
		return nil
	}
	err := c.risk.each(func(_, val []byte) error {
		r := new(proto.Risk)
		if err := json.Unmarshal(val, r); err != nil {
			return fmt.Errorf("read score back: %w", err)
		}
		r.DeviceID = c.registry.now(r.DeviceID)
		if len(same) > 0 && same[0].Time != r.Time {
			if err := flush(); err != nil {
				return err
			}
		}
		same = append(same, r)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// useKey is under which a usage interval stands.
type useKey struct {
	device proto.ID
	start  proto.Time
}

// finishUsage leaves out what was withdrawn or is another's, and makes one timeline of those
// of ids that have become one device.
func (c *collector) finishUsage(to sink, n *uint64) error {
	list := make([]*proto.Usage, 0, len(c.usage))
	first := map[proto.ID]proto.ID{} // device -> the id that one of its lines was told under
	joined := map[proto.ID][]*proto.Usage{}
	for _, u := range c.usage {
		if u.End <= u.Start {
			continue
		}
		was := u.DeviceID
		u.DeviceID = c.registry.now(was)
		if one, told := first[u.DeviceID]; told && one != was {
			joined[u.DeviceID] = nil
		}
		first[u.DeviceID] = was
		list = append(list, u)
	}
	list = c.registry.ownUse(c.registry.within(rejoined(list, joined)))
	slices.SortFunc(list, func(a, b *proto.Usage) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), bytes.Compare(a.DeviceID[:], b.DeviceID[:]))
	})
	for _, u := range list {
		*n++
		if err := to.use(u); err != nil {
			return err
		}
	}
	return nil
}

// memory is the sink that fills a Result.
type memory struct{ r *Result }

func (m *memory) flow(f *proto.Flow) error { m.r.Flows = append(m.r.Flows, f); return nil }

func (m *memory) device(d *proto.Device) error { m.r.Devices = append(m.r.Devices, d); return nil }

func (m *memory) detection(d *proto.Detection) error {
	m.r.Detections = append(m.r.Detections, d)
	return nil
}

func (m *memory) score(s *proto.Risk) error { m.r.Risk = append(m.r.Risk, s); return nil }

func (m *memory) use(u *proto.Usage) error { m.r.Usage = append(m.r.Usage, u); return nil }

func (m *memory) observation(o *proto.Observation) error {
	m.r.Observations = append(m.r.Observations, o)
	return nil
}
func (m *memory) close(*Summary) error { return nil }
