package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
)

// Kafka is what is known of the cluster, and what is wanted of it.
type Kafka struct {
	Config     bus.Config
	Want       []bus.TopicSpec
	Groups     map[string][]string // consumer groups with their topics
	Found      *bus.Inspection     // nil with Err
	Err        error
	Lags       map[string]map[string]int64 // by group and topic
	Now        time.Time                   // of this machine, when it was looked at
	Embedded   bool
	NewestOf   string // topic whose newest record tells the broker's clock
	ManyBehind int64  // records of lag from which on a group is told; 0: 10,000
}

// JudgeKafka judges.
func JudgeKafka(k *Kafka) []Result {
	f := &findings{area: "Kafka"}
	if k.Err != nil {
		f.add(Problem, "reachable", kafkaAdvice(k.Err), "%v", k.Err)
		return f.list
	}
	judgeBrokers(f, k)
	judgeTopics(f, k)
	judgeGroups(f, k)
	judgeBrokerClock(f, k)
	return f.list
}

// kafkaAdvice says what to do about an error of the connection.
func kafkaAdvice(err error) string {
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "sasl") || strings.Contains(text, "authenticat"):
		return "look at kafka.sasl: mechanism, user and password_file"
	case strings.Contains(text, "x509") || strings.Contains(text, "tls") || strings.Contains(text, "certificate"):
		return "look at kafka.tls: enabled, ca_file and server_name"
	case strings.Contains(text, "no such host") || strings.Contains(text, "lookup"):
		return "look at the names in kafka.brokers, and at those that the brokers give out (advertised.listeners)"
	}
	return "start the brokers, or look at kafka.brokers and at the firewall between"
}

func judgeBrokers(f *findings, k *Kafka) {
	var names []string
	silent, old := 0, ""
	for _, b := range k.Found.Brokers {
		names = append(names, b.Address)
		switch {
		case !b.Answers:
			silent++
		case !b.Transactions:
			old = b.Address
		}
	}
	how := "without authentication"
	if m := k.Config.SASL.Mechanism; m != "" {
		how = "as " + k.Config.SASL.User + " by " + m
	}
	if k.Config.TLS.Enabled {
		how += ", TLS"
	}
	slices.Sort(names)
	switch {
	case silent > 0:
		f.add(Warning, "reachable", "look at the brokers that are away, and at the addresses that they give out (advertised.listeners)", "%d of %d brokers do not answer (%s)", silent, len(names), strings.Join(names, ", "))
	default:
		f.ok("reachable", "%s, %s", strings.Join(names, ", "), how)
	}
	if k.Config.TLS.InsecureSkipVerify {
		f.add(Warning, "certificate", "remove kafka.tls.insecure_skip_verify, and name the authority by ca_file", "it is not checked: anybody between can read and change everything")
	}
	switch {
	case old != "":
		f.add(Problem, "version", "Kafka 2.5 or later", "%s has no transactions of the kind that we need (KIP-447)", old)
	case k.Embedded:
		f.ok("version", "that of this program")
	case silent < len(names):
		f.ok("version", "%s, by what it understands", strings.TrimPrefix(k.Found.Brokers[0].Version, "v"))
	}
}

func judgeTopics(f *findings, k *Kafka) {
	var missing []string
	good := 0
	for _, t := range k.Want {
		have, ok := k.Found.Topics[t.Name]
		if !ok {
			missing = append(missing, t.Name)
			continue
		}
		before := len(f.list)
		judgeTopic(f, k, t, have)
		if len(f.list) == before {
			good++
		}
	}
	switch {
	case len(missing) == len(k.Want):
		f.add(Problem, "topics", "wardflow prepare", "there is none yet")
	case len(missing) > 0:
		f.add(Problem, "topics", "wardflow prepare", "%s: missing", strings.Join(missing, ", "))
	}
	if good > 0 {
		f.ok("topics", "%d of %d as they should be, %d partitions", good, len(k.Want), k.Config.Partitions)
	}
}

func judgeTopic(f *findings, k *Kafka, t bus.TopicSpec, have bus.TopicState) {
	what := "topic " + t.Name
	switch {
	case have.Err != nil:
		f.add(Problem, what, "look at this user's rights (DESCRIBE) and at the brokers' logs", "%v", have.Err)
		return
	case have.Partitions != k.Config.Partitions:
		f.add(Problem, what, fmt.Sprintf("set kafka.partitions to what the topics have (%d here); changing the count is a reshard into new topics", have.Partitions), "%d partitions, the configuration says %d", have.Partitions, k.Config.Partitions)
	case have.Leaderless > 0:
		f.add(Problem, what, "bring the brokers back that hold them", "%d of %d partitions have no leader", have.Leaderless, have.Partitions)
	case have.InSync < have.Replicas:
		f.add(Warning, what, "look at the brokers that are behind or away", "only %d of %d replicas are up to date", have.InSync, have.Replicas)
	}
	judgeDurability(f, k, what, have)
	for _, key := range slices.Sorted(maps.Keys(t.Settings(k.Config))) {
		want := t.Settings(k.Config)[key]
		got, told := have.Settings[key]
		unknown := k.Embedded && key == "min.compaction.lag.ms" // to the embedded broker
		if told && got != want && !enough(key, got, want) && !unknown {
			f.add(Warning, what, fmt.Sprintf("kafka-configs.sh --alter --topic %s --add-config %s=%s", t.Name, key, want), "%s is %s, want %s", key, got, want)
		}
	}
}

