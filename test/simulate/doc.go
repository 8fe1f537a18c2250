// Package simulate runs the real registry code, several replicas of it, over one pair of mem stores in
// which a scheduler decides, one store operation at a time, what happens next: which replica's operation
// goes on, which answer is lost, which write lands late or twice, which replica dies before or after a write.
// After every step it checks invariants on the stored values (I2 and I3 of the protocol, and that what names a
// segment is what may: ADR 5), after every
// schedule the contract: histories are linearizable per tag, manifest and blob, and per tag and manifest, nothing acknowledged is
// lost, no 404 is false, no byte is wrong, and what failed can be done again.
//
// Small scenarios are explored exhaustively up to a Bound (Explore), beyond it by seeds (Walk); every operation by
// itself meets every fault at every store operation of it (Enumerate). A schedule
// that breaks something is shortened and printed as lines that say who did what to which key.
//
// It is no test of drivers and knows no HTTP. Begin with scenario.go, then scheduler.go.
package simulate
