package poct1a

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
)

// Protocol is POCT1-A. Ports are set by each site.
var Protocol = dissector.Protocol{
	Name: "poct1a", Recognise: recognise,
	NewStream: func() dissector.Stream { return newStream() },
}

const (
	startBlock = 0x0b // some frame their messages as HL7 does
	maxRoot    = 48
	header     = "<HDR"
)

// recognise wants a message's first element: one of the standard's, or one that a
// maker may have made, with a header in it. A connection that is joined in its
// middle shows it a little later.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if midstream {
		return within(b)
	}
	b = bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), "\x0b\r\n\t ")
	for {
		v := begins(b, "<?")
		if v == dissector.No {
			v = begins(b, "<!--")
		}
		if v == dissector.No {
			return root(b)
		}
		if v == dissector.More {
			return v
		}
		i := bytes.IndexByte(b, '>')
		if i < 0 {
			if len(b) > 256 {
				return dissector.No
			}
			return dissector.More
		}
		b = bytes.TrimLeft(b[i+1:], "\r\n\t ")
	}
}

// begins compares b with the beginning of what is wanted.
func begins(b []byte, want string) dissector.Verdict {
	n := min(len(b), len(want))
	switch {
	case string(b[:n]) != want[:n]:
		return dissector.No
	case n < len(want):
		return dissector.More
	}
	return dissector.Yes
}

// root judges a start tag.
func root(b []byte) dissector.Verdict {
	if v := begins(b, "<"); v != dissector.Yes {
		return v
	}
	n, dots := 1, 0
	for n < len(b) && (b[n] >= 'A' && b[n] <= 'Z' || b[n] >= '0' && b[n] <= '9' || b[n] == '.' || b[n] == '_') {
		if b[n] == '.' {
			dots++
		}
		n++
	}
	switch {
	case n > maxRoot:
		return dissector.No
	case n == len(b):
		return dissector.More
	case n == 1 || b[n] != '>' && b[n] != ' ' && b[n] != '\r' && b[n] != '\n' && b[n] != '\t':
		return dissector.No
	case known(b[1:n]):
		return dissector.Yes
	case dots == 0:
		return dissector.No
	}
	end := bytes.IndexByte(b, '>')
	if end < 0 {
		return dissector.More
	}
	rest := bytes.TrimLeft(b[end+1:], "\r\n\t ")
	return begins(rest, header)
}

func known(name []byte) bool {
	n := vocabulary.Names[string(name)]
	return n != 0 && n < roots
}

// within looks for the tag of a message, or of its header, anywhere.
func within(b []byte) dissector.Verdict {
	for {
		i := bytes.IndexByte(b, '<')
		if i < 0 {
			return dissector.No
		}
		b = b[i+1:]
		if bytes.HasPrefix(b, []byte("HDR.control_id ")) || bytes.HasPrefix(b, []byte("HDR.version_id V=\"POCT1\"")) {
			return dissector.Yes
		}
		if len(b) > 7 && b[3] == '.' && b[4] == 'R' && (b[7] == '>' || b[7] == ' ') && known(b[:7]) {
			return dissector.Yes
		}
	}
}

// isRoot reports whether an element of that name is a message: a maker's own have a
// name of several words.
func isRoot(n xmlscan.Name, local []byte) bool {
	return n != 0 && n < roots || n == 0 && bytes.IndexByte(local, '.') > 0
}
