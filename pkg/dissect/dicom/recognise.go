package dicom

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is the DICOM upper layer over TCP.
var Protocol = dissector.Protocol{
	Name: "dicom", Ports: []uint16{104, 11112},
	Recognise: recognise, NewStream: func() dissector.Stream { return newStream() },
}

// The PDU types (PS3.8 9.3.1).
const (
	associateRQ = 1
	associateAC = 2
	associateRJ = 3
	pData       = 4
	releaseRQ   = 5
	releaseRP   = 6
	abort       = 7
)

const (
	headerSize   = 6       // type, reserved, length (4)
	maxAssociate = 1 << 20 // 128 contexts with every transfer syntax are 180 KiB
	fixedSize    = 68      // of A-ASSOCIATE before its items
)

// recognise wants the beginning of an association: its request, acceptance or
// rejection. In the middle of a connection a PDU that carries a command will do.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if midstream && b[0] == pData {
		return command(b)
	}
	if b[0] < associateRQ || b[0] > associateRJ || (len(b) > 1 && b[1] != 0) {
		return dissector.No
	}
	if len(b) < headerSize {
		return dissector.More
	}
	size := binary.BigEndian.Uint32(b[2:])
	if b[0] == associateRJ {
		return rejected(b, size)
	}
	if size < fixedSize || size > maxAssociate {
		return dissector.No
	}
	// Protocol version with bit 0, reserved, then the AE titles: text, and not blank.
	body := b[headerSize:]
	for i, c := range body[:min(len(body), 36)] {
		switch {
		case i == 1 && c&1 == 0, i < 4 && i != 1 && c != 0:
			return dissector.No
		case i >= 4 && (c < ' ' || c > '~') && c != 0:
			return dissector.No
		}
	}
	if len(body) < 36 {
		return dissector.More
	}
	if dissector.Text(body[4:20], 16) == "" && dissector.Text(body[20:36], 16) == "" {
		return dissector.No
	}
	return dissector.Yes
}

func rejected(b []byte, size uint32) dissector.Verdict {
	if size != 4 {
		return dissector.No
	}
	if len(b) < headerSize+4 {
		return dissector.More
	}
	if b[6] != 0 || b[7] < 1 || b[7] > 2 || b[8] < 1 || b[8] > 3 {
		return dissector.No
	}
	return dissector.Yes
}

// command wants P-DATA-TF whose first fragment begins a command: element
// (0000,0000), the group length, of four bytes.
func command(b []byte) dissector.Verdict {
	const want = headerSize + 6 + 8
	if len(b) < want {
		return dissector.More
	}
	if !fragment(b) || b[11]&1 == 0 || binary.LittleEndian.Uint64(b[12:]) != 4<<32 {
		return dissector.No
	}
	return dissector.Yes
}

// fragment checks the headers of P-DATA-TF and its first fragment against each
// other.
func fragment(b []byte) bool {
	if len(b) < headerSize+6 || b[0] != pData || b[1] != 0 {
		return false
	}
	size, pdv := binary.BigEndian.Uint32(b[2:]), binary.BigEndian.Uint32(b[6:])
	return size >= 6 && pdv >= 2 && pdv <= size-4 && b[10]&1 == 1 && b[11] <= 3
}

// boundary reports whether a PDU plausibly begins with b, for finding the way
// back after a gap.
func boundary(b []byte) bool {
	if len(b) < headerSize || b[1] != 0 {
		return false
	}
	switch b[0] {
	case associateRQ, associateAC:
		return recognise(b[:min(len(b), dissector.MaxPrefix)], false) == dissector.Yes
	case associateRJ, releaseRQ, releaseRP, abort:
		return binary.BigEndian.Uint32(b[2:]) == 4
	}
	return fragment(b)
}
