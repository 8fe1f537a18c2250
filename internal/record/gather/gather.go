package gather

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/record"
)

const (
	defaultReads    = 8
	defaultPatience = 100 * time.Millisecond
)

// Config is how reads are gathered. The zero value is the documented default.
type Config struct {
	// Reads is how many reads of one key are under way before callers are gathered; 0: 8.
	Reads int
	// Patience is how long callers wait at most for one of those to end; then the next read begins beside them, so that connections that are dead
	// or slow hold nobody up who comes later; 0: 100 ms. They wait less where reads take less: see Store.wait.
	Patience time.Duration
}

// Store is a record.Store that gathers the reads of another.
type Store struct {
	record.Store
	cfg Config

	took atomic.Int64 // nanoseconds that a read takes, about; 0: none has ended

	mu   sync.Mutex
	keys map[record.Key]reads // with a read under way
}

var _ record.Store = (*Store)(nil)

// reads are those of one key.
type reads struct {
	running int   // under way
	next    *read // that callers wait for; nil: none do
}

// read is one read for all who came before it began. All but done is guarded by the store's lock until it is closed.
type read struct {
	key     record.Key
	callers int                // still waiting for it
	hurry   *time.Timer        // begins it when nobody else has
	cancel  context.CancelFunc // nil: it has not begun
	ctx     context.Context    //nolint:containedctx // what the first of the callers came with, without its end

	done chan struct{} // closed when rec and err are there
	rec  record.Record
	err  error
}

// New returns a store over next whose reads are gathered. It is as linearizable as next is.
func New(next record.Store, cfg Config) *Store {
	if cfg.Reads <= 0 {
		cfg.Reads = defaultReads
	}
	if cfg.Patience <= 0 {
		cfg.Patience = defaultPatience
	}
	return &Store{Store: next, cfg: cfg, keys: map[record.Key]reads{}}
}

// Get implements record.Store. What it returns was read after it was called. A caller whose context ends goes at once; a shared read goes on until
// the last of its callers has gone, under the limits of the store below.
func (s *Store) Get(ctx context.Context, key record.Key) (record.Record, error) {
	s.mu.Lock()
	of := s.keys[key]
	if of.running < s.cfg.Reads {
		of.running++
		s.keys[key] = of
		s.mu.Unlock()
		defer s.ended(key)
		return s.timed(ctx, key)
	}
	if err := ctx.Err(); err != nil {
		s.mu.Unlock()
		return record.Record{}, fmt.Errorf("gather: get %s: %w", key, err)
	}
	r := of.next
	if r == nil {
		r = &read{key: key, ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
		r.hurry = time.AfterFunc(s.wait(of.running), func() { s.overdue(r) })
		of.next = r
		s.keys[key] = of
	}
	r.callers++
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.rec, r.err
	case <-ctx.Done():
		s.leave(r)
		return record.Record{}, fmt.Errorf("gather: get %s: %w", key, ctx.Err())
	}
}

// timed is a read of the store below, whose time counts when it brought an answer.
func (s *Store) timed(ctx context.Context, key record.Key) (record.Record, error) {
	began := time.Now()
	rec, err := s.Store.Get(ctx, key)
	if err == nil || errors.Is(err, record.ErrNotFound) {
		took := s.took.Load()
		s.took.Store(took + (int64(time.Since(began))-took)/8) // who is overtaken here is not missed
	}
	return rec, err
}

// wait is how long callers wait for a read of others to end: the share of a read's time by which the reads of a key are apart when they are spread evenly. Callers who were
// answered together come back together; were they to wait for an end, it would be one of reads that have just begun. Where many are under way already the store has become
// slow, and it is Patience.
func (s *Store) wait(running int) time.Duration {
	if took := time.Duration(s.took.Load()); took > 0 && running < 4*s.cfg.Reads {
		return min(took/time.Duration(s.cfg.Reads), s.cfg.Patience)
	}
	return s.cfg.Patience
}

// leave takes a caller away from a read, which is ended, or never begins, without any.
func (s *Store) leave(r *read) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.callers--; r.callers > 0 {
		return
	}
	if r.cancel != nil {
		r.cancel()
		return
	}
	r.hurry.Stop()
	of := s.keys[r.key]
	of.next = nil
	s.put(r.key, of)
}

// ended notes the end of a read, and begins the next when callers wait for it.
func (s *Store) ended(key record.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.keys[key]
	of.running--
	s.begin(key, of)
}

// overdue begins a read that has waited for long enough, unless it has begun, or nobody wants it any more.
func (s *Store) overdue(r *read) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.keys[r.key]; of.next == r {
		s.begin(r.key, of)
	}
}

// begin begins the next read of a key, if callers wait for one. Who comes later is none of its callers. The caller holds the lock.
func (s *Store) begin(key record.Key, of reads) {
	if r := of.next; r != nil {
		r.hurry.Stop()
		of.next = nil
		of.running++
		r.ctx, r.cancel = context.WithCancel(r.ctx)
		go s.run(r)
	}
	s.put(key, of)
}

// put keeps what there is to know of a key. The caller holds the lock.
func (s *Store) put(key record.Key, of reads) {
	if of == (reads{}) {
		delete(s.keys, key)
		return
	}
	s.keys[key] = of
}

// run makes a shared read.
func (s *Store) run(r *read) {
	defer s.ended(r.key)
	defer close(r.done)
	defer r.cancel()
	defer func() { // a bug in a driver ends its callers' requests, as where they read by themselves, and not the process
		if p := recover(); p != nil {
			r.err = fmt.Errorf("gather: get %s: panic: %v\n%s", r.key, p, debug.Stack())
		}
	}()
	rec, err := s.timed(r.ctx, r.key)
	rec.Value = rec.Value[:len(rec.Value):len(rec.Value)] // who appends to it does not write into another caller's
	r.rec, r.err = rec, err
}
