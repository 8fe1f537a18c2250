package mem

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/internal/record"
)

// maxValue is the size in bytes of the largest value that the contract allows.
const maxValue = 5 << 20

// Config is what a store is made from. The zero value is ready for use.
type Config struct {
	// Clock is the store's clock; nil means time.Now. It is read under the store's lock. A clock that
	// is moved back stands still for the store, which never shows a time before one that it showed.
	Clock func() time.Time
	// PageSize is how many entries a list takes at one instant, before its consumer sees the first of
	// them. Other writes happen between two pages, as on S3. Zero means 1000, S3's own.
	PageSize int
}

// Store is a record.Store in memory. It lives as long as the process; there is nothing to close.
type Store struct {
	pageSize int
	clock    func() time.Time

	mu      sync.Mutex
	records map[record.Key]record.Record
	keys    []record.Key // of records, in byte order
	writes  uint64       // how many there were: the newest version
	latest  time.Time    // the latest time shown
}

var _ record.Store = (*Store)(nil)

// New returns an empty store.
func New(cfg Config) *Store {
	s := &Store{
		pageSize: cmp.Or(cfg.PageSize, 1000),
		clock:    cfg.Clock,
		records:  map[record.Key]record.Record{},
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	return s
}

// Get implements record.Store.
func (s *Store) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if err := firstError(ctx.Err(), checkKey(key)); err != nil {
		return record.Record{}, fmt.Errorf("mem: get %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.records[key]
	if !ok {
		return record.Record{}, fmt.Errorf("mem: get %s: %w", key, record.ErrNotFound)
	}
	return rec, nil
}

// Put implements record.Store. A key that is a folder of another, or below another, is an error.
func (s *Store) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if err := firstError(ctx.Err(), checkKey(key), cond.CheckPut(), checkValue(value)); err != nil {
		return record.Stamp{}, fmt.Errorf("mem: put %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.records[key]
	if version, swap := cond.Version(); swap != ok || swap && current.Version != version {
		return record.Stamp{}, fmt.Errorf("mem: put %s %s: %w", key, cond, record.ErrConflict)
	}
	if !ok {
		if err := s.insert(key); err != nil {
			return record.Stamp{}, fmt.Errorf("mem: put %s: %w", key, err)
		}
	}
	s.writes++
	stamp := record.Stamp{Version: record.Version(strconv.FormatUint(s.writes, 10)), Modified: s.now()}
	s.records[key] = record.Record{Value: bytes.Clone(value), Stamp: stamp}
	return stamp, nil
}

// Delete implements record.Store; it decides IfVersion.
func (s *Store) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if err := firstError(ctx.Err(), checkKey(key), cond.CheckDelete()); err != nil {
		return fmt.Errorf("mem: delete %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.records[key]
	if !ok {
		return nil
	}
	if version, conditional := cond.Version(); conditional && current.Version != version {
		return fmt.Errorf("mem: delete %s %s: %w", key, cond, record.ErrConflict)
	}
	delete(s.records, key)
	i, _ := slices.BinarySearch(s.keys, key)
	s.keys = slices.Delete(s.keys, i, i+1)
	return nil
}

// List implements record.Store. The body of the loop may call the store.
func (s *Store) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		if err := checkList(prefix, after); err != nil {
			yield(record.Entry{}, fmt.Errorf("mem: list %s: %w", prefix, err))
			return
		}
		for last := after; ; {
			if err := ctx.Err(); err != nil {
				yield(record.Entry{}, fmt.Errorf("mem: list %s: %w", prefix, err))
				return
			}
			page := s.page(prefix, last)
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
				last = entry.Key
			}
			if len(page) < s.pageSize {
				return
			}
		}
	}
}

// Now implements record.Store.
func (s *Store) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// page returns up to pageSize entries below prefix after the key, as they are at one instant.
func (s *Store) page(prefix, after record.Key) []record.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, found := slices.BinarySearch(s.keys, max(prefix, after))
	if found {
		first++ // after itself; no key is its own folder, so it is not prefix
	}
	var page []record.Entry
	for _, key := range s.keys[first:] {
		if len(page) == s.pageSize || !strings.HasPrefix(string(key), string(prefix)) {
			break
		}
		rec := s.records[key]
		page = append(page, record.Entry{Key: key, Size: int64(len(rec.Value)), Stamp: rec.Stamp})
	}
	return page
}

// insert adds a new key to the order. Errors: the key is a folder of another, or below another.
func (s *Store) insert(key record.Key) error {
	for i, c := range key {
		if c != '/' {
			continue
		}
		if _, ok := s.records[key[:i]]; ok {
			return fmt.Errorf("the key %s is there already, and would be its folder", key[:i])
		}
	}
	folder := key + "/"
	if i, _ := slices.BinarySearch(s.keys, folder); i < len(s.keys) && strings.HasPrefix(string(s.keys[i]), string(folder)) {
		return fmt.Errorf("the key is a folder of %s", s.keys[i])
	}
	i, _ := slices.BinarySearch(s.keys, key)
	s.keys = slices.Insert(s.keys, i, key)
	return nil
}

// now returns the clock's time, or the latest time shown where the clock was moved back.
func (s *Store) now() time.Time {
	// Times of a store have no monotonic part: they are compared with times that were stored.
	if now := s.clock().Round(0); now.After(s.latest) {
		s.latest = now
	}
	return s.latest
}
