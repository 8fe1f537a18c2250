package mem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/data"
)

// Config is what a store is made from. The zero value is ready for use.
type Config struct {
	// Clock gives the time of a commit; nil means time.Now. It is read under the store's lock.
	Clock func() time.Time
	// MaxBytes is what one segment takes before Write answers data.ErrFull. Zero means no limit.
	MaxBytes int64
}

// Store is a data.Store in memory. It lives as long as the process; there is nothing to close.
type Store struct {
	clock    func() time.Time
	maxBytes int64

	mu       sync.Mutex
	segments map[data.ID]segment
	spent    map[data.ID]bool // every id that Create was given
}

type segment struct {
	content  []byte // never changed
	modified time.Time
}

var _ data.Store = (*Store)(nil)

// New returns an empty store.
func New(cfg Config) *Store {
	s := &Store{clock: cfg.Clock, maxBytes: cfg.MaxBytes, segments: map[data.ID]segment{}, spent: map[data.ID]bool{}}
	if s.clock == nil {
		s.clock = time.Now
	}
	return s
}

// Create implements data.Store. An id that was given before is an error.
func (s *Store) Create(ctx context.Context, id data.ID) (data.Writer, error) {
	if err := check(ctx, id); err != nil {
		return nil, fmt.Errorf("mem: create %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spent[id] {
		return nil, fmt.Errorf("mem: create %s: the id was used before", id)
	}
	s.spent[id] = true
	return &writer{ctx: ctx, store: s, id: id}, nil
}

// Open implements data.Store.
func (s *Store) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	seg, err := s.find(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("mem: open %s: %w", id, err)
	}
	size := int64(len(seg.content))
	if length == -1 {
		length = max(size-offset, 0)
	}
	if offset < 0 || length < 0 {
		return nil, fmt.Errorf("mem: open %s: invalid range %d+%d", id, offset, length)
	}
	if offset > size || length > size-offset {
		return nil, fmt.Errorf("mem: open %s: range %d+%d of %d bytes: %w", id, offset, length, size, io.ErrUnexpectedEOF)
	}
	return &reader{ctx: ctx, id: id, rest: seg.content[offset : offset+length]}, nil
}

// Stat implements data.Store.
func (s *Store) Stat(ctx context.Context, id data.ID) (int64, error) {
	seg, err := s.find(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("mem: stat %s: %w", id, err)
	}
	return int64(len(seg.content)), nil
}

// Delete implements data.Store. Readers that are open go on.
func (s *Store) Delete(ctx context.Context, id data.ID) error {
	if err := check(ctx, id); err != nil {
		return fmt.Errorf("mem: delete %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.segments, id)
	return nil
}

// PresignedURL implements data.Store: there is none.
func (s *Store) PresignedURL(_ context.Context, id data.ID, _ time.Duration) (string, error) {
	return "", fmt.Errorf("mem: URL of %s: %w", id, data.ErrNoURL)
}

// List implements data.Store: the segments of one instant, but those that were deleted meanwhile. The
// body of the loop may call the store.
func (s *Store) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return func(yield func(data.Entry, error) bool) {
		s.mu.Lock()
		ids := slices.Sorted(maps.Keys(s.segments))
		s.mu.Unlock()
		for _, id := range ids {
			if id <= after {
				continue
			}
			seg, err := s.find(ctx, id)
			if errors.Is(err, data.ErrNotFound) {
				continue
			}
			if err != nil {
				break
			}
			if !yield(data.Entry{ID: id, Size: int64(len(seg.content)), Modified: seg.modified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(data.Entry{}, fmt.Errorf("mem: list: %w", err))
		}
	}
}

// Sweep implements data.Store: what was never committed is its writer's, and goes with it.
func (s *Store) Sweep(ctx context.Context, _ time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("mem: sweep: %w", err)
	}
	return 0, nil
}

// find returns a committed segment. Errors: ErrNotFound, those of check.
func (s *Store) find(ctx context.Context, id data.ID) (segment, error) {
	if err := check(ctx, id); err != nil {
		return segment{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg, ok := s.segments[id]
	if !ok {
		return segment{}, data.ErrNotFound
	}
	return seg, nil
}

// check returns an error when ctx has ended or id is none.
func check(ctx context.Context, id data.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(id) != 32 || strings.Trim(string(id), "0123456789abcdef") != "" {
		return fmt.Errorf("invalid id %q: want 32 lower-case hex digits", id)
	}
	return nil
}
