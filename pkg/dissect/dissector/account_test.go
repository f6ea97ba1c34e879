package dissector

import (
	"strings"
	"testing"
)

func TestAccount(t *testing.T) {
	for name, want := range map[string]string{
		"": "empty", " ": "empty", "Root": "administrator", "ADMINISTRATOR": "administrator", "anonymous": "anonymous", "ftp": "anonymous", "guest": "guest",
		"pi": "default", "jdoe": "other", "root2": "other", strings.Repeat("a", 300): "other", "\x00": "other",
	} {
		if got := Account([]byte(name)); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	for name := range accounts {
		if len(name) > maxAccount {
			t.Errorf("%s is longer than what is looked at", name)
		}
	}
}
