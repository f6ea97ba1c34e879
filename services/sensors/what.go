package sensors

import "github.com/wardflow/wardflow/proto"

// The events. The names are a contract: they are in ClickHouse and in SIEMs.
const (
	whatNewRun        = "new_run"
	whatVersion       = "version"
	whatStopping      = "stopping"
	whatAway          = "away"
	whatBack          = "back"
	whatSuspect       = "clock_suspect"
	whatRight         = "clock_right"
	whatDrops         = "drops"
	whatDropsOver     = "drops_over"
	whatSpooling      = "spooling"
	whatDrained       = "spool_drained"
	whatContested     = "contested"
	whatContestedOver = "contested_over"
	whatConfigError   = "config_error"
	whatConfigured    = "config_applied"
	whatUnknown       = "unknown"
	whatEnrolled      = "enrolled"
	whatRevoked       = "revoked"
)

// kind is a kind of event.
type kind struct {
	severity string
	title    string // follows "Sensor NAME of SITE"
	closes   string // the event whose matter this one ends; "" for none
	opens    bool   // it lasts until the event that closes it
	why      string // what it means, and what to do
}

var kinds = map[string]kind{
	whatNewRun:        {severity: proto.SeverityInfo, title: "has been started", why: "The sensor's process has been started. After a run that did not say that it stops it has crashed, was killed, or its machine went down."},
	whatVersion:       {severity: proto.SeverityInfo, title: "runs another version", why: "The sensor runs another version of the program than before."},
	whatStopping:      {severity: proto.SeverityInfo, title: "stops", why: "The sensor has said that it stops. It is away when it has not come back after sensors.stopped_after."},
	whatAway:          {severity: proto.SeverityHigh, title: "is away", opens: true, why: "Nothing has been heard of the sensor for longer than sensors.away_after: what happens where it listens may be unseen. Look at its power, its network and its log."},
	whatBack:          {severity: proto.SeverityInfo, title: "is back", closes: whatAway, why: "The sensor is heard again. What it captured meanwhile comes from its spool."},
	whatSuspect:       {severity: proto.SeverityMedium, title: "has a wrong clock", opens: true, why: "The sensor's clock is more than 60 s off the broker's: its events get their time of arrival. Set its clock right (NTP)."},
	whatRight:         {severity: proto.SeverityInfo, title: "has its clock right again", closes: whatSuspect, why: "The sensor's clock agrees with the broker's again."},
	whatDrops:         {severity: proto.SeverityMedium, title: "loses packets", opens: true, why: "The sensor loses packets or records: it sees more than it can take. Give it more workers, a narrower filter or a larger machine."},
	whatDropsOver:     {severity: proto.SeverityInfo, title: "loses nothing any more", closes: whatDrops, why: "The sensor has lost nothing for ten minutes."},
	whatSpooling:      {severity: proto.SeverityLow, title: "keeps records on its disk", opens: true, why: "The sensor keeps records on its disk, because the brokers were away or are slow. They come later, in order."},
	whatDrained:       {severity: proto.SeverityInfo, title: "has its spool empty again", closes: whatSpooling, why: "The sensor's spool is empty again."},
	whatContested:     {severity: proto.SeverityHigh, title: "has two voices", opens: true, why: "Two processes speak under this sensor's name, in turn: two machines have the same name, or somebody uses its credentials."},
	whatContestedOver: {severity: proto.SeverityInfo, title: "has one voice again", closes: whatContested, why: "One process alone has spoken under this sensor's name for ten minutes."},
	whatConfigError:   {severity: proto.SeverityMedium, title: "cannot use its configuration", opens: true, why: "The sensor cannot use the configuration that it was sent, and keeps the one before."},
	whatConfigured:    {severity: proto.SeverityInfo, title: "has taken its configuration", closes: whatConfigError, why: "The sensor has taken the configuration that it was sent."},
	whatUnknown:       {severity: proto.SeverityHigh, title: "is not enrolled", opens: true, why: "A sensor speaks that is not in the register. Enrol it with `wardflow sensors enrol`, or find out who it is."},
	whatEnrolled:      {severity: proto.SeverityInfo, title: "has been enrolled", closes: whatUnknown, why: "The sensor has been entered in the register."},
	whatRevoked:       {severity: proto.SeverityLow, title: "has been revoked", why: "The sensor has been taken out of the register, and may not log in at the brokers any more."},
}
