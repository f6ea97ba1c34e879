package app

import "context"

// Func makes a unit of a function.
func Func(name string, run func(ctx context.Context) error) Unit { return fn{name, run} }

type fn struct {
	name string
	run  func(ctx context.Context) error
}

// Name is the name that Func got.
func (f fn) Name() string { return f.name }

// Run calls the function.
func (f fn) Run(ctx context.Context) error { return f.run(ctx) }
