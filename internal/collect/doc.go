// Package collect frees what nobody needs any more, while everybody pushes: manifests that no tag names, links that no manifest refers to,
// blobs without a link, uploads that nobody goes on with, and bytes that no record names (PROTOCOL, "Collecting").
//
// Each step is the mirror image of a push: condemn by compare-and-swap, raise the repository's fence, look again, then kill or restore. No
// clock decides whether something dies; ages, by the store's clock, only say what to look at. So any number of collectors may run at once,
// and each may die after any line: what one left condemned the next one decides.
//
// Start with pass.go, then repository.go and digest.go, which are the protocol. What is not here: which tags are kept (retain), who does
// the work (lease), and the check of the bytes (scrub).
package collect
