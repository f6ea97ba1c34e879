package http_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// ippAttribute is one attribute of an IPP message.
func ippAttribute(name, value string) string {
	return fmt.Sprintf("\x41\x00%c%s\x00%c%s", len(name), name, len(value), value)
}

func ippConversation(framing func(string) string) dissecttest.Conversation {
	request := "\x01\x01\x00\x0b\x00\x00\x00\x01\x01" + ippAttribute("requesting-user-name", "jcanaryuser") + "\x03"
	answer := "\x01\x01\x00\x00\x00\x00\x00\x01\x01" + ippAttribute("status-message", "CANARY-ALFA") + "\x04" + ippAttribute("printer-make-and-model", "Brother HL-L5100DN") + ippAttribute("printer-name", "CANARY-ALFA") + "\x03"
	return say("POST /ipp/print HTTP/1.1\r\nHost: p\r\nContent-Type: application/ipp\r\n"+framing(request), "HTTP/1.1 200 OK\r\nContent-Type: application/ipp\r\n"+framing(answer),
		"POST /ipp/print HTTP/1.1\r\nHost: p\r\nContent-Type: application/ipp\r\n"+framing(request), "HTTP/1.1 200 OK\r\nContent-Type: application/ipp\r\n"+framing(answer))
}

func withLength(s string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(s), s) }

func inChunks(s string) string {
	return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 10, s[:10], len(s)-10, s[10:])
}

// What a printer says in the body of an answer, however that is framed, and once.
func TestIPP(t *testing.T) {
	for name, framing := range map[string]func(string) string{"length": withLength, "chunks": inChunks} {
		c := ippConversation(framing)
		r := dissecttest.EveryCut(t, c)
		want := "ipp request > ipp_version=1.1 operation=get_printer_attributes\n"
		printer := "ipp printer < ipp_version=1.1 manufacturer=Brother model=Brother HL-L5100DN\n"
		if strings.Count(r.Brief(), want) != 1 || strings.Count(r.Brief(), printer) != 1 || !slices.Contains(r.Flows[0].Inner, "ipp") {
			t.Errorf("%s: %s", name, r.Brief())
		}
		dissecttest.NoLeak(t, []string{"jcanaryuser", "CANARY-ALFA"}, c)
	}
}
