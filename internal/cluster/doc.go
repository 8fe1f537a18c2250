// Package cluster is what the processes over one store tell each other: that they are there, how they are, and what they know of the storage
// format. Each writes a heartbeat; whoever looks sees all of them, with what the store itself tells of its format, self-test, collector and scrub. Nothing that is
// served depends on who sees whom: there is no leader and no membership to agree on. One thing rests on heartbeats: a feature of the format is enabled only when
// every process that may write knows it. Why that holds is in gate.go.
//
// Start with member.go for what is written, with view.go for what is shown, with enable.go for features.
package cluster
