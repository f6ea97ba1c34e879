package ftp

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
)

// Protocol is FTP's control connection.
var Protocol = dissector.Protocol{
	Name: "ftp", Ports: []uint16{21},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	maxCommand   = 512 // bytes of a first command
	maxUndecided = 32  // lines of a greeting that names no protocol
)

// recognise wants a greeting that speaks of FTP, or a client's first command that
// no other protocol has; midstream also the replies and commands of a transfer. A
// greeting that may be SMTP's too waits for what the client says.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if digit(b[0]) {
		return greeting(b, midstream)
	}
	line, _, whole := bytes.Cut(b, []byte("\n"))
	if !whole {
		if len(line) > maxCommand || !printable(bytes.TrimSuffix(line, []byte("\r"))) || !opens(line) {
			return dissector.No
		}
		return dissector.More
	}
	line = bytes.TrimRight(line, "\r ")
	if !printable(line) {
		return dissector.No
	}
	verb, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(bytes.ToUpper(verb)) {
	case "USER": // IRC's has four words
		if len(rest) > 0 && bytes.Count(rest, []byte(" ")) < 2 && !bytes.Contains(rest, []byte(" :")) {
			return dissector.Yes
		}
	case "AUTH":
		if k := string(bytes.ToUpper(rest)); k == "TLS" || k == "SSL" || k == "TLS-C" || k == "TLS-P" || k == "GSSAPI" || k == "KERBEROS_V4" {
			return dissector.Yes
		}
	case "FEAT", "SYST", "PASV", "EPSV":
		if len(rest) == 0 || midstream && string(verb) == "EPSV" {
			return dissector.Yes
		}
	case "CLNT", "PBSZ", "PROT":
		if len(rest) > 0 {
			return dissector.Yes
		}
	case "OPTS":
		if bytes.HasPrefix(bytes.ToUpper(rest), []byte("UTF8")) {
			return dissector.Yes
		}
	case "TYPE":
		if midstream && len(rest) == 1 && bytes.IndexByte([]byte("AIEai"), rest[0]) >= 0 {
			return dissector.Yes
		}
	case "PORT":
		if _, _, ok := hostPort(rest); ok {
			return dissector.Yes
		}
	case "EPRT":
		if _, _, ok := extendedPort(rest); ok {
			return dissector.Yes
		}
	}
	return dissector.No
}

// opens holds for the beginnings of the commands above.
func opens(b []byte) bool {
	b = b[:min(len(b), 4)]
	for _, v := range []string{"USER", "AUTH", "FEAT", "SYST", "PASV", "EPSV", "CLNT", "PBSZ", "PROT", "OPTS", "TYPE", "PORT", "EPRT"} {
		if len(b) <= len(v) && bytes.EqualFold(b, []byte(v[:len(b)])) {
			return true
		}
	}
	return false
}

// greeting judges a server's first words: "220 text" or several lines "220-text".
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
	for n := 0; ; n++ { // the first line that names a protocol decides
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			break
		}
		b = rest
		line = bytes.ToLower(line)
		has := func(s string) bool { return bytes.Contains(line, []byte(s)) }
		switch {
		case has("smtp"):
			return dissector.No
		case code == "227" && has("passive mode"), code == "229" && has("(|||"),
			midstream && (code == "226" || code == "150") && (has("transfer") || has("data connection")), midstream && code == "331" && has("password"):
			return dissector.Yes
		case code != "220" && code != "120" && code != "421" && code != "530":
			return dissector.No
		case has("ftp"):
			return dissector.Yes
		case code != "220" || midstream || n >= maxUndecided:
			return dissector.No
		}
	}
	return dissector.More
}

func digit(x byte) bool { return x >= '0' && x <= '9' }

// printable allows what a command in any character set may have.
func printable(b []byte) bool { return len(b) > 0 && lines.Printable(b) }
