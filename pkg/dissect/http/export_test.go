package http

import "github.com/wardflow/wardflow/pkg/dissect/httpbody"

// SetKinds puts other kinds of bodies in place of the list, until it is undone.
func SetKinds(list ...*httpbody.Kind) (undo func()) {
	old := kinds
	kinds = list
	return func() { kinds = old }
}
