package cached

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	failuresToOpen = 3               // in a row
	probeEvery     = 5 * time.Second // while it is open
)

// breaker keeps requests from a cache that does not answer: three failures in a row open it, and while it is open a single probe in the background, every five
// seconds, finds out whether it can be closed. Nobody waits for a probe. Safe for concurrent use.
type breaker struct {
	probe  func(context.Context) error
	counts *Counts
	log    *slog.Logger

	mu     sync.Mutex
	failed int // in a row
	open   bool
}

// allows reports whether the cache may be asked.
func (b *breaker) allows() bool { return !b.counts.open.Load() }

// answered notes an answer of the cache.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = 0
}

// failure notes a call that the cache did not answer well, or in time; it reports whether that has opened the breaker: then probing has to begin.
func (b *breaker) failure(ctx context.Context, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed++
	if b.open || b.failed < failuresToOpen {
		return false
	}
	b.open = true
	b.counts.open.Store(true)
	b.counts.Opened.Add(1)
	b.log.WarnContext(ctx, "the shared cache does not answer, or not in time: it is not asked until it does; everything goes on without it", "err", err)
	return true
}

// probing asks the cache until it answers, or ctx ends.
func (b *breaker) probing(ctx context.Context) {
	timer := time.NewTicker(probeEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if b.probe(ctx) != nil {
			continue
		}
		b.mu.Lock()
		b.open, b.failed = false, 0
		b.counts.open.Store(false)
		b.mu.Unlock()
		b.log.InfoContext(ctx, "the shared cache answers again")
		return
	}
}
