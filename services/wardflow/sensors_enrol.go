package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
)

func sortedIDs[V any](m map[sensorID]V) []sensorID {
	return slices.SortedFunc(maps.Keys(m), func(a, b sensorID) int { return cmp.Or(cmp.Compare(a.site, b.site), cmp.Compare(a.name, b.name)) })
}

type sensorsEnrolCmd struct {
	Name        string `arg:"" help:"The sensor's name within its site."`
	Site        string `required:"" placeholder:"SITE" help:"Its site."`
	User        string `xor:"who" placeholder:"NAME" help:"Make this SCRAM user for it at the brokers, with a random password."`
	Certificate string `xor:"who" placeholder:"SUBJECT" help:"It has a certificate of this subject, for example 'CN=tap-1,O=St Alban', exactly as the brokers print it."`
	Out         string `placeholder:"DIR" help:"Folder for the sensor's configuration and password, which is made; default sensor-NAME."`
	At          string `placeholder:"DIR" default:"/etc/wardflow" help:"Where these files will lie on the sensor (${default})."`
}

// Help is shown by --help.
func (sensorsEnrolCmd) Help() string {
	return `Gives a sensor a principal of its own at the brokers, which may write wardflow.traffic and wardflow.sensors and read
wardflow.control, and nothing else; writes a folder with what the sensor needs to start; and enters it in the register.
Run it as a user who may administer the brokers, with the configuration of the cluster.

The password is drawn at random, stands in the file kafka.password of that folder alone (mode 0600), and is never
shown. Bring the folder to the sensor over a safe way, and delete it here. Enrolled again, with the same user, a sensor
gets another password.

The brokers must check rights (authorizer.class.name), and Wardflow's own services must be among their super.users
or have rules of their own: with allow.everyone.if.no.acl.found=true the first rule for a sensor would shut them out.

The embedded broker of ` + "`wardflow up`" + ` has one user and listens on its own machine only. The sensor of that machine is
entered in the register without --user and --certificate.

Examples:

    wardflow sensors enrol tap-1 --site st-alban --user tap-1 --out tap-1
    wardflow sensors enrol tap-2 --site st-alban --certificate 'CN=tap-2,O=St Alban' --out tap-2
    wardflow sensors enrol local --site st-alban           with the embedded broker

On the sensor then: wardflow capture --config /etc/wardflow/wardflow.yaml --interface eth1`
}

// Run enrols.
func (c *sensorsEnrolCmd) Run(ctx context.Context, g *globals, io *streams) error {
	id := sensorID{c.Site, c.Name}
	if err := id.check(); err != nil {
		return err
	}
	l, e, err := g.centre(io)
	if err != nil {
		return err
	}
	embedded := embeddedBroker(&l.Config)
	principal := ""
	switch {
	case embedded && (c.User != "" || c.Certificate != "" || c.Out != ""):
		return usagef("the embedded broker has one user, and listens on this machine only: a sensor of another machine needs a Kafka cluster (kafka.brokers). The sensor of this machine is enrolled without --user, --certificate and --out")
	case !embedded && c.User == "" && c.Certificate == "":
		return usagef("say who the sensor is at the brokers: --user NAME for a SCRAM user, or --certificate SUBJECT")
	case !embedded:
		principal = bus.UserPrincipal(cmp.Or(c.User, c.Certificate))
	}
	reg, err := readRegister(ctx, e.Kafka)
	if err != nil {
		return err
	}
	if other, ok := reg.holder(principal, id); ok && !embedded {
		return fmt.Errorf("%s is sensor %s of site %s already: each sensor has a principal of its own, so that one can be revoked alone", principal, other.name, other.site)
	}
	if old, ok := reg.enrolled[id]; ok && !old.Revoked && old.Principal != principal {
		return fmt.Errorf("sensor %s of site %s is enrolled as %s: revoke it first, `wardflow sensors revoke %s --site %s`", id.name, id.site, cmp.Or(old.Principal, "the sensor of the embedded broker's machine"), id.name, id.site)
	}
	if embedded {
		if err := id.register(ctx, e.Kafka, "", false); err != nil {
			return err
		}
		io.note("Sensor %s of site %s is in the register.", id.name, id.site)
		return nil
	}
	return c.letIn(ctx, io, id, principal, &l.Config, e.Kafka)
}

