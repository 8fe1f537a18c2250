package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"holdfast/internal/data"
)

// segments is the data store as one incarnation of a replica sees it. Bytes on their way are no
// operations: what becomes visible is.
type segments struct{ in *incarnation }

var _ data.Store = segments{}

// Create implements data.Store.
func (s segments) Create(ctx context.Context, id data.ID) (data.Writer, error) {
	w, err := s.in.world.segments.Create(context.WithoutCancel(ctx), id)
	if err != nil {
		return nil, err
	}
	return &writer{Writer: w, in: s.in, id: id}, nil
}

// Open implements data.Store.
func (s segments) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	w := s.in.world
	v, err := w.submit(ctx, s.in, &op{verb: verbOpen, key: string(id), length: length, do: func() (any, error) {
		return w.openSegment(id, offset, length)
	}})
	if err != nil {
		return nil, err
	}
	return v.(io.ReadCloser), nil
}

// Stat implements data.Store.
func (s segments) Stat(ctx context.Context, id data.ID) (int64, error) {
	w := s.in.world
	v, err := w.submit(ctx, s.in, &op{verb: verbStat, key: string(id), do: func() (any, error) {
		return w.segments.Stat(w.ctx, id)
	}})
	if err != nil {
		return 0, err
	}
	return v.(int64), nil
}

// Delete implements data.Store.
func (s segments) Delete(ctx context.Context, id data.ID) error {
	w := s.in.world
	_, err := w.submit(ctx, s.in, &op{verb: verbDrop, key: string(id), do: func() (any, error) {
		if err := w.segments.Delete(w.ctx, id); err != nil {
			return nil, err
		}
		w.mirror.drop(id)
		return nil, nil
	}})
	return err
}

// PresignedURL implements data.Store: there is none.
func (s segments) PresignedURL(_ context.Context, id data.ID, _ time.Duration) (string, error) {
	return "", fmt.Errorf("simulate: URL of %s: %w", id, data.ErrNoURL)
}

// List implements data.Store. Only a collector lists segments: at one instant.
func (s segments) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return s.in.world.segments.List(ctx, after)
}

// Sweep implements data.Store. What was begun and never committed lives in no store here.
func (s segments) Sweep(ctx context.Context, before time.Time) (int, error) {
	return s.in.world.segments.Sweep(ctx, before)
}

// writer is a data.Writer whose commit the scheduler decides.
type writer struct {
	data.Writer
	in   *incarnation
	id   data.ID
	sent bool
}

// Commit implements data.Writer.
func (c *writer) Commit(ctx context.Context) (int64, error) {
	w := c.in.world
	c.sent = true
	v, err := w.submit(ctx, c.in, &op{verb: verbCommit, key: string(c.id), do: func() (any, error) {
		size, err := c.Writer.Commit(w.ctx)
		if err == nil {
			w.mirror.commit(c.id, size)
		}
		return size, err
	}})
	if err != nil {
		return 0, err
	}
	return v.(int64), nil
}

// Abort implements data.Writer. What was sent may still become visible.
func (c *writer) Abort() {
	if !c.sent {
		c.Writer.Abort()
	}
}

// broken is a reader that gives half of its bytes, then fails for want of the store.
type broken struct {
	io.ReadCloser
	rest int64
}

func (b *broken) Read(p []byte) (int, error) {
	if b.rest <= 0 {
		return 0, errors.Join(io.ErrUnexpectedEOF, data.ErrUnavailable)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.rest)])
	b.rest -= int64(n)
	return n, err
}

// breakReader lets the reader of an answer break in its middle.
func breakReader(a answer, length int64) answer {
	if r, ok := a.value.(io.ReadCloser); ok && a.err == nil {
		a.value = &broken{r, length / 2}
	}
	return a
}
