package behaviour

import (
	_ "embed"
	"sync"
)

// modelFile is made by `go tool task behaviour`; what it was made of is in it.
//
//go:embed model.bin
var modelFile []byte

// Embedded is the model that comes with the program.
var Embedded = sync.OnceValue(func() *Model {
	m, err := Decode(modelFile)
	if err != nil {
		panic(err) // it is part of the program; a test reads it
	}
	return m
})
