package s3

import (
	"log/slog"
	"sync"
	"time"
)

const (
	breakerFailures = 5           // consecutive failures that open the breaker
	breakerTimeouts = 2           // or consecutive time-outs
	breakerQuiet    = time.Second // and no success for so long
	breakerProbe    = time.Second // while open, one request in so long is let through
)

// breaker answers for a store that has stopped answering, so that callers fail at once instead of
// each waiting out its deadline. One request a second goes through; the first answer closes it.
type breaker struct {
	log *slog.Logger

	mu       sync.Mutex
	failures int
	timeouts int
	success  time.Time // the last answer
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

// answered notes an answer of the store, good or bad.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.timeouts, b.success = 0, 0, time.Now()
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
	if timeout {
		b.timeouts++
	}
	now := time.Now()
	if b.open || (b.failures < breakerFailures && b.timeouts < breakerTimeouts) || now.Sub(b.success) < breakerQuiet {
		return
	}
	b.open, b.opened, b.probe = true, now, now
	b.log.Warn("s3: the store does not answer; requests fail at once until it does", "err", err)
}
