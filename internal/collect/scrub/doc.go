// Package scrub reads what is stored, slowly, and finds what is not what it was: segments whose bytes are not their digest's, are
// short, or are missing though a record names them, and manifests whose bytes have changed. A damaged blob is marked corrupt
// (registry.Local.MarkCorrupt), so that nobody is told that it is there and the next push of it heals it. Whatever else is damaged is
// reported and left as it is. Each damaged digest is one line in the log, with the repositories and tags that need it.
//
// A round goes through all records in the order of their keys, beside pushes, deletes and collection. Replicas share it by a lease, one
// at a time, and whoever comes next goes on where the last one was. Two at once do the same work twice and no harm: all that is ever
// written is a swap to corrupt of a record that names the segments that were read. A store that does not answer is an error, and never
// damage.
//
// Start with Run, which makes one round, and Serve, which makes one after the other.
package scrub
