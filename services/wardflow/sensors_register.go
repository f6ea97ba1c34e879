package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// sensorID is a sensor of a site; with the name "", all of them.
type sensorID struct{ site, name string }

// sensorRegister is what wardflow.control says about sensors.
type sensorRegister struct {
	enrolled map[sensorID]proto.SensorEnrolment // revoked ones as well
	configs  map[sensorID]proto.SensorConfig
}

// readRegister reads one partition: every change is on each.
func readRegister(ctx context.Context, kafka bus.Config) (*sensorRegister, error) {
	r, err := bus.NewReader(kafka)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	reg := &sensorRegister{enrolled: map[sensorID]proto.SensorEnrolment{}, configs: map[sensorID]proto.SensorConfig{}}
	_, err = r.Read(ctx, proto.TopicControl, 0, 0, func(rec bus.Record) error {
		var c proto.Control
		if rec.Control || json.Unmarshal(rec.Value, &c) != nil {
			return nil // a marker, or an event that we know nothing of
		}
		if e := c.Enrolment; e != nil {
			reg.enrolled[sensorID{e.Site, e.Sensor}] = *e
		}
		if s := c.Sensor; s != nil && s.Version >= reg.configs[sensorID{s.Site, s.Sensor}].Version {
			reg.configs[sensorID{s.Site, s.Sensor}] = *s
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the register of sensors (`wardflow prepare` makes the topics): %w", err)
	}
	return reg, nil
}

// version is the highest version of a configuration in a site.
func (r *sensorRegister) version(site string) (highest uint64) {
	for id, c := range r.configs {
		if id.site == site {
			highest = max(highest, c.Version)
		}
	}
	return highest
}

// holder is who else in the register has a principal.
func (r *sensorRegister) holder(principal string, but sensorID) (sensorID, bool) {
	for _, id := range sortedIDs(r.enrolled) {
		if e := r.enrolled[id]; id != but && !e.Revoked && e.Principal == principal {
			return id, true
		}
	}
	return sensorID{}, false
}

// publishControl says a change to every partition at once.
func publishControl(ctx context.Context, kafka bus.Config, key string, c *proto.Control) error {
	value, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode %s: %w", c.Kind, err)
	}
	messages, err := controlMessages(value, key, uint64(time.Now().UnixMilli()), kafka.Partitions)
	if err != nil {
		return err
	}
	if err := bus.WriteAll(ctx, kafka, proto.TopicControl, messages); err != nil {
		return fmt.Errorf("publish %s: %w", c.Kind, err)
	}
	return nil
}

func (id sensorID) register(ctx context.Context, kafka bus.Config, principal string, revoked bool) error {
	return publishControl(ctx, kafka, "enrolment/"+proto.SensorKey(id.site, id.name), &proto.Control{
		Kind:      proto.ControlEnrolment,
		Enrolment: &proto.SensorEnrolment{Time: proto.TimeOf(time.Now()), Site: id.site, Sensor: id.name, Principal: principal, Revoked: revoked},
	})
}

// check tells what is wrong with the names.
func (id sensorID) check() error {
	var errs []error
	for _, x := range []struct{ what, name string }{{"--site", id.site}, {"the sensor's name", id.name}} {
		if err := proto.CheckSensorName(x.name); err != nil {
			errs = append(errs, fmt.Errorf("%s %q %w", x.what, x.name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return usageError{err}
	}
	return nil
}
