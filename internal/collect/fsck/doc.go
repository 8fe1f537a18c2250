// Package fsck checks every invariant of the storage format (docs/storage-format.md) on the two stores, while replicas write or when
// none does, and says of each violation what it means and what to do. It mends what can be mended without guessing, and deletes nothing.
// It is not for the bytes of blobs: whether they are their digest's is the scrub's to find out.
//
// A check is a function over a view (view.go) that reads what it needs. It is first made on values that were read in bulk. What it
// finds there is only a suspicion: it is made again on fresh reads, in which no key changed from the first to the last, so that
// all of them were there at one moment; and once more after a pause. Only what all three find is reported.
// What a request that is still under way may have caused, because a key was written less than the age Request ago, is no finding,
// unless nobody else writes (Config.Offline).
//
// Start with fsck.go, then kinds.go, the list of all findings.
package fsck
