package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/wardflow/wardflow/proto"
)

// ErrNoAuthorizer says that the brokers check nobody's rights.
var ErrNoAuthorizer = errors.New("the brokers have no authorizer, so whoever is let in may do everything: set authorizer.class.name (and super.users for Wardflow's services) on every broker")

// Enrolment is a sensor's principal at the brokers, by itself or with a password.
type Enrolment struct {
	Principal string // "User:NAME"; of a certificate, "User:" and its subject as the brokers print it
	User      string // of SCRAM; "" for a certificate
	Password  string
	Mechanism string // scram-sha-256 or scram-sha-512
}

// UserPrincipal is the principal of a SCRAM user or, under the brokers' default
// ssl.principal.mapping.rules, of a certificate's subject.
func UserPrincipal(name string) string { return "User:" + name }

// right is some operations on some topics, or on the cluster.
type right struct {
	topics  []string
	cluster bool
	ops     []kadm.ACLOperation
}

// rights is what a sensor may do, and nothing else. Who may write may describe
// (Kafka implies it); it is said all the same, for whoever lists the rules.
var rights = []right{
	{topics: []string{proto.TopicTraffic, proto.TopicSensors}, ops: []kadm.ACLOperation{kadm.OpWrite, kadm.OpDescribe}},
	{topics: []string{proto.TopicControl}, ops: []kadm.ACLOperation{kadm.OpRead, kadm.OpDescribe}},
	// Implied by the right to write since Kafka 2.8 (KIP-679), demanded before.
	{cluster: true, ops: []kadm.ACLOperation{kadm.OpIdempotentWrite}},
}

// Enrol lets a sensor in: it makes or changes its SCRAM user, if it has one, and
// grants it the rights of a sensor. Done twice it changes the password, and nothing else.
//
// Brokers with allow.everyone.if.no.acl.found=true stop allowing everyone on a
// topic that has its first rule: Wardflow's services must be super.users there, or
// have rules of their own. Brokers do not tell that setting, so it cannot be checked.
func Enrol(ctx context.Context, c Config, e Enrolment) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if err := nobodyElse(ctx, adm, c, e.Principal); err != nil {
		return err
	}
	// The rights first: a user without rights can do nothing, rights without a user neither.
	for _, r := range rights {
		b := kadm.NewACLs().Allow(e.Principal).AllowHosts().MaybeTopics(r.topics...).MaybeClusters(r.cluster).Operations(r.ops...).ResourcePatternType(kadm.ACLPatternLiteral)
		results, err := adm.CreateACLs(ctx, b)
		if err != nil {
			return fmt.Errorf("grant rights to %s: %w", e.Principal, err)
		}
		for _, x := range results {
			if x.Err != nil {
				return fmt.Errorf("grant rights to %s: %w", e.Principal, because(x.Err, x.ErrMessage))
			}
		}
	}
	if e.User == "" {
		return nil
	}
	mechanism, err := scramMechanism(e.Mechanism)
	if err != nil {
		return err
	}
	altered, err := adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: e.User, Mechanism: mechanism, Iterations: scramIterations, Password: e.Password}})
	if err != nil {
		return fmt.Errorf("make user %s: %w", e.User, err)
	}
	return alteredError("make", altered)
}

// scramIterations is the least that brokers take: passwords of sensors are random,
// so guessing them from what the brokers keep is hopeless however fast it is.
const scramIterations = 4096

func scramMechanism(name string) (kadm.ScramMechanism, error) {
	switch strings.ToLower(name) {
	case "scram-sha-256":
		return kadm.ScramSha256, nil
	case "scram-sha-512":
		return kadm.ScramSha512, nil
	}
	return 0, fmt.Errorf("mechanism %q: want scram-sha-256 or scram-sha-512", name)
}

func alteredError(doing string, altered kadm.AlteredUserSCRAMs) error {
	var errs []error
	for _, a := range altered.Sorted() {
		if a.Err != nil {
			errs = append(errs, fmt.Errorf("%s user %s: %w", doing, a.User, because(a.Err, a.ErrMessage)))
		}
	}
	return errors.Join(errs...)
}

