// Package dissecttest runs captures and invented conversations through the
// dissectors, for the tests of pkg/dissect and of the packages below it.
//
// Here live a reader of shared captures, a flow table that is just good enough
// for tests, and the means to cut a TCP conversation into other segments. It
// judges nothing: what came out is compared by the tests.
package dissecttest
