package http_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// The planted strings: patients in paths and bodies, users and passwords.
var secrets = []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser", "canarypassword", "canary-session-id", "canary.bearer.token"}

// canaries is a conversation with a secret in every place that must not leave.
func canaries() dissecttest.Conversation {
	basic := base64.StdEncoding.EncodeToString([]byte("jcanaryuser:canarypassword"))
	body := `{"patient":"CANARY-ALFA","id":"PHI-0001-CANARY"}`
	request := func(method, auth, more string) string {
		return method + " /patient/CANARY-ALFA/PHI-0001-CANARY?name=CANARY-ALFA#jcanaryuser HTTP/1.1\r\nHost: fhir.example.org\r\nUser-Agent: Client/1.0\r\n" +
			"Referer: http://a/PHI-0001-CANARY\r\nCookie: sid=canary-session-id\r\nFrom: jcanaryuser@example.org\r\nX-Patient: CANARY-ALFA\r\n" +
			"Authorization: " + auth + "\r\nOrigin: http://CANARY-ALFA\r\n" + more
	}
	withBody := fmt.Sprintf("Content-Type: application/fhir+json; patient=CANARY-ALFA\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x;CANARY-ALFA\r\n%s\r\n0\r\nTrailer: PHI-0001-CANARY\r\n\r\n", len(body), body)
	answer := "HTTP/1.1 200 CANARY-ALFA\r\nServer: s/1\r\nSet-Cookie: sid=canary-session-id\r\nLocation: /CANARY-ALFA\r\nETag: PHI-0001-CANARY\r\nX-Name: CANARY-ALFA\r\n"
	return say(
		request("GET", "Basic "+basic, "\r\n"), answer+withBody,
		request("POST", `Digest username="jcanaryuser", realm="canary-session-id", uri="/CANARY-ALFA", response="canarypassword"`, withBody), answer+chunked,
		request("PUT", "Bearer canary.bearer.token", chunked), answer+withBody,
		request("PUT", "Unknown canary.bearer.token", "Proxy-Authorization: Basic "+basic+"\r\n"+withBody), answer+"\r\nCANARY-ALFA until the end",
	)
}

// TestCanaries plants secrets and looks for them in all that leaves the engine:
// facts, labels, counters, panic sites.
func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	check := func(how string, c dissecttest.Conversation, handshake bool) *dissecttest.Result {
		t.Helper()
		r := dissecttest.Play(dissect.Config{}, c.Segments(handshake))
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			t.Fatalf("%s: %v in\n%s", how, hits, r.Text())
		}
		if len(r.Panics) > 0 {
			t.Fatalf("%s: %v", how, r.Panics)
		}
		return r
	}
	c := canaries()
	var all strings.Builder
	for _, x := range c {
		all.Write(x.Data)
	}
	if len(s.Search([]byte(all.String()))) < 20 {
		t.Fatal("the secrets are not in the conversation")
	}
	r := check("whole", c, true)
	if n := len(r.Of("http", "request")); n != 3 || r.Of("http", "request")[0].Attributes.Get("user_agent") != "Client/1.0" {
		t.Fatalf("%d requests are seen:\n%s", n, r.Text())
	}
	sizes := c.Sizes()
	dissecttest.Planted(t, "http", secrets, c.Segments(true), c.Cut(100, 700).Segments(false))
	rnd := rand.New(rand.NewPCG(1, 7))
	for i := 0; i < sizes[0]+sizes[1]; i += 1 + rnd.IntN(3) {
		cut := c.Cut(i, i+1+rnd.IntN(100))
		check(fmt.Sprint("cut at ", i), cut, true)
		check(fmt.Sprint("cut, midstream, at ", i), cut, false)
		list := cut.Segments(true)
		j := 2 + rnd.IntN(len(list)-4)
		r := dissecttest.Play(dissect.Config{}, slices.Delete(list, j, j+1))
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			t.Fatalf("cut at %d without segment %d: %v in\n%s", i, j, hits, r.Text())
		}
	}
}
