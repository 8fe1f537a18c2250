package bolt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/record"
)

func mustOpen(t *testing.T, cfg Config) *Store {
	t.Helper()
	store, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func mustClose(t *testing.T, store *Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// putAll creates keys, all at once, and returns how long that took by the bubble's clock.
func putAll(t *testing.T, store *Store, keys ...string) time.Duration {
	t.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for _, key := range keys {
		wg.Go(func() {
			if _, err := store.Put(t.Context(), record.Key(key), []byte("v"), record.IfAbsent()); err != nil {
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// gatherLater builds a committer over the store's file whose goroutine takes one group, after one of
// last writes, and commits it.
func gatherLater(store *Store, delay time.Duration, last int) (c *committer, size chan int) {
	c = newCommitter(store.path, store.db, store.clock, delay)
	size = make(chan int, 1)
	go func() {
		group := c.gather(<-c.queue, last)
		size <- len(group)
		c.commit(group)
	}()
	return c, size
}

func TestGroupDelay(t *testing.T) {
	const delay = 50 * time.Millisecond
	for _, c := range []struct {
		name        string
		delay       time.Duration
		last        int
		comeAfter   []time.Duration
		size        int
		acknowledge time.Duration // when, after the first came
	}{
		{"no delay", 0, 8, []time.Duration{0}, 1, 0},
		{"alone, as the last", delay, 1, []time.Duration{0}, 1, 0},
		{"alone, after a group", delay, 2, []time.Duration{0}, 1, delay},
		{"as many as the last", delay, 3, []time.Duration{0, 0, 30 * time.Millisecond}, 3, 30 * time.Millisecond},
		{"fewer than the last", delay, 9, []time.Duration{0, 10 * time.Millisecond, 49 * time.Millisecond}, 3, delay},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				store := mustOpen(t, Config{Dir: dir})
				commits, size := gatherLater(store, c.delay, c.last)
				start := time.Now()
				var wg sync.WaitGroup
				for i, after := range c.comeAfter {
					wg.Go(func() {
						time.Sleep(after)
						w := newWrite(t.Context(), record.Key(fmt.Sprint(i)), record.IfAbsent())
						w.stored = prepare([]byte("v"))
						if err := commits.do(t.Context(), w); err != nil {
							t.Errorf("put: %v", err)
						}
					})
				}
				wg.Wait()
				if got := <-size; got != c.size || time.Since(start) != c.acknowledge {
					t.Errorf("a group of %d after %s, want %d after %s", got, time.Since(start), c.size, c.acknowledge)
				}
				mustClose(t, store)
			})
		})
	}
}

// A write that is given up while it waits for its group leaves nothing.
func TestWaitThatEnds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := mustOpen(t, Config{Dir: dir})
		commits, _ := gatherLater(store, time.Hour, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		w := newWrite(ctx, "k", record.IfAbsent())
		w.stored = prepare([]byte("v"))
		if err := commits.do(ctx, w); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("put: %v after %s", err, time.Since(start))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if _, err := store.Get(t.Context(), "k"); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("get of a write that was given up: %v", err)
		}
		mustClose(t, store)
	})
}

func TestClockThatIsSetBack(t *testing.T) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	now := start
	cfg := Config{Dir: t.TempDir(), wall: func() time.Time { return now }}
	store := mustOpen(t, cfg)
	put := func(key record.Key) time.Duration {
		t.Helper()
		stamp, err := store.Put(t.Context(), key, []byte("v"), record.IfAbsent())
		if err != nil {
			t.Fatal(err)
		}
		return stamp.Modified.Sub(start)
	}
	if got := put("1"); got != 0 {
		t.Errorf("Modified is %s from the wall clock", got)
	}
	now = start.Add(-time.Hour)
	if got := put("2"); got != 0 {
		t.Errorf("Modified went back by %s with the wall clock", got)
	}
	now = start.Add(time.Hour)
	if got := store.Now().Sub(start); got != time.Hour {
		t.Errorf("Now is %s after the start, want 1h", got)
	}
	now = start
	if got := put("3"); got != time.Hour {
		t.Errorf("Modified is %s after the start, before a Now of 1h that was read", got)
	}
	mustClose(t, store)

	now = start.Add(-24 * time.Hour)
	store = mustOpen(t, cfg)
	if got := store.Now().Sub(start); got != time.Hour {
		t.Errorf("after a new start Now is %s from the start, want the last Modified, 1h", got)
	}
	if got := put("4"); got != time.Hour {
		t.Errorf("after a new start Modified is %s from the start, want 1h", got)
	}
	mustClose(t, store)
}

// A list holds no transaction while its consumer works: Close, which waits for them, returns.
func TestListHoldsNoTransaction(t *testing.T) {
	store := mustOpen(t, Config{Dir: t.TempDir()})
	var keys []string
	for i := range pageSize + 10 {
		keys = append(keys, fmt.Sprintf("k/%d", i))
	}
	putAll(t, store, keys...)
	seen := 0
	var last error
	for _, err := range store.List(t.Context(), "k/", "") {
		if last = err; err != nil {
			break
		}
		if seen++; seen == 1 {
			mustClose(t, store)
		}
	}
	if seen != pageSize || !errors.Is(last, record.ErrUnavailable) {
		t.Errorf("a list over a Close saw %d keys, then %v", seen, last)
	}
}

// When it is not known whether a transaction is on disk, nothing is read from it, nor written after it.
func TestBrokenDown(t *testing.T) {
	dir := t.TempDir()
	store := mustOpen(t, Config{Dir: dir})
	putAll(t, store, "k/1")
	err := store.commits.breakDown(errors.New("input/output error"))
	if err == nil {
		t.Fatal("no error")
	}
	_, getErr := store.Get(t.Context(), "k/1")
	_, putErr := store.Put(t.Context(), "k/2", []byte("v"), record.IfAbsent())
	deleteErr := store.Delete(t.Context(), "k/1", record.Always())
	var listErr error
	for _, err := range store.List(t.Context(), "k/", "") {
		listErr = err
	}
	for call, err := range map[string]error{"get": getErr, "put": putErr, "delete": deleteErr, "list": listErr} {
		if !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("%s: %v, want %v", call, err, record.ErrUnavailable)
		}
	}
	mustClose(t, store)
	store = mustOpen(t, Config{Dir: dir})
	if _, err := store.Get(t.Context(), "k/1"); err != nil {
		t.Errorf("after a new start: %v", err)
	}
	mustClose(t, store)
}

func TestNoDirectory(t *testing.T) {
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("no directory: no error")
	}
	if _, err := Open(t.Context(), Config{Dir: filepath.Join("/proc", "none")}); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("a directory that cannot be: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Config{Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}
