package registry

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// The units in which bodies are read, hashed and stored. A body has a large one only while it comes in pieces of fastRead and more,
// so that thousands of slow clients do not hold as many of them while they are waited for.
const (
	copyBufferBytes  = 256 << 10
	smallBufferBytes = 32 << 10
	fastRead         = 8 << 10
)

var (
	copyBuffers  = sync.Pool{New: func() any { b := make([]byte, copyBufferBytes); return &b }}
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBufferBytes); return &b }}
)

// segmentWriter stores a stream in new segments. Nobody knows their ids before the caller names them in
// a record; until then discard drops them.
type segmentWriter struct {
	store    data.Store
	current  data.Writer
	id       data.ID
	segments []segment
}

// fill reads body to its end into segments, through h. It returns the bytes read. limit is what the body
// may hold, -1 without limit. Errors: *BodyError; SIZE_INVALID (TooLarge) over the limit.
func (w *segmentWriter) fill(ctx context.Context, body io.Reader, h hash.Hash, limit int64) (int64, error) {
	pool := &smallBuffers
	buf := pool.Get().(*[]byte)
	defer func() { pool.Put(buf) }()
	var total int64
	for {
		n, reads, readErr := readUp(body, *buf)
		total += int64(n)
		if limit >= 0 && total > limit {
			return total, errTooLarge(limit)
		}
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return total, &BodyError{readErr} // before the store is asked, for which there may be no context any more
		}
		h.Write((*buf)[:n])
		if err := w.write(ctx, (*buf)[:n]); err != nil {
			return total, err
		}
		if readErr != nil {
			return total, nil
		}
		next := &smallBuffers
		if n >= reads*fastRead {
			next = &copyBuffers
		}
		if next != pool {
			pool.Put(buf)
			pool, buf = next, next.Get().(*[]byte)
		}
	}
}

// readUp fills p by so many reads, and returns the body's own error when it stops earlier: io.EOF only at its end.
func readUp(body io.Reader, p []byte) (n, reads int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = body.Read(p[n:])
		n, reads = n+m, reads+1
	}
	return n, reads, err
}

func errTooLarge(limit int64) error {
	return oci.Errorf(oci.SizeInvalid, "a blob has at most %d bytes here", limit).With(oci.TooLarge)
}

func (w *segmentWriter) write(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		if w.current == nil {
			id := data.ID(format.RandomID())
			current, err := w.store.Create(ctx, id)
			if err != nil {
				return fmt.Errorf("registry: store a segment: %w", err)
			}
			w.current, w.id = current, id
		}
		n, err := w.current.Write(p)
		p = p[n:]
		if errors.Is(err, data.ErrFull) {
			err = w.finish(ctx)
		}
		if err != nil {
			return fmt.Errorf("registry: store a segment: %w", err)
		}
	}
	return nil
}

// finish makes what was written durable.
func (w *segmentWriter) finish(ctx context.Context) error {
	if w.current == nil {
		return nil
	}
	current := w.current
	size, err := current.Commit(ctx)
	if err != nil {
		return fmt.Errorf("registry: store a segment: %w", err)
	}
	w.current = nil
	if size > 0 {
		w.segments = append(w.segments, segment{ID: w.id, Size: size})
	}
	return nil
}

// discard drops everything: only for segments that no write, not even one whose answer was lost, named.
// It is best effort: what stays is unnamed, and the collector's.
func (w *segmentWriter) discard(ctx context.Context) {
	if w.current != nil {
		w.current.Abort()
		w.current = nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, s := range w.segments {
		_ = w.store.Delete(ctx, s.ID) // unnamed: the collector finds it
	}
	w.segments = nil
}

// segmentReader reads a range of a blob from its segments, one after the other.
type segmentReader struct {
	ctx     context.Context //nolint:containedctx // a reader's context rules it until Close, as the contract of data.Store says
	store   data.Store
	rest    []segment
	offset  int64 // within the first of rest
	length  int64 // still to read
	current io.ReadCloser
	copies  []data.CopyReader // those of the readers so far that read copies
}

// openSegments begins to read length bytes from offset. The first segment is opened at once, so that a
// missing one is an error here. Errors: data.ErrNotFound.
func openSegments(ctx context.Context, store data.Store, segments []segment, offset, length int64) (*segmentReader, error) {
	for len(segments) > 0 && offset >= segments[0].Size {
		offset -= segments[0].Size
		segments = segments[1:]
	}
	r := &segmentReader{ctx: ctx, store: store, rest: segments, offset: offset, length: length}
	if length == 0 {
		return r, nil
	}
	return r, r.next()
}

func (r *segmentReader) next() error {
	if len(r.rest) == 0 {
		return io.ErrUnexpectedEOF
	}
	s := r.rest[0]
	n := min(s.Size-r.offset, r.length)
	current, err := r.store.Open(r.ctx, s.ID, r.offset, n)
	if err != nil {
		return fmt.Errorf("registry: read a segment: %w", err)
	}
	r.current, r.rest, r.offset = current, r.rest[1:], 0
	if c, ok := current.(data.CopyReader); ok {
		r.copies = append(r.copies, c)
	}
	return nil
}

// distrust drops the copies that were read, and reports whether there were any: what is wrong may be theirs, and says nothing of the store.
func (r *segmentReader) distrust() bool {
	for _, c := range r.copies {
		c.Distrust()
	}
	return len(r.copies) > 0
}

// Read implements io.Reader. A store that has fewer bytes than the blob gives io.ErrUnexpectedEOF.
func (r *segmentReader) Read(p []byte) (int, error) {
	for {
		if r.length == 0 {
			return 0, io.EOF
		}
		if r.current == nil {
			if err := r.next(); err != nil {
				return 0, err
			}
		}
		n, err := r.current.Read(p[:min(int64(len(p)), r.length)])
		r.length -= int64(n)
		if errors.Is(err, io.EOF) {
			err = r.current.Close()
			r.current = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close ends the reading.
func (r *segmentReader) Close() error {
	if r.current == nil {
		return nil
	}
	err := r.current.Close()
	r.current = nil
	return err
}

// CopySegments writes the bytes of a blob, which are in segments, into as few new ones as can be, and returns them. They are hashed on the
// way: nothing is left when they are not the digest's. Nothing names the new ones yet. Errors: data.ErrNotFound; UNAVAILABLE for damaged bytes.
func (l *Local) CopySegments(ctx context.Context, d oci.Digest, segments []format.Segment, size int64) ([]format.Segment, error) {
	r, err := openSegments(ctx, l.data, segments, 0, size)
	if err != nil {
		return nil, err
	}
	h, w := d.Algorithm().Hash(), &segmentWriter{store: l.data}
	_, err = w.fill(ctx, r, h, size)
	var unread *BodyError
	if errors.As(err, &unread) {
		err = unread.Err // what we read is no client's
	}
	if err = errors.Join(err, r.Close()); err == nil {
		if err = w.finish(ctx); err == nil && digest.NewDigest(d.Algorithm(), h) != d {
			err = fmt.Errorf("registry: copy %s: %w", d, errDamaged(d))
		}
	}
	if err != nil {
		w.discard(ctx)
		return nil, err
	}
	return w.segments, nil
}
