// Package smtp dissects SMTP (RFC 5321, RFC 3207, RFC 4954, RFC 3030) and LMTP: what
// server and client call themselves, how somebody logs in and whether that
// succeeds, how many messages there were, and with what program they were written.
//
// Here live the recognition of the two sides, the pairing of commands with replies,
// and as much of a message as it takes to step over it. Of a message the headers
// X-Mailer and User-Agent are read, because they name a device's software.
// Addresses, subjects, all other headers and the bodies never leave. After STARTTLS
// the connection is pkg/dissect/tls's.
package smtp

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
)

// Protocol is SMTP.
var Protocol = dissector.Protocol{
	Name: "smtp", Ports: []uint16{25, 587},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	maxCommand   = 512 // bytes of a first command
	maxUndecided = 32  // lines of a greeting that names no protocol
)

// openers are what a client begins with, and midstream what only SMTP has.
var openers = []struct {
	text      string
	midstream bool
}{{"EHLO ", false}, {"HELO ", false}, {"LHLO ", false}, {"MAIL FROM:", true}, {"RCPT TO:", true}}

// recognise wants a greeting that speaks of SMTP, or a client's greeting. A server's
// greeting that may be FTP's too waits for what the client says.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if digit(b[0]) {
		return greeting(b, midstream)
	}
	line, _, whole := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if len(line) > maxCommand {
		return dissector.No
	}
	for _, o := range openers {
		if o.midstream && !midstream {
			continue
		}
		n := min(len(line), len(o.text))
		if !bytes.EqualFold(line[:n], []byte(o.text[:n])) {
			continue
		}
		switch {
		case !whole:
			return dissector.More
		case lines.Printable(line) && (len(line) > len(o.text) || !o.midstream && len(line) >= len(o.text)-1):
			return dissector.Yes
		}
	}
	return dissector.No
}

// greeting judges "220 name ESMTP text", which may have several lines: the first
// that names a protocol decides.
func greeting(b []byte, midstream bool) dissector.Verdict {
	for i, x := range b[:min(len(b), 4)] {
		if i < 3 && !digit(x) || i == 3 && x != ' ' && x != '-' {
			return dissector.No
		}
	}
	if len(b) < 4 {
		return dissector.More
	}
	code := string(b[:3])
	for n := 0; ; n++ {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return dissector.More
		}
		b = rest
		line = bytes.ToLower(line)
		has := func(s string) bool { return bytes.Contains(line, []byte(s)) }
		switch {
		case code != "220" && code != "421" && code != "554":
			return dissector.No
		case has("ftp"), midstream && code != "220":
			return dissector.No
		case has("smtp"), has(" lmtp"), has("mail transfer agent"):
			return dissector.Yes
		case code != "220" || midstream || n >= maxUndecided:
			return dissector.No
		}
	}
}

func digit(x byte) bool { return x >= '0' && x <= '9' }
