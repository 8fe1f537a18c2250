// Package outlive makes calls to a server that go on when their callers have lost patience.
//
// A caller of a shared cache waits for milliseconds. A call that ended with it would take its connection along, and a new one, with TLS and a
// login, takes longer than any caller waits: once too slow, the cache would never be used again. So a call has a time of its own,
// and ends in the background; how many there may be is bounded.
package outlive

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// ErrBusy is of a call that was not made, because as many as there may be are under way.
var ErrBusy = errors.New("too many calls are under way")

// ErrClosed is of a call after Close.
var ErrClosed = errors.New("closed")

// Calls are calls to one server. Safe for concurrent use.
type Calls struct {
	limit time.Duration
	slots chan struct{}
	base  context.Context // of what outlives its callers: ends with Close
	end   context.CancelFunc

	mu     sync.Mutex // held while a call begins, so that none does after Close
	closed bool
	under  sync.WaitGroup
}

// New returns calls of which each may take as long as limit, and at most so many at once. Close ends them.
func New(ctx context.Context, limit time.Duration, most int) *Calls {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	return &Calls{limit: limit, slots: make(chan struct{}, most), base: base, end: end}
}

// Do calls f, and returns what it returns, or ctx's error when that ends first: then f goes on with a context of its own, and
// nobody sees its result. f must not use what belongs to the caller. Errors: ErrBusy and ErrClosed, then f was not called.
func Do[T any](ctx context.Context, c *Calls, f func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if err := c.begin(); err != nil {
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1) // so that nobody need read it
	go func() {                     //nolint:contextcheck // it outlives its caller
		defer c.under.Done()
		defer func() { <-c.slots }()
		own, cancel := context.WithTimeout(c.base, c.limit)
		defer cancel()
		value, err := caught(own, f)
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// caught calls f, and makes an error of a panic: it is a bug in a client, which is to end the call and not the process.
func caught[T any](ctx context.Context, f func(context.Context) (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f(ctx)
}

func (c *Calls) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return fmt.Errorf("%w: %d", ErrBusy, cap(c.slots))
	}
	c.under.Add(1)
	return nil
}

// Go has f work in the background until Close ends its context.
func (c *Calls) Go(f func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.under.Go(func() { f(c.base) })
	}
}

// Close ends all calls, and waits for their end. It is safe to call twice.
func (c *Calls) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.under.Wait()
}
