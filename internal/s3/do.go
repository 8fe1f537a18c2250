package s3

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// op is a kind of request and what it may take.
type op struct {
	name     string
	attempts int           // 1: never repeated
	attempt  time.Duration // longest wait for the first progress of one attempt
	progress bool          // and of any later progress of its body: stallTime; else attempt is all that there is for body and answer
	total    time.Duration // no attempt begins after this, nor any other than the first while the breaker is open
	key      string        // the key, or the prefix of a list, as the caller gave it: for who observes
}

// on returns the op with the key that it is for.
func (o op) on(key string) op {
	o.key = key
	return o
}

const (
	silentTime   = 4800 * time.Millisecond // how long a store that answers nobody is waited for: the client is answered within 5 s
	metadataTime = 4300 * time.Millisecond // the answer to a small request: after a write that was not answered the caller looks
	hedgeTime    = 2 * time.Second         // a read without an answer is sent again beside the first
	stepTime     = 2 * time.Second         // a step that takes no time at a store that is well: connecting, a small body that has begun
	stallTime    = 10 * time.Second        // a body without a byte for so long is broken
	maxAttempts  = 3
	maxAnswered  = 5 // while the store answers, with a 5xx or 409: that is cheap for both sides
	backoffBase  = 50 * time.Millisecond
	backoffSlow  = 250 * time.Millisecond // base after SlowDown
	backoffMax   = time.Second
	bytesPerSec  = 1 << 20 // slowest upload that is waited for
	smallBody    = 1 << 20
)

// metadata is a small request that may be repeated.
func metadata(name string) op {
	return op{name: name, attempts: maxAttempts, attempt: metadataTime, total: silentTime}
}

// once is a request with a body of size bytes, none for most, that is sent at most once.
func once(name string, size int64) op {
	within := metadataTime + transferTime(size)
	return op{name: name, attempts: 1, attempt: within, total: within}
}

// limit is how many attempts there may be after one that failed so.
func (o op) limit(failure *Error) int {
	switch {
	case o.attempts == 1 || !failure.Kind.retryable():
		return 1
	case failure.answered():
		return max(o.attempts, maxAnswered)
	default:
		return o.attempts
	}
}

// upload is a body of size bytes that may be sent again: 60 s, and a second for each MiB. A small object is a matter of
// seconds, so that a store that hangs is noticed as with any small request.
func upload(name string, size int64) op {
	if size <= smallBody {
		return op{name: name, attempts: maxAttempts, attempt: metadataTime + transferTime(size), total: silentTime + transferTime(size)}
	}
	return op{name: name, attempts: maxAttempts, attempt: stallTime, progress: true, total: 60*time.Second + transferTime(size)}
}

func transferTime(size int64) time.Duration {
	return time.Duration(size) * time.Second / bytesPerSec
}

// do sends the request that send makes, again where that is allowed and may help. send gets a watch whose
// context it must use; it sets kept when it hands the watch on to a body that outlives the call.
func (c *Client) do(ctx context.Context, o op, send func(*watch) error) error {
	var sent int
	if c.cfg.Observe == nil {
		return c.try(ctx, o, send, &sent)
	}
	ctx, done := c.cfg.Observe(ctx, o.name, o.key)
	err := c.try(ctx, o, send, &sent)
	done(sent, err)
	return err
}

// try is do, and counts the requests that it has sent.
func (c *Client) try(ctx context.Context, o op, send func(*watch) error, sent *int) error {
	begin := time.Now()
	refreshed := false
	var last *Error
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		if last != nil && !c.breaker.closed() {
			return last
		}
		ok, probing := c.breaker.allow()
		if !ok {
			return &Error{Op: o.name, Kind: NotSent, Err: errBreakerOpen}
		}
		w := newWatch(ctx, o.attempt)
		err := send(w)
		*sent += w.requests()
		if err == nil {
			c.breaker.succeeded()
			c.retries.earn()
			if !w.kept {
				w.stop()
			}
			return nil
		}
		failure, err := c.failure(ctx, o.name, w, err)
		w.stop()
		if err != nil {
			return err
		}
		if failure.expired() && !refreshed && c.invalidate() {
			refreshed = true
			continue
		}
		if try >= o.limit(failure) || probing || !c.breaker.closed() || !failure.answered() && !c.retries.spend() {
			return failure
		}
		last = failure
		wait := backoff(try, failure.Kind)
		if time.Since(begin)+wait >= o.total {
			return failure
		}
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
}

// failure tells the breaker what err means and classifies it; the second result is the caller's own
// context error.
func (c *Client) failure(ctx context.Context, name string, w *watch, err error) (*Error, error) {
	if cause := ctx.Err(); cause != nil {
		return nil, fmt.Errorf("%s: %w", name, cause)
	}
	if w.timedOut() {
		f := &Error{Op: name, Kind: Timeout, Err: errTimeout}
		c.breaker.failed(!w.answered, f)
		// The other idle connections may be as dead as this one was.
		c.transport.CloseIdleConnections()
		return f, nil
	}
	f := newError(name, err)
	if code := c.Traits().ConflictCode; code != "" && f.Code == code && name == opPutObject {
		f.Kind = Conflict
	}
	switch f.Kind {
	case Unavailable, NotSent:
		c.breaker.failed(isTimeout(err), f)
	default:
		c.breaker.answered()
	}
	return f, nil
}

// isTimeout reports whether a step of a connection took too long: to dial, or to agree on TLS.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// backoff is exponential with full jitter.
func backoff(try int, kind Kind) time.Duration {
	base := backoffBase
	if kind == Throttled {
		base = backoffSlow
	}
	ceiling := min(backoffMax, base<<try)
	return time.Duration(rand.Int64N(int64(ceiling))) //nolint:gosec // G404: jitter is no secret
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	retryShare = 10 // one retry for so many successes
	retryBurst = 50 // and so many at once
)

// retryBudget bounds the retries of requests that were not answered, or throttled, to a share of those that
// succeed, so that a store in trouble is not given three times the load.
type retryBudget struct {
	mu     sync.Mutex
	tokens int // in parts of retryShare
}

func newRetryBudget() *retryBudget { return &retryBudget{tokens: retryBurst * retryShare} }

func (r *retryBudget) earn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = min(r.tokens+1, retryBurst*retryShare)
}

func (r *retryBudget) spend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tokens < retryShare {
		return false
	}
	r.tokens -= retryShare
	return true
}

// invalidate makes the next request ask for new credentials; false when they are the configuration's, which every request asks for.
func (c *Client) invalidate() bool {
	if c.credentials == nil {
		return false
	}
	c.credentials.Invalidate()
	return true
}

// IsOpen reports whether err says that nothing was sent because the store did not answer lately.
func IsOpen(err error) bool { return errors.Is(err, errBreakerOpen) }
