package cached_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/record/cached"
)

// counting is a shared cache that counts.
type counting struct {
	*mapCache
	fails  bool
	hangs  bool
	counts map[string]int64
	asked  int
}

func (c *counting) Add(ctx context.Context, key string, n int64, ttl time.Duration) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.hangs {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	if c.fails {
		return 0, errors.New("no")
	}
	if ttl != time.Second {
		return 0, errors.New("another time")
	}
	c.counts[key] += n
	return c.counts[key], nil
}

func TestCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := &counting{mapCache: newMapCache(), counts: map[string]int64{}}
		of := func(secret string) *cached.Store {
			s := cached.New(t.Context(), newBucket(), cached.Config{Shared: cache, Key: func() []byte { return []byte(secret) }}, slog.New(slog.DiscardHandler))
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		one, other, stranger, early := of("secret"), of("secret"), of("another"), of("")
		said := func(s *cached.Store, name string, n int64) (total int64) {
			total = -1
			s.Count(name, n, time.Second, func(is int64) { total = is })
			synctest.Wait()
			return total
		}
		for _, row := range []struct {
			store *cached.Store
			name  string
			n     int64
			want  int64
		}{{one, "a", 2, 2}, {other, "a", 3, 5}, {other, "b", 1, 1}, {stranger, "a", 1, 1}, {early, "a", 1, -1}} {
			if got := said(row.store, row.name, row.n); got != row.want {
				t.Errorf("%s and %d is %d, want %d", row.name, row.n, got, row.want)
			}
		}
		for key := range cache.counts {
			if !strings.HasPrefix(key, "hf1:") || len(key) != len("hf1:")+32 {
				t.Errorf("the cache knows a counter as %q", key)
			}
		}
		cache.fails, cache.asked = true, 0
		for range 10 {
			if got := said(one, "a", 1); got != -1 {
				t.Errorf("a cache that fails says %d", got)
			}
		}
		if counts := one.Counts(); cache.asked != 10 || counts.GivenUp() || counts.Stored.Failed.Load() != 10 {
			t.Errorf("a cache that may not count is asked %d times and has failed %d times, want 10; it is given up: %t", cache.asked, counts.Stored.Failed.Load(), counts.GivenUp())
		}
		cache.hangs, cache.asked = true, 0
		for range 4 { // a probe is made after 5 s
			one.Count("a", 1, time.Second, func(int64) { t.Error("a cache that hangs answers") })
			time.Sleep(time.Second) // of the bubble: longer than a write may take
			synctest.Wait()
		}
		if cache.asked != 3 || !one.Counts().GivenUp() {
			t.Errorf("a cache that hangs is asked %d times, want 3", cache.asked)
		}
	})
}

func TestCountWithoutACache(t *testing.T) {
	s := cached.New(t.Context(), newBucket(), cached.Config{Key: func() []byte { return []byte("secret") }}, slog.New(slog.DiscardHandler))
	s.Count("a", 1, time.Second, func(int64) { t.Error("somebody counts") })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
