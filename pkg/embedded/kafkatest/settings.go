package kafkatest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
)

// logSettings: warnings to standard output, and the one line that says that the
// broker serves.
const logSettings = `status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ABSOLUTE} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
`

// properties is the node's server.properties.
func (n *Node) properties() string {
	opts := n.cluster.opts
	// A killed node is let in again once its old registration has expired: 9 s by
	// default. Several on two busy cores are late with their heartbeats.
	replicas, inSync, session := "1", "1", "3000"
	if opts.Nodes >= 3 {
		replicas, inSync, session = "3", "2", "6000"
	}
	p := map[string]string{
		"process.roles":            "broker,controller",
		"node.id":                  strconv.Itoa(n.ID),
		"controller.quorum.voters": n.cluster.voters(),
		"log.dirs":                 "data",

		"listeners": fmt.Sprintf("CLIENT://%s,INTERNAL://%s,CONTROLLER://%s",
			address(n.client), address(n.internal), address(n.controller)),
		"advertised.listeners":           fmt.Sprintf("CLIENT://%s,INTERNAL://%s", address(n.client), address(n.internal)),
		"listener.security.protocol.map": "CLIENT:" + opts.protocol() + ",INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"inter.broker.listener.name":     "INTERNAL",
		"controller.listener.names":      "CONTROLLER",

		"default.replication.factor":               replicas,
		"min.insync.replicas":                      inSync,
		"offsets.topic.replication.factor":         replicas,
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            inSync,
		"auto.create.topics.enable":                "false",

		// Waits that only help clusters whose members come one by one.
		"group.initial.rebalance.delay.ms": "0",
		"broker.session.timeout.ms":        session,
		"broker.heartbeat.interval.ms":     "500",

		// Fifty partitions each, 128 MiB of heap for the cleaner and 8 + 3
		// threads are for a cluster, not for two cores and one test.
		"offsets.topic.num.partitions":         "4",
		"transaction.state.log.num.partitions": "4",
		"log.cleaner.dedupe.buffer.size":       strconv.Itoa(16 << 20),
		"num.network.threads":                  "2",
		"num.io.threads":                       "4",
		"background.threads":                   "2",
	}
	if opts.TLS {
		maps.Copy(p, map[string]string{
			"ssl.keystore.type":       "PEM",
			"ssl.keystore.location":   n.cluster.TLS.server,
			"ssl.truststore.type":     "PEM",
			"ssl.truststore.location": n.cluster.TLS.CAFile,
		})
		if opts.ClientCertificate {
			// Unprefixed it would not hold where users log in besides.
			p["listener.name.client.ssl.client.auth"] = "required"
		}
	}
	if opts.User != "" {
		p["sasl.enabled.mechanisms"] = opts.Mechanism
		p["listener.name.client."+strings.ToLower(opts.Mechanism)+".sasl.jaas.config"] = opts.jaas()
	}
	maps.Copy(p, opts.Settings)

	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&text, "%s=%s\n", key, strings.ReplaceAll(p[key], `\`, `\\`))
	}
	return text.String()
}

// voters is the static quorum: every node is a controller.
func (c *Cluster) voters() string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, fmt.Sprintf("%d@%s", n.ID, address(n.controller)))
	}
	return strings.Join(all, ",")
}

// protocol is Kafka's name of what the client listener speaks.
func (o Options) protocol() string {
	switch {
	case o.TLS && o.User != "":
		return "SASL_SSL"
	case o.TLS:
		return "SSL"
	case o.User != "":
		return "SASL_PLAINTEXT"
	}
	return "PLAINTEXT"
}

// jaas is the login module of the mechanism; PLAIN lists its users in it, SCRAM
// keeps them in the metadata log, where scram puts them.
func (o Options) jaas() string {
	if o.Mechanism == "PLAIN" {
		return fmt.Sprintf("org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=%q;", o.User, o.Password)
	}
	return "org.apache.kafka.common.security.scram.ScramLoginModule required;"
}

func (o Options) scram() string {
	if o.User == "" || o.Mechanism == "PLAIN" {
		return ""
	}
	return fmt.Sprintf("%s=[name=%s,password=%s]", o.Mechanism, o.User, o.Password)
}

func address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// Ports are drawn below Linux's ephemeral range, which starts at 32768: while a
// killed node is away, no outgoing connection (least of all a client's attempt
// to reach that very port) can be given its port.
const (
	firstPort = 20000
	lastPort  = 32000
)

// freePorts finds count ports on loopback that nobody listens on.
func freePorts(count int) ([]int, error) {
	var found []int
	for range 100 * count {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if slices.Contains(found, port) || !free(port) {
			continue
		}
		if found = append(found, port); len(found) == count {
			return found, nil
		}
	}
	return nil, errors.New("find free ports on loopback: none left")
}

func free(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
