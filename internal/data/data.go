package data

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// ID names a segment: 32 lower-case hex digits, random, used once and never again.
type ID string

// Entry is what a list tells of a committed segment.
type Entry struct {
	ID       ID
	Size     int64
	Modified time.Time
}

var (
	// ErrNotFound is a completed answer of the store: there is no such segment.
	ErrNotFound = errors.New("segment not found")
	// ErrUnavailable means that the store did not answer, or not in time, or that it refused to:
	// nothing is known about the segment.
	ErrUnavailable = errors.New("store unavailable")
	// ErrNoURL means that the store gives no URL for a client to read from.
	ErrNoURL = errors.New("store gives no URLs")
	// ErrFull means that a segment took all that the store lets one segment hold; what was
	// written before is intact, the caller commits it and goes on in another segment.
	ErrFull = errors.New("segment is full")
)

// Store keeps the bytes of blobs as immutable segments. Safe for concurrent use, by any number of
// processes where the driver says so. A committed segment never changes, and its id is never used
// again.
type Store interface {
	// Create begins a segment. Nothing is visible before Commit. The context rules the writer too.
	Create(ctx context.Context, id ID) (Writer, error)

	// Open reads length bytes of a segment from offset; length -1 means to its end. The range must
	// lie within the segment. The reader returns io.ErrUnexpectedEOF, never a clean end, when the
	// store has fewer bytes than the caller asked for, and resumes by itself where a connection
	// breaks. The caller closes it; the context rules it. Errors: ErrNotFound.
	Open(ctx context.Context, id ID, offset, length int64) (io.ReadCloser, error)

	// Stat returns the size of a committed segment. Errors: ErrNotFound.
	Stat(ctx context.Context, id ID) (int64, error)

	// Delete removes a segment. One that is not there is no error. When it returns nil, no Open
	// that begins later finds it.
	Delete(ctx context.Context, id ID) error

	// PresignedURL returns a URL under which a client without credentials can GET the segment until
	// ttl has passed, answered as application/octet-stream. It makes no request. Errors: ErrNoURL.
	PresignedURL(ctx context.Context, id ID, ttl time.Duration) (string, error)

	// List yields the committed segments with an id greater than after, in byte order: for the
	// collector, never on a request's path. It stops at the first error, which it yields.
	List(ctx context.Context, after ID) iter.Seq2[Entry, error]
	// Sweep removes what was begun before the given time, by the store's clock, and neither committed nor aborted: what
	// processes left that died. It reports how many segments' beginnings it removed, also beside an error, at which it stops. It never
	// touches a committed segment. A writer that still lives fails, and nothing of it becomes visible: the caller gives a time
	// before which none of them began. For the collector, never on a request's path; any number may do it at once.
	Sweep(ctx context.Context, before time.Time) (removed int, err error)
}

// Writer takes the bytes of one segment. Not safe for concurrent use. Exactly one of Commit and Abort
// ends it; either may be called after an error, and Abort after Commit does nothing.
type Writer interface {
	// Write adds bytes. It keeps no reference to p. ErrFull: p[:n] is taken, the rest belongs into
	// another segment.
	io.Writer

	// Commit makes the segment durable and visible and reports its size. Nothing is visible after
	// an error, or it may become visible later, when the answer was lost: the id is spent either way.
	Commit(ctx context.Context) (size int64, err error)

	// Abort drops what was written. It is best effort and bounded in time: what stays is invisible and
	// the collector's. It may be called with the writer's context cancelled.
	Abort()
}
