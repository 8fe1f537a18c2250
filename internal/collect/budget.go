package collect

import (
	"context"
	"io"
	"iter"
	"time"

	"golang.org/x/time/rate"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// Budget bounds the requests that a collector makes to a store in a second, so that those of clients come first. A list counts as one
// request for each page of a thousand entries. nil is no bound.
type Budget struct{ limit *rate.Limiter }

// NewBudget allows so many requests in a second, and as many at once; nil for 0.
func NewBudget(perSecond int) *Budget {
	if perSecond <= 0 {
		return nil
	}
	return &Budget{rate.NewLimiter(rate.Limit(perSecond), max(perSecond/10, 1))}
}

// Records bounds the requests to a record store.
func (b *Budget) Records(s record.Store) record.Store {
	if b == nil {
		return s
	}
	return slowRecords{s, b}
}

// Segments bounds the requests to a data store. The bytes of segments count as one request for each that is opened.
func (b *Budget) Segments(s data.Store) data.Store {
	if b == nil {
		return s
	}
	return slowSegments{s, b}
}

const listPage = 1000

type slowRecords struct {
	record.Store
	b *Budget
}

func (s slowRecords) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if err := s.b.limit.Wait(ctx); err != nil {
		return record.Record{}, err
	}
	return s.Store.Get(ctx, key)
}

func (s slowRecords) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if err := s.b.limit.Wait(ctx); err != nil {
		return record.Stamp{}, err
	}
	return s.Store.Put(ctx, key, value, cond)
}

func (s slowRecords) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if err := s.b.limit.Wait(ctx); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key, cond)
}

func (s slowRecords) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return slowList(ctx, s.b, s.Store.List(ctx, prefix, after))
}

func slowList[E any](ctx context.Context, b *Budget, list iter.Seq2[E, error]) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		n := 0
		var none E
		if err := b.limit.Wait(ctx); err != nil {
			yield(none, err)
			return
		}
		for entry, err := range list {
			if n++; err == nil && n%listPage == 0 {
				if err := b.limit.Wait(ctx); err != nil {
					yield(none, err)
					return
				}
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}

type slowSegments struct {
	data.Store
	b *Budget
}

func (s slowSegments) Create(ctx context.Context, id data.ID) (data.Writer, error) {
	if err := s.b.limit.Wait(ctx); err != nil {
		return nil, err
	}
	return s.Store.Create(ctx, id)
}

func (s slowSegments) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	if err := s.b.limit.Wait(ctx); err != nil {
		return nil, err
	}
	return s.Store.Open(ctx, id, offset, length)
}

func (s slowSegments) Stat(ctx context.Context, id data.ID) (int64, error) {
	if err := s.b.limit.Wait(ctx); err != nil {
		return 0, err
	}
	return s.Store.Stat(ctx, id)
}

func (s slowSegments) Delete(ctx context.Context, id data.ID) error {
	if err := s.b.limit.Wait(ctx); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id)
}

func (s slowSegments) Sweep(ctx context.Context, before time.Time) (int, error) {
	if err := s.b.limit.Wait(ctx); err != nil {
		return 0, err
	}
	return s.Store.Sweep(ctx, before)
}

func (s slowSegments) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return slowList(ctx, s.b, s.Store.List(ctx, after))
}
