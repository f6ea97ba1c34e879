package sensors

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// Assigned implements bus.Assigner: it restores the books of partitions that are
// ours from now on. The topics are all the state there is.
//
//  1. The register, from wardflow.control, to its end.
//  2. What has been said, from wardflow.sensor-events, to its end; whoever had the
//     partition before us has committed it with the offsets, or not at all.
//  3. The statuses before the committed offset: from them everything has been
//     concluded. What comes after is polled, and concluded from again.
func (s *Service) Assigned(ctx context.Context, committed bus.Offsets) (map[string]map[int32]int64, error) {
	start := map[string]map[int32]int64{proto.TopicSensors: {}, proto.TopicControl: {}}
	for n, at := range committed[proto.TopicSensors] {
		p, err := s.restore(ctx, n, at.Offset)
		if err != nil {
			return nil, fmt.Errorf("restore the book of sensors, partition %d: %w", n, err)
		}
		s.parts[n] = p
		start[proto.TopicSensors][n] = p.next
	}
	for n := range committed[proto.TopicControl] {
		if p := s.parts[n]; p != nil {
			start[proto.TopicControl][n] = p.nextControl
		}
	}
	s.joined.Store(true)
	return start, nil
}

// Revoked implements bus.Assigner.
func (s *Service) Revoked(partitions map[string][]int32) {
	for _, n := range partitions[proto.TopicSensors] {
		delete(s.parts, n)
	}
}

func (s *Service) restore(ctx context.Context, n int32, committed int64) (*partition, error) {
	now := s.cfg.Now()
	p := &partition{book: newBook(&s.cfg), number: n}
	var err error
	p.nextControl, err = s.read.Read(ctx, proto.TopicControl, n, 0, func(r bus.Record) error {
		p.control(&r, s.cfg.Bus.Partitions)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_, err = s.read.Read(ctx, proto.TopicSensorEvents, n, 0, func(r bus.Record) error {
		p.said(&r, now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if committed < 0 {
		return p, nil
	}
	p.next = committed
	_, err = s.read.Read(ctx, proto.TopicSensors, n, 0, func(r bus.Record) error {
		if r.Offset >= committed {
			return nil
		}
		if st, ok := readStatus(&r, s.cfg.Bus.Partitions); ok {
			p.restoreStatus(st, r.Time, now)
		}
		return nil
	})
	return p, err
}

// said takes an event of ours.
func (p *partition) said(r *bus.Record, now time.Time) {
	var env proto.Envelope
	var v proto.SensorEvent
	if r.Control || env.Parse(r.Envelope) != nil || env.Kind != proto.KindSensorEvent || json.Unmarshal(r.Value, &v) != nil {
		return
	}
	if env.Producer == producer(p.number) {
		p.seq = max(p.seq, env.Seq)
	}
	p.restoreEvent(&v, now)
}
