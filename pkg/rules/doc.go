// Package rules has the tests that hold the whole repository to its own rules:
// who may import what, one package comment a folder, file sizes, what must not
// stand in any file, the lockfile, and the licences of what is linked.
//
// Here live only rules that a reader cannot see from one package alone and that
// no linter knows; each is a function over a file tree, so that a small invented
// tree shows that it can fail. Style within a file is golangci-lint's. A failure
// says why the rule exists: change the code, or the design and then the rule;
// there is no list of exceptions.
package rules
