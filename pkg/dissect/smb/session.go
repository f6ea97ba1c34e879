package smb

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dcerpc"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const (
	maxTold     = 24
	maxPending  = 16 // requests whose answer is waited for
	maxStatuses = 8
)

// session is what is known of the sessions of a connection.
type session struct {
	client    dissector.Side
	known     bool // who is the client
	mechanism string
	account   string // of an SMB1 session setup without NTLM's messages
	plain     bool   // the server wants passwords as they are
	secret    bool   // one was sent
	encrypted bool
	logins    int
	failed    int
	statuses  []counted
	commands  []counted
	pending   []pending
	calls     dcerpc.Calls
	names     []string // of known pipes that were opened
	told      []string
	summed    bool
}

type counted struct {
	name string
	n    int
}

// pending is a request whose answer tells how it ended.
type pending struct {
	id     uint64
	share  string // what may be told of it
	server string
	file   uint64
}

func (s *session) size() int {
	return 64*cap(s.pending) + 32*(cap(s.commands)+cap(s.statuses)+cap(s.told)) + s.calls.Size()
}

func tally(list *[]counted, name string, most int) {
	for i := range *list {
		if (*list)[i].name == name {
			(*list)[i].n++
			return
		}
	}
	if len(*list) < most {
		*list = append(*list, counted{name, 1})
	}
}

func tallies(list []counted) []string {
	var out []string
	for _, x := range list {
		out = append(out, x.name+":"+strconv.Itoa(x.n))
	}
	slices.Sort(out)
	return out
}

// count counts a request.
func (s *session) count(c *dissector.Context, name string) {
	s.client, s.known = c.Side, true
	tally(&s.commands, name, len(commands2)+8)
}

func (s *session) news(key string) bool {
	if slices.Contains(s.told, key) || len(s.told) == maxTold {
		return false
	}
	s.told = append(s.told, key)
	return true
}

// ask remembers a request.
func (s *session) ask(p pending) {
	if len(s.pending) == maxPending {
		s.pending = slices.Delete(s.pending, 0, 1)
	}
	s.pending = append(s.pending, p)
}

// answered gives the request of that id, and forgets it.
func (s *session) answered(id uint64) (pending, bool) {
	for i, p := range s.pending {
		if p.id == id {
			s.pending = slices.Delete(s.pending, i, i+1)
			return p, true
		}
	}
	return pending{}, false
}

// statusNames are the results that a login or a connection to a share has (MS-ERREF
// 2.3), without their prefix.
var statusNames = map[uint32]string{
	0xc0000022: "access_denied", 0xc000006d: "logon_failure", 0xc000006a: "wrong_password", 0xc0000064: "no_such_user", 0xc0000072: "account_disabled", 0xc0000234: "account_locked_out",
	0xc0000071: "password_expired", 0xc0000193: "account_expired", 0xc000006e: "account_restriction", 0xc000006f: "invalid_logon_hours", 0xc0000070: "invalid_workstation", 0xc000015b: "logon_type_not_granted",
	0xc0000224: "password_must_change", 0xc000018b: "no_trust_sam_account", 0xc000018d: "trusted_relationship_failure", 0xc0000133: "time_difference", 0xc000005e: "no_logon_servers", 0xc000000d: "invalid_parameter",
	0xc00000cc: "bad_network_name", 0xc00000c9: "network_name_deleted", 0xc0000203: "user_session_deleted", 0xc000035c: "network_session_expired", 0xc00000bb: "not_supported", 0xc0000016: "more_processing_required",
	0xc0000388: "downgrade_detected", 0xc00000d0: "request_not_accepted", 0xc0000034: "object_name_not_found",
}

func statusName(v uint32) string {
	if s := statusNames[v]; s != "" {
		return s
	}
	return fmt.Sprintf("0x%08x", v)
}

// Flags of a session (MS-SMB2 2.2.6).
const (
	sessionGuest   = 1
	sessionNull    = 2
	sessionEncrypt = 4
	statusMore     = 0xc0000016
)

// setUp takes the answer to an SMB2 session setup.
func (s *session) setUp(c *dissector.Context, x *message2) {
	if x.status == statusMore {
		return
	}
	account := ""
	if len(x.body) >= 4 && x.status == statusOK {
		flags := binary.LittleEndian.Uint16(x.body[2:])
		switch {
		case flags&sessionGuest != 0:
			account = "guest"
		case flags&sessionNull != 0:
			account = "anonymous"
		}
		s.encrypted = s.encrypted || flags&sessionEncrypt != 0
	}
	s.login(c, account, x.status, true)
}

// setUp1 takes the answer to an SMB1 session setup, whose third word has a bit for guests.
func (s *session) setUp1(c *dissector.Context, x *message1) {
	if x.status == statusMore {
		return
	}
	account := s.account
	if len(x.words) >= 6 && x.status == statusOK && x.words[4]&1 != 0 {
		account = "guest"
	}
	s.login(c, account, x.status, x.nt)
}

// login tells of a login once for each way in which it ends.
func (s *session) login(c *dissector.Context, account string, status uint32, nt bool) {
	s.logins++
	outcome, reason := "success", ""
	if status != statusOK {
		outcome, reason = "failure", "dos_error"
		if nt {
			reason = statusName(status)
		}
		s.failed++
		tally(&s.statuses, reason, maxStatuses)
	}
	mechanism := s.mechanism
	s.mechanism = ""
	if s.news("login " + account + mechanism + outcome + reason) {
		f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: c.Side.Peer()}}
		a := &f.Attributes
		a.Set("role", "client")
		a.Set("account", account)
		a.Set("mechanism", mechanism)
		a.Set("outcome", outcome)
		a.Set("status", reason)
		if s.secret {
			a.Set("cleartext_credential", "user_pass")
		}
		c.Emit(&f)
	}
	s.secret, s.account = false, ""
}

// sum tells what was done, once. Negotiations alone are no session.
func (s *session) sum(c *dissector.Context, incomplete bool) {
	if s.summed {
		return
	}
	s.summed = true
	s.calls.Finish(c)
	if !s.known || s.logins == 0 && len(s.commands) < 2 {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.client}}
	a := &f.Attributes
	a.Set("role", "client")
	a.SetList("commands", tallies(s.commands))
	if s.logins > 0 {
		a.Set("logins", strconv.Itoa(s.logins))
		a.Set("logins_failed", strconv.Itoa(s.failed))
	}
	a.SetList("failures", tallies(s.statuses))
	slices.Sort(s.names)
	a.SetList("pipes", s.names)
	if s.encrypted {
		a.Set("encrypted", "true")
	}
	if incomplete {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
}
