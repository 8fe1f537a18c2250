package recent

import (
	"context"
	"errors"
	"iter"
	"time"

	"holdfast/internal/record"
)

// Records returns a store that counts the answers of s in c. A list counts as one, from its begin to its first entry. A caller that left was not
// answered, and does not count.
func Records(s record.Store, c *Calls) record.Store { return &counted{s, c} }

type counted struct {
	record.Store
	calls *Calls
}

func (s *counted) note(ctx context.Context, began time.Time, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	s.calls.Answered(time.Since(began), err != nil && !isAnswer(err))
}

func isAnswer(err error) bool {
	return errors.Is(err, record.ErrNotFound) || errors.Is(err, record.ErrConflict) || errors.Is(err, record.ErrUnsupported)
}

// Get implements record.Store.
func (s *counted) Get(ctx context.Context, key record.Key) (record.Record, error) {
	began := time.Now()
	rec, err := s.Store.Get(ctx, key)
	s.note(ctx, began, err)
	return rec, err
}

// Put implements record.Store.
func (s *counted) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	began := time.Now()
	stamp, err := s.Store.Put(ctx, key, value, cond)
	s.note(ctx, began, err)
	return stamp, err
}

// Delete implements record.Store.
func (s *counted) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	began := time.Now()
	err := s.Store.Delete(ctx, key, cond)
	s.note(ctx, began, err)
	return err
}

// List implements record.Store.
func (s *counted) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		began, first := time.Now(), true
		for entry, err := range s.Store.List(ctx, prefix, after) {
			if first {
				s.note(ctx, began, err)
				first = false
			} else if err != nil {
				s.note(ctx, time.Now(), err)
			}
			if !yield(entry, err) {
				return
			}
		}
		if first {
			s.note(ctx, began, nil)
		}
	}
}
