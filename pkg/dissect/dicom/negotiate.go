package dicom

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// identity is what a User Identity item shows (PS3.7 D.3.3.7): how somebody says
// who he is, and the kind of account. Names and secrets are forgotten at once.
type identity struct {
	mechanism, account string
}

// mechanisms are the types of identities. Each but the ticket of Kerberos is a
// credential that everybody can read.
var mechanisms = [...]string{1: "username", 2: "user_pass", 3: "kerberos", 4: "saml", 5: "jwt"}

// accounts are the kinds of well-known names.
var accounts = map[string]string{
	"": "empty", "admin": "administrator", "administrator": "administrator", "root": "administrator", "supervisor": "administrator", "service": "administrator",
	"guest": "guest", "anonymous": "anonymous", "dicom": "default", "user": "default", "default": "default", "orthanc": "default",
}

// read takes the beginning of the item: type, whether an answer is wanted, length of the
// name, the name.
func (x *identity) read(b []byte) {
	if len(b) < 4 || int(b[0]) >= len(mechanisms) || b[0] == 0 {
		return
	}
	x.mechanism = mechanisms[b[0]]
	if b[0] > 2 {
		return
	}
	x.account = "other"
	if n := int(binary.BigEndian.Uint16(b[2:])); n <= len(b)-4 {
		if kind, ok := accounts[strings.ToLower(string(b[4:4+n]))]; ok {
			x.account = kind
		}
	}
}

// negotiate takes the items of what both sides can do.
func (it *items) negotiate(b []byte) {
	switch it.item {
	case itemMaxPDU:
		if len(b) >= 4 {
			it.maxPDU = binary.BigEndian.Uint32(b)
		}
	case itemAsync:
		if len(b) >= 4 {
			it.async = strconv.Itoa(int(binary.BigEndian.Uint16(b))) + "/" + strconv.Itoa(int(binary.BigEndian.Uint16(b[2:])))
		}
	case itemRole:
		s, rest := counted(b)
		if s == "" || len(rest) < 2 || len(it.roles) == maxRoles {
			return
		}
		role := [...]string{"none", "scp", "scu", "both"}[min(rest[0], 1)<<1|min(rest[1], 1)]
		it.roles = append(it.roles, s+":"+role)
	case itemExtended, itemCommonExtended:
		if s, _ := counted(b); s != "" && !slices.Contains(it.extended, s) && len(it.extended) < maxRoles {
			it.extended = append(it.extended, s)
		}
	}
}

// counted is a UID after its length, and what follows.
func counted(b []byte) (string, []byte) {
	if len(b) < 2 {
		return "", nil
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return "", nil
	}
	return uid(b[2 : 2+n]), b[2+n:]
}

// tell says what was negotiated beside the contexts.
func (it *items) tell(a *proto.Attributes) {
	a.SetList("transfer_syntaxes", it.transfers)
	if it.maxPDU > 0 {
		a.Set("max_pdu", strconv.FormatUint(uint64(it.maxPDU), 10))
	}
	a.Set("async_operations", it.async)
	a.SetList("role_selection", it.roles)
	a.SetList("extended_negotiation", it.extended)
	switch it.identity.mechanism {
	case "":
	case "kerberos":
		a.Set("auth", it.identity.mechanism)
	default:
		a.Set("cleartext_credential", it.identity.mechanism)
		a.Set("account", it.identity.account)
	}
}

// services lists what the association is for, in words; only what was accepted, if
// asked for.
func (a *association) services(to *proto.Attributes, accepted bool) {
	var list []string
	for _, s := range a.abstracts(accepted) {
		if w := serviceOf(s); w != "" && !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	slices.Sort(list)
	to.SetList("services", list)
}

// rejected lists the contexts that were not accepted and why (PS3.8 9.3.3.2).
func (a *association) rejected() []string {
	var list []string
	for _, y := range a.accepted {
		if y.result == 0 {
			continue
		}
		why := name(y.result, "", "user_rejection", "no_reason", "abstract_syntax", "transfer_syntaxes")
		for _, x := range a.proposed {
			if x.id == y.id && x.abstract != "" && why != "" {
				list = append(list, x.abstract+":"+why)
			}
		}
	}
	return list
}

// reasons are the words for why an association was rejected, by source and number
// (PS3.8 9.3.4).
var reasons = map[[2]uint8]string{
	{1, 1}: "no_reason", {1, 2}: "application_context", {1, 3}: "calling_ae_unknown", {1, 7}: "called_ae_unknown",
	{2, 1}: "no_reason", {2, 2}: "protocol_version",
	{3, 1}: "congestion", {3, 2}: "local_limit",
}

// aborts are the words for why the service provider aborted (PS3.8 9.3.8).
var aborts = [...]string{"not_specified", "unrecognised_pdu", "unexpected_pdu", "", "unrecognised_parameter", "unexpected_parameter", "invalid_parameter"}

// short reads the four bytes of A-ASSOCIATE-RJ, A-RELEASE-RQ and RP, A-ABORT.
func (s *stream) short(c *dissector.Context, h *half) {
	b := h.buf
	h.buf = h.buf[:0]
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	switch h.kind {
	case associateRJ:
		f.Kind = "associate_rj"
		a.Set("result", name(b[1], "", "rejected_permanent", "rejected_transient"))
		a.Set("source", name(b[2], "", "service_user", "acse_provider", "presentation_provider"))
		a.Set("reason", decimal(b[3]))
		a.Set("reason_name", reasons[[2]uint8{b[2], b[3]}])
	case abort:
		f.Kind = "abort"
		a.Set("source", name(b[2], "service_user", "", "service_provider"))
		a.Set("reason", decimal(b[3]))
		if b[2] == 2 {
			a.Set("reason_name", name(b[3], aborts[:]...))
		}
	case releaseRQ:
		f.Kind = "release"
	default:
		return
	}
	s.assoc.titles(a)
	c.Emit(&f)
	s.tell(c)
}