// enough tells whether a setting that differs is on the safe side.
func enough(key, got, want string) bool {
	switch key {
	case "cleanup.policy":
		return false
	case "segment.bytes":
		return true // a matter of taste
	}
	g, err1 := strconv.ParseInt(got, 10, 64)
	w, err2 := strconv.ParseInt(want, 10, 64)
	if err1 != nil || err2 != nil {
		return false
	}
	return g < 0 || g >= w // -1 is no bound
}

func judgeDurability(f *findings, k *Kafka, what string, have bus.TopicState) {
	if k.Embedded || len(k.Found.Brokers) < 2 {
		return
	}
	insync, err := strconv.Atoi(have.Settings["min.insync.replicas"])
	switch {
	case have.Replicas < 2:
		f.add(Warning, what, "kafka-reassign-partitions.sh, with 3 replicas; set kafka.replicas to 3 before the topics are made", "%d replica on %d brokers: it is gone with its broker", have.Replicas, len(k.Found.Brokers))
	case err == nil && insync >= have.Replicas:
		f.add(Warning, what, fmt.Sprintf("kafka-configs.sh --alter --topic %s --add-config min.insync.replicas=%d", strings.TrimPrefix(what, "topic "), have.Replicas-1), "min.insync.replicas %d of %d replicas: it takes nothing while one broker is away", insync, have.Replicas)
	case err == nil && insync < 2 && have.Replicas > 2:
		f.add(Warning, what, fmt.Sprintf("kafka-configs.sh --alter --topic %s --add-config min.insync.replicas=2", strings.TrimPrefix(what, "topic ")), "min.insync.replicas %d: what one broker alone confirmed can be lost with it", insync)
	}
}

func judgeGroups(f *findings, k *Kafka) {
	bound := k.ManyBehind
	if bound == 0 {
		bound = 10_000
	}
	for _, name := range slices.Sorted(maps.Keys(k.Groups)) {
		g := k.Found.Groups[name]
		behind := int64(0)
		for _, n := range k.Lags[name] {
			behind += n
		}
		service := "wardflow " + serviceOf(name)
		switch {
		case g.Err != nil:
			f.add(Warning, "group "+name, "give this user DESCRIBE on groups", "%v", g.Err)
		case g.Members == 0:
			f.add(Warning, "group "+name, "start it: "+service+" (or everything on this machine: wardflow up)", "nobody is in it, %d records behind", behind)
		case g.State != "Stable" && g.State != "":
			f.add(Warning, "group "+name, "wait some seconds; if it stays, look at the log of "+service, "%s with %s", g.State, instances(g.Members))
		case behind > bound:
			f.add(Warning, "group "+name, "wardflow top shows whether it catches up; else start more instances of "+service, "%d records behind with %s", behind, instances(g.Members))
		default:
			f.ok("group "+name, "%s, %d records behind (each transaction leaves one)", instances(g.Members), behind)
		}
	}
}

func instances(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

// serviceOf is the command behind a consumer group.
func serviceOf(group string) string {
	name := group[strings.LastIndexByte(group, '.')+1:]
	switch name {
	case "endpoint", "identity", "device":
		return "fingerprint"
	case "risk":
		return "score"
	}
	return name
}

// judgeBrokerClock uses what Kafka tells: the newest record's time was the
// broker's or a sender's clock at most a moment ago, so it cannot lie ahead.
func judgeBrokerClock(f *findings, k *Kafka) {
	newest := k.Found.Topics[k.NewestOf].Newest
	if newest.IsZero() {
		f.add(Skipped, "clock against the broker", "", "no record tells the time yet")
		return
	}
	switch ahead := newest.Sub(k.Now); {
	case ahead > time.Minute:
		f.add(Problem, "clock against the broker", "synchronise this machine, the brokers and the sensors with one source", "the newest record of %s lies %s ahead of this machine's clock: who is more than 60 s off is set aside", k.NewestOf, apart(ahead))
	case ahead > 2*time.Second:
		f.add(Warning, "clock against the broker", "synchronise this machine, the brokers and the sensors with one source", "the newest record of %s lies %s ahead of this machine's clock", k.NewestOf, apart(ahead))
	default:
		f.ok("clock against the broker", "newest record of %s %s ago", k.NewestOf, apart(-ahead))
	}
}
