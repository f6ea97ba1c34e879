package fingerprint

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/script"
	"github.com/wardflow/wardflow/pkg/stream"
)

func TestScripts(t *testing.T) {
	script.RunFolder(t, "testdata/scripts", *update, func() []stream.Fold { return Folds(Config{}) })
}
