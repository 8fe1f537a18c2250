package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/s3"
)

// maxValue is what the contract allows a value to be, in bytes.
const maxValue = 5 << 20

// Store is a record.Store over a bucket.
type Store struct {
	client *s3.Client
	prefix string // "" or ends with '/'
}

var _ record.Store = (*Store)(nil)

// New returns a store whose keys lie below prefix in the client's bucket, beside those of data/s3. The
// prefix is "" in a server. It makes no request.
func New(client *s3.Client, prefix string) *Store {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Store{client: client, prefix: prefix}
}

func (s *Store) key(key record.Key) string { return s.prefix + string(key) }

// Get implements record.Store with one GetObject.
func (s *Store) Get(ctx context.Context, key record.Key) (record.Record, error) {
	rec, err := s.get(ctx, key)
	if err != nil {
		return record.Record{}, fmt.Errorf("s3: get %s: %w", key, err)
	}
	return rec, nil
}

func (s *Store) get(ctx context.Context, key record.Key) (record.Record, error) {
	value, info, err := s.client.GetValue(ctx, s.key(key), maxValue)
	if err != nil {
		return record.Record{}, wrap(err)
	}
	stamp, err := s.stamp(info)
	if err != nil {
		return record.Record{}, err
	}
	return record.Record{Value: value, Stamp: stamp}, nil
}

// stamp is the stamp of an object, whose time the clock will not run behind.
func (s *Store) stamp(info s3.Info) (record.Stamp, error) {
	if info.Version == "" {
		return record.Stamp{}, fmt.Errorf("%w: the answer has no ETag", record.ErrUnavailable)
	}
	s.client.Wrote(info.Modified)
	return record.Stamp{Version: record.Version(info.Version), Modified: info.Modified}, nil
}

// List implements record.Store with one ListObjectsV2 for each 1,000 keys; for fewer where record.Expect says that fewer are wanted.
func (s *Store) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		start := ""
		if after != "" {
			start = s.key(after)
		}
		for item, err := range s.client.ListSome(ctx, s.key(prefix), start, record.Expected(ctx)) {
			var stamp record.Stamp
			if err == nil {
				stamp, err = s.stamp(item.Info)
			} else {
				err = wrap(err)
			}
			if err != nil {
				yield(record.Entry{}, fmt.Errorf("s3: list %s: %w", prefix, err))
				return
			}
			key := record.Key(strings.TrimPrefix(item.Key, s.prefix))
			if foreign(key) {
				continue
			}
			if !yield(record.Entry{Key: key, Size: item.Size, Stamp: stamp}, nil) {
				return
			}
		}
	}
}

// foreign reports whether a key is the store's own: versitygw replaces an object through a file beside it,
// .NAME.sgwtmp.TIME, which a list shows meanwhile, and for good when it was killed then. No part of a key
// of ours begins with a dot.
func foreign(key record.Key) bool {
	return strings.HasPrefix(string(key[strings.LastIndexByte(string(key), '/')+1:]), ".")
}

// Now implements record.Store: the Date of the store's answers and the monotonic time since. It has a
// resolution of a second, and is the local time before the first answer.
func (s *Store) Now() time.Time { return s.client.Now() }

// wrap gives an error of the client the contract's words.
func wrap(err error) error {
	switch {
	case s3.IsContext(err), errors.Is(err, record.ErrUnavailable):
		return err
	case s3.KindOf(err) == s3.NotFound:
		return record.ErrNotFound
	default:
		return fmt.Errorf("%w: %w", record.ErrUnavailable, err)
	}
}
