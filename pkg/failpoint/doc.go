// Package failpoint lets a test end the process, or make a call fail, at a named
// place of a commit protocol. It does nothing, and costs nothing, unless the
// binary is built with the tag failpoints.
//
// The places are named service.step.moment, and set by the environment variable
// WARDFLOW_FAILPOINTS, for example "sink.insert.after=kill@3;sink.commit.before=error@1":
// end the process as kill -9 would at the third passage, fail the first.
package failpoint
