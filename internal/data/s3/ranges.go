package s3

import (
	"context"
	"fmt"
	"io"

	"holdfast/internal/data"
	"holdfast/internal/data/shared"
)

// wholeBytes is what is read with one request, by its reader alone.
const wholeBytes = shared.ChunkBytes

// Clients returns the store for those who send its bytes to clients. A read of more than 8 MiB, whose length is given, is made in chunks: several at once
// ahead of a client that keeps up, and once for all who read the segment at the same time, in memory of the budget and without ever waiting for it. A smaller segment
// that was read whole, and of which its reader has said that it is right (data.KeepingReader), is read from memory while nobody needs that. Who wants to know what is
// stored now (scrub, fsck) reads the store itself.
func (s *Store) Clients() *ClientStore {
	c := &ClientStore{Store: s, reads: shared.New(source{s}, s.budget)}
	s.forget(c.reads.Forget)
	s.forget(func(id data.ID) { s.budget.forgetWarm(warmKey{s, id}) })
	s.budget.lendTo(c.reads.Reclaim)
	return c
}

// ClientStore is a Store that shares what it reads.
type ClientStore struct {
	*Store
	reads *shared.Reads
	warm  WarmCounts
}

var _ data.Store = (*ClientStore)(nil)

// Open implements data.Store.
func (c *ClientStore) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	if length <= wholeBytes || offset < 0 {
		r, err := c.openWhole(ctx, id, offset, length)
		if err != nil {
			return nil, fmt.Errorf("s3: open segment %s: %w", id, err)
		}
		return r, nil
	}
	r, err := c.reads.Open(ctx, id, offset, length)
	if err != nil {
		return nil, fmt.Errorf("s3: open segment %s: %w", id, err)
	}
	return r, nil
}

// Reads is what was read so far, reads of up to 8 MiB not counted.
func (c *ClientStore) Reads() shared.Counts { return c.reads.Counts() }

// WarmReads counts the reads that memory served, and those that it could have.
func (c *ClientStore) WarmReads() *WarmCounts { return &c.warm }

// source is the store as package shared reads it.
type source struct{ *Store }

// OpenRange implements shared.Source.
func (s source) OpenRange(ctx context.Context, id data.ID, offset, length int64, want shared.Object) (shared.Body, error) {
	r, err := s.open(ctx, id, offset, length)
	if err != nil {
		return nil, err
	}
	if want != (shared.Object{}) && want != r.Object() {
		_ = r.Close() // of the other object
		return nil, fmt.Errorf("%w: it is not the object it was", data.ErrUnavailable)
	}
	return r, nil
}

// Object implements shared.Body.
func (r *reader) Object() shared.Object {
	return shared.Object{Version: r.object.Version, Size: r.object.Size}
}

// forget has somebody told of deleted segments.
func (s *Store) forget(tell func(data.ID)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted = append(s.deleted, tell)
}
