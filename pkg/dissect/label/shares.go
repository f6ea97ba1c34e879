package label

import (
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

var shares = []*dissector.Protocol{
	atHome(tcp("iscsi", iscsi, 3260)),
	tcp("rsync", begins("@RSYNCD: "), 873),
	tcp("git", func(b []byte) dissector.Verdict { // gitprotocol-pack(5): length in hex, then the service
		if len(b) < 5 {
			if begins("00", "01")(b) == dissector.No {
				return dissector.No
			}
			return dissector.More
		}
		return begins("git-upload-pack /", "git-receive-pack /", "git-upload-archive /")(b[4:])
	}, 9418),
	tcp("afp", whole("\x00", 16, func(b []byte) bool { // DSI: request, GetStatus or OpenSession, first number, no offset, length, 0
		return b[0] == 0 && (b[1] == 3 || b[1] == 4) && be32(b[4:]) == 0 && be32(b[8:]) < 64 && be32(b[12:]) == 0 && be16(b[2:]) < 2
	}), 548),
	tcp("ica", begins("\x7f\x7fICA\x00", "\x1aCGP/01"), 1494, 2598),
	tcp("nomachine", begins("NXSH-", "NXD-")),
	atHome(tcp("teamviewer", whole("\x17\x11", 5, func(b []byte) bool { return b[0] == 0x17 && b[1] == 0x24 || b[0] == 0x11 && b[1] == 0x30 }), 5938)),
	atHome(tcp("radmin", whole("\x01", 9, func(b []byte) bool { return b[0] == 1 && be32(b[1:]) == 1 && be16(b[5:]) <= 0x808 }), 4899)),
}

// iscsi knows a login request or its answer (RFC 7143 11.12, 11.13).
func iscsi(b []byte) dissector.Verdict {
	return whole("\x43\x23", 48, func(b []byte) bool {
		return (b[0] == 0x43 || b[0] == 0x23) && b[2] == 0 && b[3] == 0 && int(b[5])<<16|be16(b[6:]) < 16384
	})(b)
}
