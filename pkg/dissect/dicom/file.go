package dicom

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The layout of a DICOM file (PS3.10 7.1): a preamble of 128 bytes that is anything,
// "DICM", the meta information (group 0002, always explicit little endian, its length
// in front), then the data set.
const (
	preambleSize = 128
	metaBegin    = preambleSize + 4
	metaLength   = metaBegin + 12 // with the element that gives the length of the rest
	maxMeta      = 64 << 10
)

// The elements of the meta information.
const (
	metaClass          = 0x0002_0002
	metaInstance       = 0x0002_0003
	metaTransfer       = 0x0002_0010
	metaImplementation = 0x0002_0012
	metaVersion        = 0x0002_0013
	metaSource         = 0x0002_0016 // AE titles
	metaSending        = 0x0002_0017
	metaReceiving      = 0x0002_0018
)

// File reads the beginning of a DICOM file wherever it is carried: what made it, what
// its preamble is, and the device's tags of its data set.
type File struct {
	head                    []byte // up to the length of the meta information
	left                    int    // of the meta information
	state                   fileState
	preamble                string
	transfer                string
	implementation, version string
	source                  [3]string
	meta                    elements
	msg                     message
}

type fileState uint8

const (
	fileHead fileState = iota
	fileMeta
	fileData
	notFile
)

// NewFile begins a file.
func NewFile() *File {
	f := new(File)
	f.meta.want, f.meta.value = wantMeta, f.metaValue
	f.meta.reset(explicit)
	f.msg.init(new(association))
	f.msg.field, f.msg.commands = 1, true // as if it were stored
	return f
}

func wantMeta(_ *elements, tag uint32) int {
	switch tag {
	case metaClass, metaInstance, metaTransfer, metaImplementation, metaVersion, metaSource, metaSending, metaReceiving:
		return 66
	}
	return 0
}

func (f *File) metaValue(_ *elements, tag uint32, v []byte) {
	switch tag {
	case metaClass:
		f.msg.class = uid(v)
	case metaTransfer:
		f.transfer = uid(v)
	case metaImplementation:
		f.implementation = uid(v)
	case metaVersion:
		f.version = dissector.Text(v, 16)
	case metaSource, metaSending, metaReceiving:
		f.source[tag-metaSource] = dissector.Text(v, 16)
	}
}

// Read takes the next bytes; false says that no more are needed.
func (f *File) Read(c *dissector.Context, b []byte) bool {
	for len(b) > 0 {
		switch f.state {
		case fileHead:
			n := min(metaLength-len(f.head), len(b))
			f.head = append(f.head, b[:n]...)
			b = b[n:]
			if len(f.head) == metaLength {
				f.begin(c)
			}
		case fileMeta:
			n := min(f.left, len(b))
			f.meta.read(b[:n])
			b = b[n:]
			if f.left -= n; f.left == 0 {
				f.state = fileData
				f.msg.assoc.accepted = []context{{id: 1, transfer: syntaxOf(f.transfer)}}
			}
		case fileData:
			f.msg.dataset(c, 1, b)
			return !f.msg.data.dead && f.msg.data.top < tagPixels
		default:
			return false
		}
	}
	return true
}

// begin judges the preamble, the magic and the length of the meta information.
func (f *File) begin(c *dissector.Context) {
	f.state = notFile
	if string(f.head[preambleSize:metaBegin]) != "DICM" {
		return
	}
	switch b := f.head; {
	case b[0] == 'M' && b[1] == 'Z':
		f.preamble = "pe"
	case string(b[:4]) == "\x7fELF":
		f.preamble = "elf"
	case string(b[:4]) == "II*\x00", string(b[:4]) == "MM\x00*":
		f.preamble = "tiff"
	case string(b[:2]) == "#!":
		f.preamble = "script"
	default:
		f.preamble = "empty"
		for _, x := range b[:preambleSize] {
			if x != 0 {
				f.preamble = "other"
			}
		}
	}
	e := f.head[metaBegin:]
	n := binary.LittleEndian.Uint32(e[8:])
	if string(e[:8]) != "\x02\x00\x00\x00UL\x04\x00" || n > maxMeta || n == 0 {
		c.Count("dicom_file_malformed")
		return
	}
	f.left, f.state = int(n), fileMeta
	clear(f.head)
}

// Valid reports whether it was a file.
func (f *File) Valid() bool { return f.preamble != "" }

// Describe adds what the file says; complete, where all of it that is of interest
// was read.
func (f *File) Describe(c *dissector.Context, to *dissector.Fact, complete bool) {
	a := &to.Attributes
	a.Set("preamble", f.preamble)
	a.Set("implementation_uid", f.implementation)
	a.Set("implementation_version", f.version)
	a.Set("transfer_syntax", f.transfer)
	a.Set("sop_class", f.msg.class)
	a.Set("sop_class_name", sopName(f.msg.class))
	for i, name := range [...]string{"source_ae", "sending_ae", "receiving_ae"} {
		a.Set(name, f.source[i])
	}
	if f.state == fileData {
		f.msg.describe(c, to, complete)
	}
}

// Size is about how many bytes are kept.
func (f *File) Size() int { return cap(f.head) + cap(f.meta.buf) + f.msg.size() + 2048 }

// Attribute is the name of a device's tag, "" for any other: of the DICOM JSON model,
// whose other elements are not read.
func Attribute(tag uint32) string { return device[tag] }

// Person reports the tags whose words no attribute may repeat.
func Person(tag uint32) bool { return persons[tag] }

// IsUID gives a UID, "" for anything else.
func IsUID(b []byte) string { return uid(b) }

// Status is the word for a Performed Procedure Step Status.
func Status(s string) string { return status(s) }
