// Package telnet dissects TELNET (RFC 854, RFC 855 and those of the options): what the
// two ends negotiate, the terminal that the client is, what the server says of itself
// before anybody has logged in, and that somebody logged in, with what kind of
// account, and whether that succeeded.
//
// Here live the separation of commands from text, and the watch over the dialogue of
// the login. Nothing that is typed leaves, and of what the server writes only what
// pkg/dissect/banner lets through, and the name before "login:". When the outcome of a
// login is known, the rest of the connection is not read.
package telnet

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is TELNET.
var Protocol = dissector.Protocol{
	Name: "telnet", Ports: []uint16{23, 2323},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// Commands (RFC 854).
const (
	se   = 240
	sb   = 250
	will = 251
	wont = 252
	do   = 253
	dont = 254
	iac  = 255
)

// options are those that have a name here (IANA, Telnet Options).
var options = map[byte]string{
	0: "binary", 1: "echo", 2: "reconnection", 3: "suppress_go_ahead", 5: "status", 6: "timing_mark", 7: "remote_echo", 8: "line_width", 9: "page_size", 17: "extended_ascii", 18: "logout",
	21: "supdup", 23: "send_location", 24: "terminal_type", 25: "end_of_record", 26: "tacacs_user", 27: "output_marking", 28: "terminal_location", 29: "regime_3270", 31: "window_size",
	32: "terminal_speed", 33: "flow_control", 34: "linemode", 35: "x_display", 36: "environment", 37: "authentication", 38: "encryption", 39: "new_environment", 40: "tn3270e",
	42: "charset", 44: "com_port", 45: "local_echo", 46: "start_tls", 47: "kermit", 70: "mssp", 85: "compress", 86: "compress2", 138: "sspi", 139: "forward_x",
}

// recognise wants commands that negotiate options, and nothing between them but
// text; or, at the beginning of a connection, text that ends in a login prompt.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if b[0] == iac {
		return negotiation(b)
	}
	if midstream {
		return dissector.No
	}
	lines := 0
	for _, x := range b {
		if x == iac && lines > 0 { // a greeting before the negotiation
			break
		}
		if x == '\n' {
			lines++
		}
		if (x < ' ' || x > '~') && x != '\r' && x != '\n' && x != '\t' && x != 0 && x != 27 && x != 7 && x != 8 {
			return dissector.No
		}
	}
	if i := bytes.IndexByte(b, iac); i >= 0 {
		return negotiation(b[i:])
	}
	if prompt(lastLine(b)) != noPrompt {
		return dissector.Yes
	}
	return dissector.More
}

// negotiation judges bytes that begin with a command. One that negotiates a known
// option is enough.
func negotiation(b []byte) dissector.Verdict {
	switch {
	case len(b) < 2:
		return dissector.More
	case b[1] < sb || b[1] == iac:
		return dissector.No
	case len(b) < 3:
		return dissector.More
	}
	if options[b[2]] == "" {
		return dissector.No
	}
	if len(b) > 3 && b[1] != sb && b[3] != iac && (b[3] < ' ' || b[3] > '~') && b[3] != '\r' && b[3] != '\n' && b[3] != 0 && b[3] != 27 {
		return dissector.No
	}
	return dissector.Yes
}

// asks is what a prompt asks for.
type asks uint8

const (
	noPrompt asks = iota
	forName
	forPassword
)

// promptWords end the line of a prompt, before its colon.
var promptWords = []struct {
	text string
	asks asks
}{
	{"login", forName},
	{"username", forName},
	{"user name", forName},
	{"user", forName},
	{"account", forName},
	{"login name", forName},
	{"userid", forName},
	{"user id", forName},
	{"logon", forName},
	{"password", forPassword},
	{"passwd", forPassword},
	{"passcode", forPassword},
	{"pin", forPassword},
	{"kennwort", forPassword},
	{"passwort", forPassword},
}

// prompt judges a line that has not ended. "jdoe@host's password:" counts too.
func prompt(line []byte) asks {
	line = bytes.TrimRight(line, " \t\x00\x07")
	if len(line) < 4 || len(line) > maxLine || (line[len(line)-1] != ':' && line[len(line)-1] != '>') {
		return noPrompt
	}
	line = bytes.TrimRight(bytes.ToLower(line[:len(line)-1]), " .")
	if bytes.HasPrefix(line, []byte("last login")) {
		return noPrompt
	}
	for _, w := range promptWords {
		if rest, ok := bytes.CutSuffix(line, []byte(w.text)); ok && (len(rest) == 0 || !letter(rest[len(rest)-1])) {
			return w.asks
		}
	}
	return noPrompt
}

func letter(x byte) bool { return x >= 'a' && x <= 'z' || x >= '0' && x <= '9' }

// lastLine is what follows the last line end of b.
func lastLine(b []byte) []byte {
	return b[bytes.LastIndexAny(b, "\r\n")+1:]
}
