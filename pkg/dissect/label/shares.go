package label

import (
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

var shares = []*dissector.Protocol{
	both("nfs", rpcTCP(nfsProgram), rpcUDP(nfsProgram), 2049),
	both("rpc", rpcTCP(anyProgram), rpcUDP(anyProgram), 111),
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

// The programs of ONC RPC that are NFS (IANA): the server itself, mountd, and the lock
// and status services.
func nfsProgram(n int) bool {
	return n == 100003 || n == 100005 || n == 100021 || n == 100024 || n == 100227
}

func anyProgram(n int) bool { return n >= 100000 && n < 100500 || n >= 300000 && n < 600000 }

// rpcCall knows a call: number, 0, version 2, program, its version, procedure, and the
// kind and length of the credentials (RFC 5531 9).
func rpcCall(b []byte, program func(int) bool) bool {
	return len(b) >= 32 && be32(b[4:]) == 0 && be32(b[8:]) == 2 && program(be32(b[12:])) && be32(b[16:]) <= 10 && be32(b[20:]) < 100 &&
		(be32(b[24:]) <= 7 || be32(b[24:]) >= 390000 && be32(b[24:]) < 391000) && be32(b[28:]) <= 400
}

func rpcUDP(program func(int) bool) datagram {
	return func(_ *dissector.Context, b []byte) bool { return rpcCall(b, program) }
}

// rpcTCP has a record's mark before it: last fragment, length (RFC 5531 11).
func rpcTCP(program func(int) bool) first {
	return func(b []byte) dissector.Verdict {
		if len(b) < 12 {
			if len(b) > 0 && b[0] != 0x80 {
				return dissector.No
			}
			return dissector.More
		}
		n := be32(b) & 0x7fffffff
		if b[0] != 0x80 || n < 40 || be32(b[8:]) != 0 {
			return dissector.No
		}
		if len(b) < 36 {
			return dissector.More
		}
		return yes(rpcCall(b[4:], program))
	}
}

// iscsi knows a login request or its answer (RFC 7143 11.12, 11.13).
func iscsi(b []byte) dissector.Verdict {
	return whole("\x43\x23", 48, func(b []byte) bool {
		return (b[0] == 0x43 || b[0] == 0x23) && b[2] == 0 && b[3] == 0 && int(b[5])<<16|be16(b[6:]) < 16384
	})(b)
}
