package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/data"
	"holdfast/internal/data/shared"
)

var (
	_ data.KeptReader    = (*warmReader)(nil)
	_ data.KeepingReader = (*warmingReader)(nil)
)

// openWhole opens a range of up to 8 MiB: from memory, without a request, or from the store. A whole segment that comes from the store is copied on its way.
func (c *ClientStore) openWhole(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	key, budget := warmKey{c.Store, id}, c.budget
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if w := budget.findWarm(key); w != nil && offset >= 0 && length != 0 && offset <= w.size && length <= w.size-offset {
		if length < 0 {
			length = w.size - offset
		}
		c.warm.Hits.Add(1)
		return &warmReader{ctx: ctx, store: c, warm: w, offset: offset, rest: length}, nil
	}
	var w *warmSegment
	if offset == 0 {
		w = budget.beginWarm(key, length)
	}
	r, err := c.open(ctx, id, offset, length)
	if err == nil && r.Size() <= budget.warmest() {
		c.warm.Misses.Add(1)
	}
	switch {
	case w == nil && err != nil:
		return nil, err
	case w == nil:
		return r, nil
	case err != nil || r.Size() != length:
		budget.unlessKept(w)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	return &warmingReader{reader: r, warm: w}, nil
}

// warmReader reads a range of a segment that is in memory, and what is left of it from the store when it was taken away. Not safe for concurrent use.
type warmReader struct {
	ctx    context.Context //nolint:containedctx // Open's, which rules the reader
	store  *ClientStore
	warm   *warmSegment
	offset int64
	rest   int64
	cold   shared.Body // nil: it reads memory
	stored bool        // it has read the store, or tried to
	err    error       // the end, for good
}

// Read implements io.Reader.
func (r *warmReader) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	n, err := r.read(p[:min(int64(len(p)), r.rest)])
	r.offset += int64(n)
	r.rest -= int64(n)
	if err != nil {
		r.err = err
		if !errors.Is(err, io.EOF) {
			r.err = fmt.Errorf("s3: read segment %s: %w", r.warm.key.id, err)
		}
	}
	return n, r.err
}

func (r *warmReader) read(p []byte) (int, error) {
	if r.rest == 0 {
		return 0, io.EOF
	}
	if r.cold == nil {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if n := r.warm.read(p, r.offset); n > 0 {
			return n, nil
		}
		r.stored = true
		var err error
		if r.cold, err = (source{r.store.Store}).OpenRange(r.ctx, r.warm.key.id, r.offset, r.rest, r.warm.object); err != nil {
			return 0, err
		}
	}
	return r.cold.Read(p)
}

// Distrust implements data.CopyReader.
func (r *warmReader) Distrust() { r.store.budget.forgetWarm(r.warm.key) }

// Proof implements data.KeptReader.
func (r *warmReader) Proof() string {
	if r.stored {
		return ""
	}
	return r.warm.proof
}

// Size is the segment's size in bytes.
func (r *warmReader) Size() int64 { return r.warm.size }

// Close implements io.Closer.
func (r *warmReader) Close() error {
	if r.err == nil {
		r.err = errEnded
	}
	if r.cold == nil {
		return nil
	}
	err := r.cold.Close()
	r.cold = nil
	return err
}

// warmingReader copies a segment into memory while its client reads it. Not safe for concurrent use.
type warmingReader struct {
	*reader
	warm *warmSegment // nil when it is gone
}

// Read implements io.Reader.
func (r *warmingReader) Read(p []byte) (int, error) {
	n, err := r.reader.Read(p)
	if r.warm != nil && !r.store.budget.addWarm(r.warm, p[:n]) {
		r.warm = nil
	}
	return n, err
}

// Keep implements data.KeepingReader.
func (r *warmingReader) Keep(proof string) {
	if r.warm != nil {
		r.store.budget.keep(r.warm, r.Object(), proof)
	}
}

// Close implements io.Closer.
func (r *warmingReader) Close() error {
	if r.warm != nil {
		r.store.budget.unlessKept(r.warm)
		r.warm = nil
	}
	return r.reader.Close()
}
