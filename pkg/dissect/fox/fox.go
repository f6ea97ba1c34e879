// Package fox dissects the beginning of Niagara's Fox protocol (Tridium), with
// which building controllers and their workstations talk over TCP: in its first
// message each side says, in clear text, what it is. There is no public
// specification; the keys are those that public scanners document.
//
// What follows is not read: there people log in.
package fox

import (
	"bytes"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is Fox.
var Protocol = dissector.Protocol{
	Name: "fox", Ports: []uint16{1911},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	maxMessage = 4096
	maxText    = 128
)

// start is how a message begins: "fox a 1 -1 fox hello\n{\n", the second word a
// kind of frame.
var start = []byte("fox ")

// recognise wants the first line of a message, up to the brace.
func recognise(b []byte, _ bool) dissector.Verdict {
	n := min(len(b), len(start))
	if !bytes.Equal(b[:n], start[:n]) {
		return dissector.No
	}
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		if len(b) > 80 {
			return dissector.No
		}
		return dissector.More
	}
	if len(bytes.Fields(b[:i])) < 5 {
		return dissector.No
	}
	if len(b) == i+1 {
		return dissector.More
	}
	if b[i+1] != '{' {
		return dissector.No
	}
	return dissector.Yes
}

// stream is one connection: the first message of each side.
type stream struct {
	buf  [2][]byte
	done [2]bool
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	if s.done[side] {
		return
	}
	s.buf[side] = append(s.buf[side], b[:min(len(b), maxMessage-len(s.buf[side]))]...)
	buf := s.buf[side]
	end := bytes.Index(buf, []byte("};;"))
	if end < 0 && len(buf) < maxMessage {
		return
	}
	if end < 0 {
		c.Count("fox_message_long")
		end = len(buf)
	}
	hello(c, buf[:end])
	s.over(c)
}

// over ends the reading of a direction, and, after both, of the connection.
func (s *stream) over(c *dissector.Context) {
	side := c.Side & 1
	s.done[side], s.buf[side] = true, nil
	if s.done[0] && s.done[1] {
		c.Sink.Done()
	}
}

// Gap ends the reading of a direction: what it said is lost.
func (s *stream) Gap(c *dissector.Context, _ int64) { s.over(c) }

// End has nothing to tell.
func (s *stream) End(*dissector.Context) {}

// Size is the bytes that are kept.
func (s *stream) Size() int { return 64 + cap(s.buf[0]) + cap(s.buf[1]) }

// names are the keys that are told, and their attributes.
var names = map[string]string{
	"fox.version": "fox_version", "hostName": "hostname", "hostAddress": "host_address", "app.name": "application", "app.version": "software_version",
	"vm.name": "vm", "vm.version": "vm_version", "os.name": "os", "os.version": "os_version", "station.name": "station_name", "hostId": "host_id",
	"vmUuid": "device_uid", "brandId": "brand", "timeZone": "time_zone",
}

// hello reads the lines "key=type:value" of a first message.
func hello(c *dissector.Context, b []byte) {
	f := dissector.Fact{Kind: "hello", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	for _, line := range bytes.Split(b, []byte("\n")) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if !ok || names[key] == "" {
			continue
		}
		_, value, _ = strings.Cut(value, ":")
		if key == "timeZone" {
			value, _, _ = strings.Cut(value, ";")
		}
		a.Set(names[key], dissector.Text([]byte(value), maxText))
	}
	if len(*a) == 0 {
		return
	}
	role := "client"
	if a.Get("station_name") != "" || c.Side == dissector.Dst {
		role = "server"
	}
	a.Set("role", role)
	c.Emit(&f)
}
