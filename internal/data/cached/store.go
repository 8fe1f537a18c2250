package cached

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"holdfast/internal/data"
)

const (
	// maxFills is how many copies are made at once: a goroutine and a chunk of memory each.
	maxFills = 64
	// maxDistrusted is how many segments are remembered whose copies were found bad.
	maxDistrusted = 1024
)

// Config says where copies are, and how many. Both must be set.
type Config struct {
	// Dir is a directory of this machine, for this alone. It is created when missing, with mode 0700.
	Dir string
	// MaxBytes bounds the files, those being made included. A segment over half of it is not copied.
	MaxBytes int64
	// Pulls is how the store is read where there is no copy, and for one; nil: as all else.
	Pulls data.Store
}

// Counts are what a Store did since it was opened. Safe for concurrent use.
type Counts struct {
	Hits    atomic.Int64 // segments opened in the cache
	Shared  atomic.Int64 // or while their copy was being made
	Misses  atomic.Int64 // or copied first
	Around  atomic.Int64 // or read from the store: parts of what there is no copy of, and what is not to be copied
	Evicted atomic.Int64 // copies removed to make room
	Damaged atomic.Int64 // copies that were not what had been written
	Errors  atomic.Int64 // of the directory: no copy was made, or one could not be used
}

// Store is a data.Store that reads through copies. Safe for concurrent use; one process, and one Store, uses a directory. What is written, listed and
// asked it passes on.
type Store struct {
	next   data.Store
	pulls  data.Store // next as clients read it
	dir    dir
	max    int64
	log    *slog.Logger
	counts Counts
	warned atomic.Bool // of the directory, since it last took a copy

	mu         sync.Mutex
	copies     map[data.ID]*copied
	order      list.List // of the whole ones: the one used last first
	used       int64     // bytes of files, reserved ones included
	fills      int
	closed     bool
	distrusted *lru.Cache[data.ID, struct{}]
	filling    sync.WaitGroup
}

var _ data.Store = (*Store)(nil)

// New opens the cache of a store. A directory that cannot be used, but for the reasons of the errors, is a warning: the store is read without copies. The
// caller closes it, before the store. Errors: ErrInUse, ErrStorage.
func New(ctx context.Context, next data.Store, cfg Config, log *slog.Logger) (*Store, error) {
	if cfg.Dir == "" || cfg.MaxBytes <= 0 {
		return nil, fmt.Errorf("cached: open: no directory, or no size: %q, %d", cfg.Dir, cfg.MaxBytes)
	}
	known, err := lru.New[data.ID, struct{}](maxDistrusted)
	if err != nil {
		return nil, fmt.Errorf("cached: open: %w", err)
	}
	s := &Store{next: next, pulls: cfg.Pulls, dir: dir{path: cfg.Dir}, max: cfg.MaxBytes, log: log, copies: map[data.ID]*copied{}, distrusted: known}
	if s.pulls == nil {
		s.pulls = next
	}
	err = s.dir.prepare()
	if errors.Is(err, ErrInUse) || errors.Is(err, ErrStorage) {
		return nil, fmt.Errorf("cached: open %s: %w", cfg.Dir, errors.Join(err, s.dir.close()))
	}
	if err == nil {
		err = s.load()
	}
	if err != nil {
		s.failed(ctx, "open", err)
	}
	return s, nil
}

// load takes over what an earlier process left. Each file is looked into when it is first read.
func (s *Store) load() error {
	files, err := s.dir.scan()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		c := &copied{id: f.id, bytes: f.bytes, state: whole, opened: make(chan struct{})}
		close(c.opened)
		s.copies[f.id], s.used = c, s.used+f.bytes
		c.place = s.order.PushFront(c)
	}
	return s.makeRoom(0)
}

// Close ends the making of copies, and lets the directory go. Readers go on. It is safe to call twice.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, c := range s.copies {
		if c.cancel != nil {
			c.cancel()
		}
	}
	s.mu.Unlock()
	s.filling.Wait()
	if err := s.dir.close(); err != nil {
		return fmt.Errorf("cached: close: %w", err)
	}
	return nil
}

// Counts returns the counts, which go on.
func (s *Store) Counts() *Counts { return &s.counts }

// Bytes returns how many bytes the copies have, and how many they may have.
func (s *Store) Bytes() (used, most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.max
}

// Around is the store for those who must see what it holds itself, as who checks it, and for those who read what nobody will read again. What they
// delete leaves the cache too.
func (s *Store) Around() data.Store { return around{s} }

type around struct{ *Store }

// Open implements data.Store.
func (a around) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	return a.next.Open(ctx, id, offset, length)
}

// Create implements data.Store.
func (s *Store) Create(ctx context.Context, id data.ID) (data.Writer, error) {
	return s.next.Create(ctx, id)
}

// Stat implements data.Store.
func (s *Store) Stat(ctx context.Context, id data.ID) (int64, error) { return s.next.Stat(ctx, id) }

// PresignedURL implements data.Store.
func (s *Store) PresignedURL(ctx context.Context, id data.ID, ttl time.Duration) (string, error) {
	return s.next.PresignedURL(ctx, id, ttl)
}

// List implements data.Store.
func (s *Store) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return s.next.List(ctx, after)
}

// Sweep implements data.Store.
func (s *Store) Sweep(ctx context.Context, before time.Time) (int, error) {
	return s.next.Sweep(ctx, before)
}

// Delete implements data.Store. The copy goes first, and again afterwards: one may have been begun meanwhile. What another replica deletes stays here
// until its room is needed; nothing leads to it.
func (s *Store) Delete(ctx context.Context, id data.ID) error {
	s.forget(ctx, id)
	err := s.next.Delete(ctx, id)
	s.forget(ctx, id)
	return err
}

// forget removes the copy of a segment, whole or not. Readers go on.
func (s *Store) forget(ctx context.Context, id data.ID) {
	s.mu.Lock()
	c := s.copies[id]
	var err error
	if c != nil {
		err = s.drop(c)
	}
	s.mu.Unlock()
	if err != nil {
		s.failed(ctx, "remove", err)
	}
}

// failed counts an error of the directory, and tells of the first since it last took a copy.
func (s *Store) failed(ctx context.Context, what string, err error) {
	s.counts.Errors.Add(1)
	if !s.warned.Swap(true) {
		s.log.WarnContext(ctx, "the cache of blobs cannot be used; they are read from the store", "dir", s.dir.path, "work", what, "err", err)
	}
}

// Open implements data.Store. What is whole in the cache is read there. A segment that is read from its beginning to its end is copied while it is read,
// once for all who read it then. Parts of others are read from the store.
func (s *Store) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cached: open %s: %w", id, err)
	}
	for tries := 0; tries < 2 && valid(id) && offset >= 0 && (length == -1 || length > 0); tries++ {
		c, first := s.use(ctx, id, offset, length)
		if c == nil {
			break
		}
		r, err := s.read(ctx, c, first, offset, length)
		if !errors.Is(err, errNoCopy) {
			return r, err
		}
	}
	s.counts.Around.Add(1)
	return s.pulls.Open(ctx, id, offset, length)
}
