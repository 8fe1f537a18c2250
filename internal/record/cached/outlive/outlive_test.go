package outlive

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A call whose caller is gone goes on, and ends at its own limit.
func TestOutlives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(t.Context(), time.Second, 1)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		began := time.Now()
		ended := make(chan time.Duration, 1)
		_, err := Do(ctx, c, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended <- time.Since(began)
			return 1, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Millisecond {
			t.Errorf("Do returned %v after %s", err, time.Since(began))
		}
		if _, err := Do(t.Context(), c, func(context.Context) (int, error) { return 1, nil }); !errors.Is(err, ErrBusy) {
			t.Errorf("a call beyond the bound: %v, want %v", err, ErrBusy)
		}
		if took := <-ended; took != time.Second {
			t.Errorf("the call ended after %s, want its own limit", took)
		}
		synctest.Wait()
		if v, err := Do(t.Context(), c, func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
			t.Errorf("the next call: %d, %v", v, err)
		}
	})
}

// A panic ends a call, and not the process.
func TestPanic(t *testing.T) {
	c := New(t.Context(), time.Minute, 2)
	defer c.Close()
	for range 2 { // a place each time
		if _, err := Do(t.Context(), c, func(context.Context) (int, error) { panic("a bug") }); err == nil || !strings.Contains(err.Error(), "a bug") {
			t.Errorf("the call: %v", err)
		}
	}
}

// Close ends what is under way, and nothing begins after it.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(t.Context(), time.Hour, 2)
		failed := make(chan error, 1)
		go func() {
			_, err := Do(t.Context(), c, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
			failed <- err
		}()
		c.Go(func(ctx context.Context) { <-ctx.Done() })
		synctest.Wait()
		c.Close()
		c.Close()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("the call under way: %v", err)
		}
		if _, err := Do(t.Context(), c, func(context.Context) (int, error) { return 0, nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("a call after Close: %v", err)
		}
		c.Go(func(context.Context) { t.Error("work began after Close") })
	})
}
