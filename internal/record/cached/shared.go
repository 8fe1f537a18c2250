package cached

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// DefaultBudget is how long a request waits for the shared cache, at most.
	DefaultBudget = 5 * time.Millisecond

	maxInFlight = 256      // reads that wait for the shared cache at once, those included that nobody waits for any more
	maxQueued   = 1024     // writes that wait
	writers     = 4        // writes at once
	maxSealed   = 16 << 10 // bytes of an envelope; larger ones, of blobs in hundreds of segments, are not shared
	writeBudget = 20       // how many budgets a write may take: nobody waits for it
	keptFor     = 12 * time.Hour
)

// shared stands before a Cache, so that nobody ever waits for one that is slow, hangs or is gone: a read is given up when its budget is over, whether or not
// the driver notices; writes are made in the background, and dropped when too many wait; and a breaker keeps everybody from a cache that does not answer.
// Safe for concurrent use.
type shared struct {
	cache   Cache
	budget  time.Duration
	counts  *Counts
	breaker *breaker
	slots   chan struct{} // one for each read in flight
	queue   chan func(context.Context) error

	ctx  context.Context //nolint:containedctx // of what goes on beside requests; it ends with close
	stop context.CancelFunc

	mu     sync.Mutex
	work   sync.WaitGroup
	at     int // writers at work
	closed bool
}

func newShared(ctx context.Context, cache Cache, budget time.Duration, counts *Counts, log *slog.Logger) *shared {
	if budget <= 0 {
		budget = DefaultBudget
	}
	s := &shared{
		cache: cache, budget: budget, counts: counts,
		slots: make(chan struct{}, maxInFlight), queue: make(chan func(context.Context) error, maxQueued),
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.breaker = &breaker{counts: counts, log: log, probe: s.probe}
	return s
}

// probe makes a read and a write: a cache that is full, or may only be read, would be given up anew at once.
func (s *shared) probe(ctx context.Context) error {
	const name = "hf1:probe"
	if _, err := s.ask(ctx, name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeBudget*s.budget)
	defer cancel()
	if err := s.cache.Set(ctx, name, []byte{envelopeVersion}, keptFor); err != nil {
		return fmt.Errorf("cached: set: %w", err)
	}
	return nil
}

// get returns what the cache holds under a name: nil when there is nothing, and when it does not say so in time. It returns within the budget.
func (s *shared) get(ctx context.Context, name string) []byte {
	if s == nil {
		return nil
	}
	if !s.breaker.allows() {
		s.counts.NotAsked.Add(1)
		return nil
	}
	value, err := s.ask(ctx, name)
	switch {
	case err == nil:
		s.counts.Got.Answered.Add(1)
		s.breaker.answered()
	case errors.Is(err, errBusy):
		s.counts.NotAsked.Add(1)
	case ctx.Err() != nil: // the client has left: nothing is known of the cache
	default:
		s.failed(&s.counts.Got, err)
	}
	return value
}

// errBusy is a call that was not made: too many wait.
var errBusy = errors.New("cached: too many calls wait for the shared cache")

// ask makes one read, within the budget. The driver may go on for longer, and holds its slot meanwhile.
func (s *shared) ask(ctx context.Context, name string) ([]byte, error) {
	select {
	case s.slots <- struct{}{}:
	default:
		return nil, errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	type answer struct {
		values [][]byte
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		values, err := s.cache.Get(ctx, []string{name})
		<-s.slots
		answered <- answer{values, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return nil, fmt.Errorf("cached: get: %w", a.err)
		}
		if len(a.values) != 1 {
			return nil, fmt.Errorf("cached: get: %d values for one key", len(a.values))
		}
		return a.values[0], nil
	case <-ctx.Done():
		return nil, fmt.Errorf("cached: get: %w", context.Cause(ctx))
	}
}

// failed notes a call that the cache did not answer well.
func (s *shared) failed(calls *Calls, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		calls.TimedOut.Add(1)
	} else {
		calls.Failed.Add(1)
	}
	if s.breaker.failure(s.ctx, err) {
		s.beside(s.breaker.probing)
	}
}

// set has the cache hold a value, sooner or later, or not.
func (s *shared) set(name string, value []byte) {
	if s == nil || len(value) > maxSealed {
		return
	}
	s.later(func(ctx context.Context) error { return s.cache.Set(ctx, name, value, keptFor) })
}

// forget has the cache forget a name, sooner or later, or not.
func (s *shared) forget(name string) {
	if s == nil {
		return
	}
	s.later(func(ctx context.Context) error { return s.cache.Delete(ctx, name) })
}

// later has a write made in the background.
func (s *shared) later(write func(context.Context) error) {
	if !s.breaker.allows() {
		s.counts.NotAsked.Add(1)
		return
	}
	select {
	case s.queue <- write:
		s.write()
	default:
		s.counts.Dropped.Add(1)
	}
}

// write starts a writer, unless enough are at work: those look at the queue once more before they end.
func (s *shared) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.at == writers {
		return
	}
	s.at++
	s.work.Go(s.writer)
}

func (s *shared) writer() {
	for {
		select {
		case write := <-s.queue:
			s.one(write)
			continue
		default:
		}
		s.mu.Lock()
		if len(s.queue) == 0 || s.closed {
			s.at--
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// one makes a write, unless the cache was given up while it waited.
func (s *shared) one(write func(context.Context) error) {
	if !s.breaker.allows() {
		s.counts.NotAsked.Add(1)
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeBudget*s.budget)
	defer cancel()
	switch err := write(ctx); {
	case err == nil:
		s.counts.Stored.Answered.Add(1)
		s.breaker.answered()
	case s.ctx.Err() != nil: // the end
	case errors.Is(err, errCount):
		s.counts.Stored.Failed.Add(1)
	default:
		s.failed(&s.counts.Stored, err)
	}
}

// beside does work beside requests, until close.
func (s *shared) beside(work func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.work.Go(func() { work(s.ctx) })
	}
}

// close ends what goes on beside requests, and waits for it as long as a driver takes to notice; then it closes the cache.
func (s *shared) close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	if was {
		return nil
	}
	if err := s.cache.Close(); err != nil {
		return fmt.Errorf("cached: close the shared cache: %w", err)
	}
	return nil
}
