// Package quota bounds what repositories may hold: bytes of the repositories below a prefix, and how many repositories a store has. Any number of replicas keep
// the bound together, without a write for each push: docs/adr/0010-quotas.md has the reasons, docs/quotas.md what an operator sees.
//
// What a repository holds changes only by writes that go through package format, which tells a Book (it is a format.Scales). A Book keeps, for its
// replica, what was added and removed, and a claim: up to where the replica may add without asking. A claim is raised by writing it first, and reading
// those of all others then; so of two replicas that claim the last room one sees the other, and the sum of all claims never passes a limit. Recount counts
// what is there, and makes up for everything that a ledger cannot know.
//
// Start with book.go.
package quota
