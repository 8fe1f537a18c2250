package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Hold renews the lease in the background, every third of its ttl, until stop is called or ctx ends. The context that it returns ends with
// ctx, by stop, and with the cause ErrLost when the lease was lost or released, or could not be renewed for ttl: then others may have
// taken it. stop waits for the last renewal and may be called twice; it does not release the lease.
func (l *Lease) Hold(ctx context.Context) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(l.renew(held))
	}()
	return held, func() {
		cancel(nil)
		<-ended
	}
}

// renew renews until ctx ends (nil) or the lease is over (ErrLost). An attempt that fails is made again sooner.
func (l *Lease) renew(ctx context.Context) error {
	var failed error
	for {
		wait := l.ttl / 3
		if failed != nil {
			wait = l.ttl / 9
		}
		timer := time.NewTimer(min(wait, max(l.left(), 0)))
		select {
		case <-timer.C:
		case <-l.over:
			timer.Stop()
			return ErrLost
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		left := l.left()
		if left <= 0 {
			return fmt.Errorf("lease: %s was not renewed for %s: %w", l.name, l.ttl, errors.Join(ErrLost, failed))
		}
		try, cancel := context.WithTimeout(ctx, min(left, l.ttl/3))
		failed = l.write(try, func(*head) {})
		cancel()
		if errors.Is(failed, ErrLost) {
			return failed
		}
	}
}