// because adds the broker's own words to an error's.
func because(err error, message string) error {
	if message == "" || errors.Is(err, kerr.SecurityDisabled) {
		return noAuthorizer(err)
	}
	return fmt.Errorf("%w (%s)", err, message)
}

func noAuthorizer(err error) error {
	if errors.Is(err, kerr.SecurityDisabled) {
		return ErrNoAuthorizer
	}
	return err
}

func described(results kadm.DescribeACLsResults, err error) ([]kadm.DescribedACL, error) {
	if err != nil {
		return nil, fmt.Errorf("read the brokers' access rules: %w", noAuthorizer(err))
	}
	var list []kadm.DescribedACL
	for _, r := range results {
		if r.Err != nil {
			return nil, fmt.Errorf("read the brokers' access rules: %w", because(r.Err, r.ErrMessage))
		}
		list = append(list, r.Described...)
	}
	return list, nil
}

// Rights lists the access rules of a principal, sorted: "Topic wardflow.traffic: Write".
func Rights(ctx context.Context, c Config, principal string) ([]string, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	rules, err := described(kadm.NewClient(cl).DescribeACLs(ctx, everyRule(principal)))
	if err != nil {
		return nil, err
	}
	var list []string
	for _, r := range rules {
		text := fmt.Sprintf("%s %s: %s", r.Type, r.Name, r.Operation)
		if r.Permission != kmsg.ACLPermissionTypeAllow {
			text = "not " + text
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list, nil
}

// everyRule matches all rules of a principal.
func everyRule(principal string) *kadm.ACLBuilder {
	return kadm.NewACLs().AnyResource().Allow(principal).AllowHosts().Deny(principal).DenyHosts().Operations().ResourcePatternType(kadm.ACLPatternAny)
}

// nobodyElse refuses a principal that is something else already: its password
// would be changed, and revoking the sensor would take all of its rights.
func nobodyElse(ctx context.Context, adm *kadm.Client, c Config, principal string) error {
	if principal == UserPrincipal(c.SASL.User) {
		return fmt.Errorf("%s is who we are ourselves: give the sensor a user of its own", principal)
	}
	rules, err := described(adm.DescribeACLs(ctx, everyRule(principal)))
	if err != nil {
		return err
	}
	for _, r := range rules {
		if !slices.ContainsFunc(rights, func(x right) bool { return x.covers(&r) }) {
			return fmt.Errorf("%s has the right %s %s: %s already, which no sensor has: give the sensor a user of its own", principal, r.Type, r.Name, r.Operation)
		}
	}
	return nil
}

func (x *right) covers(r *kadm.DescribedACL) bool {
	here := x.cluster && r.Type == kmsg.ACLResourceTypeCluster || r.Type == kmsg.ACLResourceTypeTopic && slices.Contains(x.topics, r.Name)
	return here && r.Permission == kmsg.ACLPermissionTypeAllow && slices.Contains(x.ops, r.Operation)
}

// Revoke takes all rights from a principal, and its SCRAM passwords. A connection
// that is open can do nothing from then on: rights are looked at with each request.
func Revoke(ctx context.Context, c Config, principal string) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	results, err := adm.DeleteACLs(ctx, everyRule(principal))
	if err != nil {
		return fmt.Errorf("take the rights of %s: %w", principal, noAuthorizer(err))
	}
	for _, r := range results {
		if r.Err != nil {
			return fmt.Errorf("take the rights of %s: %w", principal, because(r.Err, r.ErrMessage))
		}
	}
	user, ok := strings.CutPrefix(principal, "User:")
	if !ok {
		return nil
	}
	have, err := adm.DescribeUserSCRAMs(ctx, user)
	if err != nil {
		return fmt.Errorf("look for user %s: %w", user, err)
	}
	var del []kadm.DeleteSCRAM
	for _, m := range have[user].CredInfos {
		del = append(del, kadm.DeleteSCRAM{User: user, Mechanism: m.Mechanism})
	}
	if len(del) == 0 {
		return nil // a certificate's, or gone already
	}
	// A request may name a user once only.
	for _, d := range del {
		altered, err := adm.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{d}, nil)
		if err != nil {
			return fmt.Errorf("remove user %s: %w", user, err)
		}
		if err := alteredError("remove", altered); err != nil {
			return err
		}
	}
	return nil
}
