package s3

import (
	"log/slog"
	"sync"
	"time"
)

const (
	breakerFailures = 5               // consecutive failures that open the breaker,
	breakerQuiet    = time.Second     // when there was no answer for so long,
	breakerSilent   = 2 * time.Second // or one time-out, when nobody else was answered for so long
	breakerProbe    = time.Second     // while open, one request in so long is let through
)

// breaker answers for a store that has stopped answering, so that callers fail at once instead of
// each waiting out its deadline. One request a second goes through; the first answer closes it.
type breaker struct {
	log *slog.Logger

	mu       sync.Mutex
	failures int
	success  time.Time // the last answer
	good     time.Time // the last that was not an error
	open     bool
	opened   time.Time
	probe    time.Time // when the last request was let through
}

// allow reports whether a request may be sent, and whether it is one that tests an open breaker.
func (b *breaker) allow() (ok, probing bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true, false
	}
	now := time.Now()
	if now.Sub(b.probe) < breakerProbe {
		return false, false
	}
	b.probe = now
	return true, true
}

func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open
}

// succeeded notes that the store has done what it was asked for.
func (b *breaker) succeeded() {
	b.answered()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.good = b.success
}

// served is how long ago that was.
func (b *breaker) served() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.good)
}

// answered notes an answer of the store, good or bad.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.success = 0, time.Now()
	if b.open {
		b.open = false
		b.log.Info("s3: the store answers again", "took", time.Since(b.opened))
	}
}

// failed notes a request that got no answer.
func (b *breaker) failed(timeout bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	now := time.Now()
	silent := now.Sub(b.success)
	gone := timeout && silent >= breakerSilent || b.failures >= breakerFailures && silent >= breakerQuiet
	if b.open || !gone {
		return
	}
	b.open, b.opened, b.probe = true, now, time.Time{} // the next goes through: it may be the look at what was not answered
	b.log.Warn("s3: the store does not answer; requests fail at once until it does", "err", err)
}
