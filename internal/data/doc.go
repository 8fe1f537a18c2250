// Package data is the contract for the bytes of blobs: immutable segments under random ids, written as
// a stream, visible when committed. It knows nothing of digests, repositories or uploads. Drivers are
// file (one machine), s3 (a cluster) and mem (tests); datatest is the suite that each of them passes.
// Start with Store.
package data
