package data

import "io"

// FileReader is what a reader of Open may be besides, where the bytes are in a file of this machine: they can leave without being copied through the
// process.
type FileReader interface {
	io.ReadCloser
	// WriteTo gives dst what is left of the range, by dst's ReadFrom where it has one, which then sees an *io.LimitedReader of an *os.File: over a
	// plain TCP connection that is sendfile(2). Errors: dst's as they are; io.ErrUnexpectedEOF when the file was cut short.
	io.WriterTo
	// Fingerprint tells whether the file was changed: while it is what it was before, and not "", so is the content. "" is a file of which that
	// cannot be said, or not yet.
	Fingerprint() string
}

// CopyReader is what a reader of Open may be besides, where the bytes are a copy's, which is not the store's word: a copy that is found wrong says nothing
// about the segment.
type CopyReader interface {
	io.ReadCloser
	// Distrust drops the copy, for its bytes are not what they should be. The segment is read from the store from now on.
	Distrust()
}

// KeepingReader is what a reader of Open may be besides, where what was read of a whole segment can be kept in memory for those who read it next.
type KeepingReader interface {
	io.ReadCloser
	// Keep says that all of the segment was read of this reader, and that its bytes are what they should be: those of proof, which is not "". What is
	// not kept at Close is dropped.
	Keep(proof string)
}

// KeptReader is what a reader of Open may be besides, where it reads what was kept.
type KeptReader interface {
	CopyReader
	// Proof is what Keep was told of the segment, for as long as all bytes that the reader has given were kept ones; "" once they are not, for the
	// memory was needed and it has read on in the store.
	Proof() string
}
