package shared

import (
	"context"
	"io"

	"holdfast/internal/data"
)

// Object tells one stored object from another.
type Object struct {
	Version string
	Size    int64
}

// Source is where the bytes are. Safe for concurrent use.
type Source interface {
	// OpenRange reads length bytes of a segment from offset; fewer, when the object ends before. The body resumes by itself where a connection breaks, and
	// never gives bytes of two objects. want, where it is not the zero Object, is the only object that may be read. The caller closes the body, the context
	// rules it. Errors: data.ErrNotFound.
	OpenRange(ctx context.Context, id data.ID, offset, length int64, want Object) (Body, error)
}

// Body is a range of an object. Its end is io.EOF, or io.ErrUnexpectedEOF when the object has less than was asked for.
type Body interface {
	io.ReadCloser
	Object() Object
}

// Memory lends memory, and never waits. Safe for concurrent use. It may call Reads.Reclaim, but not from within Lend and Return.
type Memory interface {
	// Lend returns at least bytes, in pieces of one size, or nil. It leaves keep bytes of what it has for this.
	Lend(bytes, keep int64) [][]byte
	// Return takes back what Lend gave.
	Return(pieces [][]byte)
	// Lendable is how many bytes it lends at most.
	Lendable() int64
}
