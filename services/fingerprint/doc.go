// Package fingerprint says what every endpoint and device is. It holds three
// folds, and the reference data that they embed (signatures/):
//
//   - endpoint reads wardflow.traffic on each endpoint's own lane and keeps what
//     the wire said about it: addresses in epochs, evidence, roles, and the hourly
//     rollups of its traffic. It draws no conclusion.
//   - identity reads what endpoints claim to be known by, and decides which of them are
//     one device (same*.go).
//   - device reads the summaries, re-keyed by group, and makes devices of them:
//     evidence becomes votes by the signatures, votes become facts by Fuse.
//
// # How votes become a fact
//
// A vote is (value, weight 0..1, protocol). Within one protocol the strongest
// vote for a value counts: saying it often is no new reason. Over independent
// protocols the weights of one value are combined by the noisy-or
//
//	s(v) = 1 - prod over protocols of (1 - w)
//
// (J. Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, 4.3.2), and
// values that exclude each other by Dempster's rule for simple support functions
// (G. Shafer, A Mathematical Theory of Evidence, 1976, chapter 4):
//
//	confidence(v) = s(v) * prod over u != v of (1 - s(u)) / K
//	K = sum over v of s(v) * prod over u != v of (1 - s(u)), plus prod over all u of (1 - s(u))
//
// so that agreement raises confidence, contradiction lowers it, and one reason
// alone is believed exactly as much as it weighs. A value under MinConfidence is
// not told: null is better than a guess. The weights are in the signature files.
//
// No I/O, no wall time and no decision about risk belong here. It may be changed
// with its signatures; the attribute names that it reads are the dissectors', the
// names that it writes those of the proto package.
package fingerprint
