// Package store looks at the bucket itself when a history has ended: every object in it is one that the storage format
// knows (docs/storage-format.md), each distinct blob's bytes are there once, whatever repositories have it and whoever pushed
// it, records name what is there, and nothing is there that no record names, but for what the protocol leaves to the collector.
//
// It reads the format by itself, so that a mistake in the registry's own reader is no mistake here.
//
// Start with Read and Check.
package store
