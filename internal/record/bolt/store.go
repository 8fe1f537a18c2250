package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/internal/record"
)

const (
	// maxValue is the size in bytes of the largest value that the contract allows.
	maxValue = 5 << 20
	// pageSize is how many entries a list reads within one transaction. A transaction that stayed open
	// while the consumer works would keep every page of the file that is replaced meanwhile.
	pageSize = 256
)

// Config says where the store is. Dir must be set.
type Config struct {
	// Dir is the directory of the file records.db. It is created when missing, with mode 0700.
	Dir string
	// GroupDelay is how long a write may wait for others, to share its transaction, after the last
	// transaction had several: fewer fsyncs, more latency. A write that comes alone never waits twice.
	// Zero, the default: a transaction begins as soon as the last one has ended. Either way a write is
	// acknowledged when it is on disk.
	GroupDelay time.Duration

	wall func() time.Time // tests: the wall clock; nil means time.Now
}

// Store is a record.Store in one file. Safe for concurrent use by one process, which holds the file.
//
// A read may see a write in the moment between its last page reaching the file and its fsync, before it
// is acknowledged. Only a power cut in that moment takes back what was read; no later write survives
// without it, because transactions reach the disk in their order.
type Store struct {
	path    string
	db      *bbolt.DB
	clock   *clock
	commits *committer
	close   func() error
}

var _ record.Store = (*Store)(nil)

// Close waits for the writes that have begun and releases the file. Calls after it fail with
// record.ErrUnavailable. It is safe to call twice.
func (s *Store) Close() error { return s.close() }

// Now implements record.Store: the wall clock, never behind a time that it or a write showed before.
func (s *Store) Now() time.Time { return s.clock.now() }

// Get implements record.Store.
func (s *Store) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if err := ctx.Err(); err != nil {
		return record.Record{}, fmt.Errorf("bolt: get %s: %w", key, err)
	}
	var rec record.Record
	err := s.view(func(records *bbolt.Bucket) error {
		stored := records.Get([]byte(key))
		if stored == nil {
			return record.ErrNotFound
		}
		var err error
		rec, err = decode([]byte(key), stored)
		return err
	})
	if err != nil {
		return record.Record{}, fmt.Errorf("bolt: get %s: %w", key, err)
	}
	return rec, nil
}

// Put implements record.Store. When ctx ends while the transaction is on its way, the write may happen yet.
func (s *Store) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	err := cond.CheckPut()
	switch {
	case err != nil:
	case key == "" || len(key) > bbolt.MaxKeySize:
		err = fmt.Errorf("invalid key of %d bytes", len(key))
	case len(value) == 0 || len(value) > maxValue:
		err = fmt.Errorf("invalid value of %d bytes, want 1 to %d", len(value), maxValue)
	}
	if err != nil {
		return record.Stamp{}, fmt.Errorf("bolt: put %s: %w", key, err)
	}
	w := newWrite(ctx, key, cond)
	w.stored = prepare(value)
	if err := s.commits.do(ctx, w); err != nil {
		return record.Stamp{}, fmt.Errorf("bolt: put %s %s: %w", key, cond, err)
	}
	return w.stamp, nil
}

// Delete implements record.Store; it decides IfVersion.
func (s *Store) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if err := cond.CheckDelete(); err != nil {
		return fmt.Errorf("bolt: delete %s: %w", key, err)
	}
	if err := s.commits.do(ctx, newWrite(ctx, key, cond)); err != nil {
		return fmt.Errorf("bolt: delete %s %s: %w", key, cond, err)
	}
	return nil
}

// List implements record.Store. The body of the loop may call the store, and take its time.
func (s *Store) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		page := make([]record.Entry, 0, pageSize)
		for last := after; ; {
			err := ctx.Err()
			if err == nil {
				page, err = s.page(page[:0], prefix, last)
			}
			if err != nil {
				yield(record.Entry{}, fmt.Errorf("bolt: list %s: %w", prefix, err))
				return
			}
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
				last = entry.Key
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// page appends up to pageSize entries below prefix after the key to page, as they are at one instant.
func (s *Store) page(page []record.Entry, prefix, after record.Key) ([]record.Entry, error) {
	err := s.view(func(records *bbolt.Bucket) error {
		cursor := records.Cursor()
		key, stored := cursor.Seek([]byte(max(prefix, after)))
		if key != nil && record.Key(key) == after {
			key, stored = cursor.Next()
		}
		for ; key != nil && len(page) < pageSize && bytes.HasPrefix(key, []byte(prefix)); key, stored = cursor.Next() {
			stamp, err := decodeStamp(stored)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			page = append(page, record.Entry{Key: record.Key(key), Size: int64(len(stored) - headerSize), Stamp: stamp})
		}
		return nil
	})
	return page, err
}

// view calls read in a transaction of its own. What read is given lies in the mapped file: it is gone,
// or other data, when read returns.
func (s *Store) view(read func(records *bbolt.Bucket) error) error {
	if err := s.commits.broken(); err != nil {
		return fmt.Errorf("%w: %w", record.ErrUnavailable, err)
	}
	err := guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error { return read(tx.Bucket(recordsBucket)) })
	})
	switch {
	case err == nil, errors.Is(err, record.ErrNotFound):
		return err
	case errors.Is(err, errDamaged):
		return fmt.Errorf("%w: %s: %w: stop the server and restore the file from a backup", record.ErrUnavailable, s.path, err)
	default:
		return fmt.Errorf("%w: %w", record.ErrUnavailable, err)
	}
}

// guard calls f and returns errDamaged where f panics: bbolt panics, or reads past the end of its mapped
// file, when a page is not what it should be.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return f()
}

// closer returns a Close that works once and gives every caller its result.
func closer(commits *committer, db *bbolt.DB) func() error {
	return sync.OnceValue(func() error {
		commits.close()
		if commits.wedged {
			return fmt.Errorf("bolt: close: %w", commits.broken())
		}
		if err := db.Close(); err != nil {
			return fmt.Errorf("bolt: close: %w", err)
		}
		return nil
	})
}
