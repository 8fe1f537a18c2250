package s3

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"sync"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/s3"
)

// maxPresign is the longest life of a presigned URL that S3 takes.
const maxPresign = 7 * 24 * time.Hour

// Store is a data.Store over a bucket.
type Store struct {
	client   *s3.Client
	prefix   string // "" or ends with '/'
	budget   *Budget
	maxParts int // a segment that has as many is full

	mu      sync.Mutex
	deleted []func(data.ID) // are told of every segment that is deleted
}

var _ data.Store = (*Store)(nil)

// New returns a store whose segments lie below <prefix>/d/ in the client's bucket, beside the records of
// record/s3. The prefix is "" in a server. All writers take their memory from budget. It makes no
// request.
func New(client *s3.Client, prefix string, budget *Budget) *Store {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Store{client: client, prefix: prefix, budget: budget, maxParts: maxParts}
}

// key is d/<h2>/<id>. It refuses what is no id, so that nothing else in the bucket is ever touched.
func (s *Store) key(id data.ID) (string, error) {
	if raw, err := hex.DecodeString(string(id)); err != nil || len(raw) != 16 || strings.ToLower(string(id)) != string(id) {
		return "", fmt.Errorf("%q is no segment id", id)
	}
	return s.prefix + "d/" + string(id[:2]) + "/" + string(id), nil
}

// Create implements data.Store. It makes no request.
func (s *Store) Create(ctx context.Context, id data.ID) (data.Writer, error) {
	key, err := s.key(id)
	if err != nil {
		return nil, fmt.Errorf("s3: create segment: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("s3: create segment %s: %w", id, err)
	}
	return newWriter(ctx, s, id, key), nil
}

// Stat implements data.Store.
func (s *Store) Stat(ctx context.Context, id data.ID) (int64, error) {
	key, err := s.key(id)
	if err != nil {
		return 0, fmt.Errorf("s3: stat segment: %w", err)
	}
	info, err := s.client.Head(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("s3: stat segment %s: %w", id, wrap(err))
	}
	return info.Size, nil
}

// Delete implements data.Store.
func (s *Store) Delete(ctx context.Context, id data.ID) error {
	key, err := s.key(id)
	if err != nil {
		return fmt.Errorf("s3: delete segment: %w", err)
	}
	if err := s.client.Delete(ctx, key, ""); err != nil {
		return fmt.Errorf("s3: delete segment %s: %w", id, wrap(err))
	}
	s.mu.Lock()
	deleted := s.deleted
	s.mu.Unlock()
	for _, tell := range deleted {
		tell(id)
	}
	return nil
}

// PresignedURL implements data.Store. A ttl over S3's limit of seven days is cut to it.
func (s *Store) PresignedURL(ctx context.Context, id data.ID, ttl time.Duration) (string, error) {
	key, err := s.key(id)
	if err != nil {
		return "", fmt.Errorf("s3: presign segment: %w", err)
	}
	url, err := s.client.Presign(ctx, key, min(ttl, maxPresign))
	if err != nil {
		return "", fmt.Errorf("s3: presign segment %s: %w", id, wrap(err))
	}
	return url, nil
}

// List implements data.Store with one ListObjectsV2 for each 1,000 segments. Other keys below d/ are
// passed over.
func (s *Store) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return func(yield func(data.Entry, error) bool) {
		start := ""
		if after != "" {
			key, err := s.key(after)
			if err != nil {
				yield(data.Entry{}, fmt.Errorf("s3: list segments after: %w", err))
				return
			}
			start = key
		}
		for item, err := range s.client.List(ctx, s.prefix+"d/", start) {
			if err != nil {
				yield(data.Entry{}, fmt.Errorf("s3: list segments: %w", wrap(err)))
				return
			}
			id := data.ID(path.Base(item.Key))
			if key, err := s.key(id); err != nil || key != item.Key {
				continue
			}
			if !yield(data.Entry{ID: id, Size: item.Size, Modified: item.Modified}, nil) {
				return
			}
		}
	}
}

// Sweep implements data.Store: it aborts multipart uploads. Stores that do not list uploads by prefix (MinIO)
// have none to abort, and need a lifecycle rule.
func (s *Store) Sweep(ctx context.Context, before time.Time) (int, error) {
	n := 0
	for upload, err := range s.client.ListUploads(ctx, s.prefix+"d/") {
		if err == nil && upload.Initiated.Before(before) {
			if err = s.client.AbortUpload(ctx, upload.Key, upload.ID); err == nil {
				n++
			}
		}
		if err != nil {
			return n, fmt.Errorf("s3: sweep: %w", wrap(err))
		}
	}
	return n, nil
}

// wrap gives an error of the client the contract's words.
func wrap(err error) error {
	switch {
	case s3.IsContext(err), errors.Is(err, data.ErrUnavailable):
		return err
	case s3.KindOf(err) == s3.NotFound:
		return data.ErrNotFound
	default:
		return fmt.Errorf("%w: %w", data.ErrUnavailable, err)
	}
}
