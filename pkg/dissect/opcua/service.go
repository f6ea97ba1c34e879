package opcua

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The services that are read, by the id of their binary encoding (part 6, annex
// A; NodeIds.csv of the specification).
const (
	serviceFault          = 397
	findServersResponse   = 425
	getEndpointsResponse  = 431
	createSessionRequest  = 461
	createSessionResponse = 464
	activateRequest       = 467
	readRequest           = 631
	readResponse          = 634
)

// requests are the names of requests.
var requests = map[uint32]string{
	422: "find_servers", 428: "get_endpoints", 446: "open_secure_channel", 452: "close_secure_channel", createSessionRequest: "create_session",
	activateRequest: "activate_session", 473: "close_session", 479: "cancel", 488: "add_nodes", 494: "add_references", 500: "delete_nodes",
	506: "delete_references", 527: "browse", 533: "browse_next", 554: "translate_browse_paths", 560: "register_nodes", readRequest: "read",
	664: "history_read", 673: "write", 700: "history_update", 712: "call", 751: "create_monitored_items", 763: "modify_monitored_items",
	781: "delete_monitored_items", 787: "create_subscription", 793: "modify_subscription", 826: "publish", 832: "republish", 847: "delete_subscriptions",
}

// changes are the requests that are told of, once.
var changes = map[string]bool{"write": true, "call": true, "add_nodes": true, "delete_nodes": true, "add_references": true, "delete_references": true, "history_update": true}

// service takes the message of a service, as far as its first chunk has it.
func (s *stream) service(c *dissector.Context, r *reader, request uint32) {
	id := r.node()
	if r.bad {
		return
	}
	if name := requests[id]; name != "" {
		s.count(c, name)
		if changes[name] && s.first(name) {
			f := fact(c, "change", "client")
			f.Attributes.Set("service", name)
			c.Emit(&f)
		}
	}
	switch id {
	case serviceFault:
		if result := r.responseHeader(); !r.bad && s.first("fault"+hex32(result)) {
			f := fact(c, "error", "server")
			f.Attributes.Set("status", hex32(result))
			c.Emit(&f)
		}
	case createSessionRequest:
		r.requestHeader()
		f := fact(c, "application", "client")
		s.application(c, &f, r)
		r.bytes() // the server's URI, its address, the session's name, a number
		r.bytes()
		r.bytes()
		r.bytes()
		s.certificate(c, r.bytes())
	case getEndpointsResponse:
		r.responseHeader()
		s.endpoints(c, r)
	case createSessionResponse:
		r.responseHeader()
		r.node()
		r.node()
		r.take(8)
		r.bytes()
		s.certificate(c, r.bytes())
		s.endpoints(c, r)
	case findServersResponse:
		r.responseHeader()
		if r.count() == 1 { // several would be others than who speaks
			f := fact(c, "application", "server")
			s.application(c, &f, r)
		}
	case activateRequest:
		r.requestHeader()
		s.activate(c, r)
	case readRequest:
		r.requestHeader()
		s.read(r, request)
	case readResponse:
		r.responseHeader()
		s.answer(c, r, request)
	}
}

// application reads an application's description (part 4, 7.2).
func (s *stream) application(c *dissector.Context, f *dissector.Fact, r *reader) {
	if describe(&f.Attributes, r) && s.first(f.Kind+f.Attributes.Get("application_uri")+f.Attributes.Get("application_name")) {
		c.Emit(f)
	}
}

func describe(a *proto.Attributes, r *reader) bool {
	uri, product, name := r.bytes(), r.bytes(), r.text()
	kind := r.uint32()
	r.bytes()
	r.bytes()
	r.strings()
	if r.bad {
		return false
	}
	a.Set("application_uri", dissector.Text(uri, maxText))
	a.Set("product_uri", dissector.Text(product, maxText))
	a.Set("application_name", dissector.Text(name, maxText))
	if kind < 4 {
		a.Set("application_type", [...]string{"server", "client", "client_and_server", "discovery_server"}[kind])
	}
	return true
}

const maxEndpoints = 16

// endpoints reads what a server offers (7.14): under which security, and how one
// may sign on.
func (s *stream) endpoints(c *dissector.Context, r *reader) {
	f := fact(c, "endpoints", "server")
	a := &f.Attributes
	var security, tokens []string
	n := r.count()
	for i := range min(n, maxEndpoints) {
		r.bytes() // its URL
		var other proto.Attributes
		to := &other
		if i == 0 {
			to = a
		}
		if !describe(to, r) {
			break
		}
		if der := r.bytes(); i == 0 {
			s.certificate(c, der)
		}
		mode, policy := r.uint32(), strings.TrimPrefix(string(r.bytes()), policyPrefix)
		if r.bad {
			break
		}
		if mode > 0 && mode < 4 {
			security = append(security, [...]string{"", "none", "sign", "sign_and_encrypt"}[mode]+" "+strings.ToLower(dissector.Text([]byte(policy), 64)))
		}
		for k := r.count(); k > 0 && !r.bad; k-- {
			r.bytes()
			kind := r.uint32()
			r.bytes()
			r.bytes()
			r.bytes()
			if !r.bad && kind < 4 {
				tokens = append(tokens, tokenNames[kind])
			}
		}
		r.bytes()
		r.byte()
	}
	if a.Get("application_uri") == "" && a.Get("application_name") == "" {
		return
	}
	slices.Sort(security)
	slices.Sort(tokens)
	a.SetList("security", slices.Compact(security))
	a.SetList("user_tokens", slices.Compact(tokens))
	if s.first("endpoints" + a.Get("application_uri")) {
		c.Emit(&f)
	}
}

// tokenNames are the ways to sign on (7.43).
var tokenNames = [...]string{"anonymous", "user_name", "certificate", "issued"}

// activate tells how somebody signs on (5.6.3): of a name, only what kind it is.
func (s *stream) activate(c *dissector.Context, r *reader) {
	r.bytes() // the client's signature
	r.bytes()
	for n := r.count(); n > 0 && !r.bad; n-- {
		r.bytes()
		r.bytes()
	}
	r.strings()
	kind, body := r.extension()
	i := slices.Index([]uint32{321, 324, 327, 940}, kind)
	if r.bad || i < 0 {
		return
	}
	f := fact(c, "login", "client")
	f.Attributes.Set("identity_token", tokenNames[i])
	if kind == 324 {
		body.bytes()
		name := body.bytes()
		body.bytes()
		encrypted := len(body.bytes()) > 0
		f.Attributes.Set("account", account(name))
		if !encrypted && !body.bad && (s.policy == "" || strings.EqualFold(s.policy, "none")) {
			f.Attributes.Set("cleartext_credential", "user_pass")
		}
	}
	if s.first("login" + f.Attributes.Get("identity_token") + f.Attributes.Get("account")) {
		c.Emit(&f)
	}
}

// account says what kind of account a name is.
func account(name []byte) string {
	switch strings.ToLower(string(name)) {
	case "":
		return "empty"
	case "administrator", "admin", "root", "sysadmin", "opcadmin":
		return "administrator"
	case "guest":
		return "guest"
	case "anonymous":
		return "anonymous"
	}
	return "other"
}

// read is a request to read of which something is of interest: which values.
type read struct {
	request uint32
	nodes   []uint16
}

// The server's own nodes (part 5, annex A): its status, and its build information
// as a whole and in parts.
const (
	nodeStatus    = 2256
	nodeBuildInfo = 2260
	maxNodes      = 64
)

var buildNodes = map[uint16]string{2261: "product", 2262: "product_uri", 2263: "manufacturer", 2264: "software_version", 2265: "build"}

// read remembers where in its answer the build information will be (5.10.2).
func (s *stream) read(r *reader, request uint32) {
	r.take(8 + 4)
	var nodes []uint16
	found := false
	for n := r.count(); n > 0 && !r.bad && len(nodes) < maxNodes; n-- {
		id, attribute := r.node(), r.uint32()
		r.bytes()
		r.uint16()
		r.bytes()
		node := uint16(0)
		if attribute == 13 && id <= 0xffff && (id == nodeStatus || id == nodeBuildInfo || buildNodes[uint16(id)] != "") {
			node, found = uint16(id), true
		}
		nodes = append(nodes, node)
	}
	if found {
		s.reads[s.nextRead] = read{request, nodes}
		s.nextRead = (s.nextRead + 1) % len(s.reads)
	}
}

// answer reads the values that were waited for.
func (s *stream) answer(c *dissector.Context, r *reader, request uint32) {
	for i := range s.reads {
		x := &s.reads[i]
		if x.request != request || x.nodes == nil {
			continue
		}
		f := fact(c, "identity", "server")
		before := len(f.Attributes)
		n := r.count()
		for _, node := range x.nodes[:min(n, len(x.nodes))] {
			text, kind, body := r.value()
			if r.bad {
				break
			}
			switch {
			case node == 0:
			case buildNodes[node] != "":
				f.Attributes.Set(buildNodes[node], dissector.Text(text, maxText))
			case node == nodeBuildInfo && kind == 340:
				buildInfo(&f.Attributes, &body)
			case node == nodeStatus && kind == 864:
				body.take(8 + 8 + 4)
				buildInfo(&f.Attributes, &body)
			}
		}
		*x = read{}
		key := "identity"
		for _, a := range f.Attributes {
			key += a.Value + " "
		}
		if len(f.Attributes) > before && s.first(key) {
			c.Emit(&f)
		}
		return
	}
}

// buildInfo reads a server's build information (part 5, 12.4).
func buildInfo(a *proto.Attributes, r *reader) {
	uri, maker, product, version, build := r.bytes(), r.bytes(), r.bytes(), r.bytes(), r.bytes()
	if r.bad {
		return
	}
	for i, v := range [][]byte{uri, maker, product, version, build} {
		a.Set([...]string{"product_uri", "manufacturer", "product", "software_version", "build"}[i], dissector.Text(v, maxText))
	}
}

func (s *stream) count(c *dissector.Context, name string) {
	if s.since == 0 {
		s.since = c.Headers.Time
	}
	if c.Headers.Time-s.since >= every {
		s.summary(c)
		s.since = c.Headers.Time
	}
	if s.services == nil {
		s.services = map[string]uint32{}
	}
	s.services[name]++
	s.client = c.Side
}

// summary tells how often each service was asked for since the last one.
func (s *stream) summary(c *dissector.Context) {
	if len(s.services) == 0 {
		return
	}
	f := dissector.Fact{Kind: "transactions", Subject: dissector.Subject{Side: s.client}}
	f.Attributes.Set("role", "client")
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		list = append(list, name+":"+strconv.Itoa(int(s.services[name])))
	}
	f.Attributes.SetList("services", list)
	c.Emit(&f)
	clear(s.services)
}
