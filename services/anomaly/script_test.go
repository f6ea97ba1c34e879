package anomaly

import (
	"flag"
	"testing"

	"github.com/wardflow/wardflow/pkg/script"
	"github.com/wardflow/wardflow/pkg/stream"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/scripts")

func TestScripts(t *testing.T) {
	script.RunFolder(t, "testdata/scripts", *update, func() []stream.Fold { return []stream.Fold{New(Config{})} })
}
