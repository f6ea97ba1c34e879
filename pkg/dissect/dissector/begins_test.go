package dissector_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

func TestBegins(t *testing.T) {
	for text, want := range map[string]dissector.Verdict{"": dissector.More, "GE": dissector.More, "GET / ": dissector.Yes, "PUT": dissector.More, "PUT ": dissector.Yes, "POST": dissector.No} {
		if got := dissector.Begins([]byte(text), "GET ", "PUT "); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got := dissector.Begins([]byte("x")); got != dissector.No {
		t.Errorf("of none: %v", got)
	}
}