// letIn writes the sensor's folder, grants its rights, and enters it in the register.
func (c *sensorsEnrolCmd) letIn(ctx context.Context, io *streams, id sensorID, principal string, cfg *config.Config, kafka bus.Config) (err error) {
	b := bundle{id: id, user: c.User, at: c.At, kafka: kafka}
	if c.User != "" {
		b.password = rand.Text() + rand.Text() // 256 bits and more
		b.mechanism = "scram-sha-512"
		if strings.HasPrefix(strings.ToLower(cfg.Kafka.SASL.Mechanism), "scram-") {
			b.mechanism = strings.ToLower(cfg.Kafka.SASL.Mechanism) // the one that is known to work
		}
	}
	dir := cmp.Or(c.Out, "sensor-"+id.name)
	if c.Out == "" && !plainName.MatchString(id.name) {
		return usagef("the sensor's name makes no name of a folder: name one with --out DIR")
	}
	written, err := b.write(dir)
	defer func() {
		if err != nil { // a password that is not in force is no use to anybody
			for _, f := range written {
				_ = os.Remove(f)
			}
			_ = os.Remove(dir)
		}
	}()
	if err != nil {
		return err
	}
	if err := bus.Enrol(ctx, kafka, bus.Enrolment{Principal: principal, User: c.User, Password: b.password, Mechanism: b.mechanism}); err != nil {
		return fmt.Errorf("enrol sensor %s of site %s: %w", id.name, id.site, err)
	}
	if err := id.register(ctx, kafka, principal, false); err != nil {
		return err
	}
	io.note("Sensor %s of site %s is enrolled as %s.", id.name, id.site, principal)
	io.note("Its files are in %s: bring them to %s on the sensor, and delete them here.", dir, c.At)
	if c.User == "" {
		io.note("Its certificate and key belong beside them, as sensor.pem and sensor-key.pem.")
	}
	if !kafka.TLS.Enabled {
		io.note("Beware: kafka.tls is not enabled, so that everything the sensor sends can be read and changed on its way.")
	}
	io.note("There: wardflow capture --config %s --interface IF", path.Join(c.At, defaultConfigFile))
	return nil
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// bundle is what a sensor needs to start.
type bundle struct {
	id        sensorID
	user      string // "": it has a certificate
	password  string
	mechanism string
	at        string // where it will lie
	kafka     bus.Config
}

// The files of a bundle.
const (
	passwordFile = "kafka.password"
	caFile       = "ca.pem"
)

// write makes the folder. It gives the files that it has written, also with an error.
func (b *bundle) write(dir string) (written []string, err error) {
	text, err := b.config()
	if err != nil {
		return nil, err
	}
	files := []struct {
		name string
		data []byte
	}{{defaultConfigFile, text}}
	if b.user != "" {
		files = append(files, struct {
			name string
			data []byte
		}{passwordFile, []byte(b.password + "\n")})
	}
	if b.kafka.TLS.CAFile != "" {
		pem, err := os.ReadFile(b.kafka.TLS.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates: %w", err)
		}
		files = append(files, struct {
			name string
			data []byte
		}{caFile, pem})
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the sensor's folder: %w", err)
	}
	for _, f := range files {
		name := filepath.Join(dir, f.name)
		if err := writeNew(name, f.data); err != nil {
			return written, err
		}
		written = append(written, name)
	}
	return written, nil
}

// writeNew writes a file that only its owner reads, and that was not there.
func writeNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: remove it, or name another folder with --out", name)
	}
	if err != nil {
		return fmt.Errorf("write the sensor's files: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the sensor's files: %w", err), os.Remove(name))
	}
	return nil
}

// config is the sensor's wardflow.yaml.
func (b *bundle) config() ([]byte, error) {
	tls := map[string]any{}
	if b.kafka.TLS.Enabled || b.user == "" {
		tls["enabled"] = true
		if b.kafka.TLS.CAFile != "" {
			tls["ca_file"] = path.Join(b.at, caFile)
		}
		if b.kafka.TLS.ServerName != "" {
			tls["server_name"] = b.kafka.TLS.ServerName
		}
	}
	kafka := map[string]any{"brokers": b.kafka.Brokers, "partitions": b.kafka.Partitions, "client_id": "wardflow-sensor-" + b.id.name}
	if b.user == "" {
		tls["cert_file"], tls["key_file"] = path.Join(b.at, "sensor.pem"), path.Join(b.at, "sensor-key.pem")
	} else {
		kafka["sasl"] = map[string]any{"mechanism": b.mechanism, "user": b.user, "password_file": path.Join(b.at, passwordFile)}
	}
	if len(tls) > 0 {
		kafka["tls"] = tls
	}
	text, err := yaml.Marshal(map[string]any{"site": b.id.site, "sensor": b.id.name, "data_dir": "/var/lib/wardflow", "kafka": kafka})
	if err != nil {
		return nil, fmt.Errorf("encode the sensor's configuration: %w", err)
	}
	return append([]byte("# Sensor "+printable(b.id.name)+" of site "+printable(b.id.site)+", as it was enrolled. What it captures: capture.*, or from\n# the centre with `wardflow sensors configure`.\n"), text...), nil
}

type sensorsRevokeCmd struct {
	Name string `arg:"" help:"The sensor."`
	Site string `required:"" placeholder:"SITE" help:"Its site."`
}

// Help is shown by --help.
func (sensorsRevokeCmd) Help() string {
	return `Takes all rights of the sensor's principal at the brokers, and its password if it has one, and marks it as revoked in
the register. From then on it cannot write, not even over a connection that is open: what it captures stays in its
spool. Where it uses a certificate, have that revoked by whoever issued it as well.

Examples:

    wardflow sensors revoke tap-1 --site st-alban`
}

// Run revokes: first the rights, so that nothing is said to be revoked that is not.
func (c *sensorsRevokeCmd) Run(ctx context.Context, g *globals, io *streams) error {
	id := sensorID{c.Site, c.Name}
	if err := id.check(); err != nil {
		return err
	}
	_, e, err := g.centre(io)
	if err != nil {
		return err
	}
	reg, err := readRegister(ctx, e.Kafka)
	if err != nil {
		return err
	}
	old, ok := reg.enrolled[id]
	if !ok {
		return fmt.Errorf("sensor %s of site %s %w", id.name, id.site, errNotEnrolled)
	}
	if old.Principal != "" {
		if err := bus.Revoke(ctx, e.Kafka, old.Principal); err != nil {
			return fmt.Errorf("revoke sensor %s of site %s: %w", id.name, id.site, err)
		}
	}
	if !old.Revoked {
		if err := id.register(ctx, e.Kafka, old.Principal, true); err != nil {
			return err
		}
	}
	io.note("Sensor %s of site %s is revoked.", id.name, id.site)
	return nil
}

// centre is the configuration and the brokers, for commands that change the register.
func (g *globals) centre(io *streams) (*config.Loaded, *engines, error) {
	l, err := g.load(io)
	if err != nil {
		return nil, nil, err
	}
	e, err := findEngines(&l.Config, needsKafka)
	return l, e, err
}
