package stores

import (
	"context"
	"io"
	"iter"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// Records returns a record store that tells of each operation of next, a store of some kind. Its promises are those of next.
func (o Observers) Records(kind string, next record.Store) record.Store {
	return &records{o, kind, next}
}

type records struct {
	observers Observers
	kind      string
	next      record.Store
}

func (r *records) begin(ctx context.Context, op string, key record.Key) (context.Context, func(error)) {
	ctx, end := r.observers.begin(ctx, Call{Store: r.kind, Operation: op, Key: KeyKind(string(key))})
	return ctx, func(err error) { end(Result{Outcome: outcomeLocal(err), Sent: 1}) }
}

// Get implements record.Store.
func (r *records) Get(ctx context.Context, key record.Key) (record.Record, error) {
	ctx, end := r.begin(ctx, "Get", key)
	rec, err := r.next.Get(ctx, key)
	end(err)
	return rec, err
}

// Put implements record.Store.
func (r *records) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	ctx, end := r.begin(ctx, "Put", key)
	stamp, err := r.next.Put(ctx, key, value, cond)
	end(err)
	return stamp, err
}

// Delete implements record.Store.
func (r *records) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	ctx, end := r.begin(ctx, "Delete", key)
	err := r.next.Delete(ctx, key, cond)
	end(err)
	return err
}

// List implements record.Store.
func (r *records) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		ctx, end := r.begin(ctx, "List", prefix)
		var failed error
		defer func() { end(failed) }()
		for entry, err := range r.next.List(ctx, prefix, after) {
			failed = err
			if !yield(entry, err) {
				return
			}
		}
	}
}

// Now implements record.Store.
func (r *records) Now() time.Time { return r.next.Now() }

// Segments returns a data store that tells of each operation of next, a store of some kind, as Records does.
func (o Observers) Segments(kind string, next data.Store) data.Store {
	return &segments{o, kind, next}
}

type segments struct {
	observers Observers
	kind      string
	next      data.Store
}

func (s *segments) begin(ctx context.Context, op string) (context.Context, func(error)) {
	ctx, end := s.observers.begin(ctx, Call{Store: s.kind, Operation: op, Key: SegmentKey})
	return ctx, func(err error) { end(Result{Outcome: outcomeLocal(err), Sent: 1}) }
}

// Create implements data.Store. What is told of is the writer's Commit.
func (s *segments) Create(ctx context.Context, id data.ID) (data.Writer, error) {
	w, err := s.next.Create(ctx, id)
	if err != nil {
		_, end := s.begin(ctx, "Create")
		end(err)
		return nil, err
	}
	return &writer{w, s}, nil
}

type writer struct {
	data.Writer
	of *segments
}

// Commit implements data.Writer.
func (w *writer) Commit(ctx context.Context) (int64, error) {
	ctx, end := w.of.begin(ctx, "Commit")
	size, err := w.Writer.Commit(ctx)
	end(err)
	return size, err
}

// Open implements data.Store.
func (s *segments) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	ctx, end := s.begin(ctx, "Open")
	body, err := s.next.Open(ctx, id, offset, length)
	end(err)
	return body, err
}

// Stat implements data.Store.
func (s *segments) Stat(ctx context.Context, id data.ID) (int64, error) {
	ctx, end := s.begin(ctx, "Stat")
	size, err := s.next.Stat(ctx, id)
	end(err)
	return size, err
}

// Delete implements data.Store.
func (s *segments) Delete(ctx context.Context, id data.ID) error {
	ctx, end := s.begin(ctx, "Delete")
	err := s.next.Delete(ctx, id)
	end(err)
	return err
}

// PresignedURL implements data.Store. It makes no request: nobody is told.
func (s *segments) PresignedURL(ctx context.Context, id data.ID, ttl time.Duration) (string, error) {
	return s.next.PresignedURL(ctx, id, ttl)
}

// List implements data.Store.
func (s *segments) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return func(yield func(data.Entry, error) bool) {
		ctx, end := s.begin(ctx, "List")
		var failed error
		defer func() { end(failed) }()
		for entry, err := range s.next.List(ctx, after) {
			failed = err
			if !yield(entry, err) {
				return
			}
		}
	}
}

// Sweep implements data.Store.
func (s *segments) Sweep(ctx context.Context, before time.Time) (int, error) {
	ctx, end := s.begin(ctx, "Sweep")
	removed, err := s.next.Sweep(ctx, before)
	end(err)
	return removed, err
}
