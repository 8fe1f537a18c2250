package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/record"
	"holdfast/internal/record/mem"
)

// position is what the tests save as progress.
type position struct {
	After string `json:"after"`
	Count int    `json:"count"`
}

// run runs a test whose time is the bubble's, which is the store's too.
func run(t *testing.T, name string, test func(*testing.T, format.Store)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, format.Store{Records: mem.New(mem.Config{}), Ages: format.DefaultAges()})
		})
	})
}

func take(t *testing.T, s format.Store, holder string) *lease.Lease {
	t.Helper()
	l, err := lease.Take(t.Context(), s, "work", holder, 0)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantHeld(t *testing.T, s format.Store, by string) (since, until time.Time) {
	t.Helper()
	var held *lease.HeldError
	if _, err := lease.Take(t.Context(), s, "work", "another", 0); !errors.As(err, &held) || held.Holder != by || held.Name != "work" {
		t.Fatalf("take = %v, want a HeldError of %s", err, by)
	}
	return held.Since, held.Until
}

func wantProgress(t *testing.T, l *lease.Lease, want position) {
	t.Helper()
	var got position
	if found, err := l.Progress(&got); err != nil || found != (want != position{}) || got != want {
		t.Errorf("progress = %+v, %t, %v, want %+v", got, found, err, want)
	}
}

func save(t *testing.T, l *lease.Lease, p position) {
	t.Helper()
	if err := l.Save(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func TestLease(t *testing.T) {
	run(t, "the dead holder's is taken over after its ttl, with its progress", func(t *testing.T, s format.Store) {
		a := take(t, s, "a")
		wantProgress(t, a, position{})
		began := time.Now()
		time.Sleep(30 * time.Second)
		save(t, a, position{"k", 7}) // and dies
		time.Sleep(lease.DefaultTTL - time.Second)
		since, until := wantHeld(t, s, "a")
		if !since.Equal(began) || time.Until(until) != time.Second {
			t.Errorf("held since %s until %s, now is %s", since, until, time.Now())
		}
		time.Sleep(time.Second)
		b := take(t, s, "b")
		wantProgress(t, b, position{"k", 7})
		if a.Epoch() != 1 || b.Epoch() != 2 {
			t.Errorf("epochs %d and %d, want 1 and 2", a.Epoch(), b.Epoch())
		}
		save(t, b, position{"l", 8})

		// It was only asleep.
		if err := a.Save(t.Context(), position{"stale", 9}); !errors.Is(err, lease.ErrLost) {
			t.Errorf("save by the stale holder = %v, want ErrLost", err)
		}
		if err := a.Save(t.Context(), position{"stale", 9}); !errors.Is(err, lease.ErrLost) {
			t.Errorf("save by the stale holder again = %v, want ErrLost", err)
		}
		if err := a.Release(t.Context(), false); err != nil {
			t.Errorf("release of what is known to be lost = %v", err)
		}
		save(t, b, position{"m", 10})
		wantHeld(t, s, "b")
	})
	run(t, "a stale holder of the same name is fenced by the epoch", func(t *testing.T, s format.Store) {
		first := take(t, s, "a")
		time.Sleep(lease.DefaultTTL)
		second := take(t, s, "a")
		if err := first.Release(t.Context(), true); !errors.Is(err, lease.ErrLost) {
			t.Errorf("release by the stale holder = %v, want ErrLost", err)
		}
		save(t, second, position{"k", 1})
		wantHeld(t, s, "a")
	})
	run(t, "a released one is free at once", func(t *testing.T, s format.Store) {
		a := take(t, s, "a")
		save(t, a, position{"k", 1})
		for range 2 {
			if err := a.Release(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Save(t.Context(), position{"l", 2}); !errors.Is(err, lease.ErrLost) {
			t.Errorf("save after release = %v, want ErrLost", err)
		}
		b := take(t, s, "b")
		wantProgress(t, b, position{"k", 1})
		if err := b.Release(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		c := take(t, s, "c")
		wantProgress(t, c, position{})
		if c.Epoch() != 3 {
			t.Errorf("epoch %d, want 3", c.Epoch())
		}
	})
	run(t, "of many that take at once one has it", func(t *testing.T, s format.Store) {
		var won atomic.Int64
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				_, err := lease.Take(t.Context(), s, "work", fmt.Sprint("holder-", i), 0)
				var held *lease.HeldError
				switch {
				case err == nil:
					won.Add(1)
				case !errors.As(err, &held):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d have it", won.Load())
		}
	})
	run(t, "names that are none", func(t *testing.T, s format.Store) {
		for _, n := range [][2]string{{"", "a"}, {"a/b", "a"}, {"work", ""}} {
			if _, err := lease.Take(t.Context(), s, n[0], n[1], 0); err == nil {
				t.Errorf("take of %q for %q: no error", n[0], n[1])
			}
		}
	})
}

func TestHold(t *testing.T) {
	run(t, "is renewed until it is stopped", func(t *testing.T, s format.Store) {
		a := take(t, s, "a")
		ctx, stop := a.Hold(t.Context())
		time.Sleep(10 * time.Minute)
		wantHeld(t, s, "a")
		save(t, a, position{"k", 1}) // beside the renewals
		time.Sleep(10 * time.Minute)
		if ctx.Err() != nil {
			t.Errorf("ended: %v", context.Cause(ctx))
		}
		stop()
		stop()
		if ctx.Err() == nil || errors.Is(context.Cause(ctx), lease.ErrLost) {
			t.Errorf("after stop: %v", context.Cause(ctx))
		}
		time.Sleep(lease.DefaultTTL)
		wantProgress(t, take(t, s, "b"), position{"k", 1})
	})
	run(t, "ends when it was taken", func(t *testing.T, s format.Store) {
		asleep := &faulty{Store: s.Records}
		a := take(t, format.Store{Records: asleep, Ages: s.Ages}, "a")
		asleep.stall.Store(true) // the process is stopped, as far as others see
		time.Sleep(lease.DefaultTTL)
		b := take(t, s, "b")
		asleep.stall.Store(false)
		ctx, stop := a.Hold(t.Context())
		defer stop()
		_, stopB := b.Hold(t.Context())
		defer stopB()
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), lease.ErrLost) {
			t.Errorf("ended: %v, want ErrLost", context.Cause(ctx))
		}
	})
	for _, stalls := range []bool{false, true} {
		run(t, fmt.Sprintf("ends before others may take it when the store is away (stalls: %t)", stalls), func(t *testing.T, s format.Store) {
			away := &faulty{Store: s.Records}
			a := take(t, format.Store{Records: away, Ages: s.Ages}, "a")
			ctx, stop := a.Hold(t.Context())
			defer stop()
			time.Sleep(lease.DefaultTTL)
			away.stall.Store(stalls)
			away.fail.Store(!stalls)
			for {
				time.Sleep(time.Second)
				synctest.Wait()
				_, err := lease.Take(t.Context(), s, "work", "b", 0)
				if err != nil {
					continue
				}
				if !errors.Is(context.Cause(ctx), lease.ErrLost) {
					t.Errorf("b has it, and a is told %v, want ErrLost", context.Cause(ctx))
				}
				return
			}
		})
	}
	run(t, "outlives a store that is away for less than its ttl", func(t *testing.T, s format.Store) {
		away := &faulty{Store: s.Records}
		a := take(t, format.Store{Records: away, Ages: s.Ages}, "a")
		ctx, stop := a.Hold(t.Context())
		defer stop()
		away.fail.Store(true)
		time.Sleep(lease.DefaultTTL - 6*time.Second) // it is tried again every five
		away.fail.Store(false)
		time.Sleep(time.Minute)
		if ctx.Err() != nil {
			t.Errorf("ended: %v", context.Cause(ctx))
		}
		wantHeld(t, s, "a")
	})
}

func TestAnswersThatAreLost(t *testing.T) {
	run(t, "of a save: the next one goes on from it", func(t *testing.T, s format.Store) {
		lossy := &faulty{Store: s.Records}
		a := take(t, format.Store{Records: lossy, Ages: s.Ages}, "a")
		lossy.lose.Store(true)
		if err := a.Save(t.Context(), position{"k", 1}); !errors.Is(err, record.ErrUnavailable) {
			t.Fatalf("save = %v, want ErrUnavailable", err)
		}
		lossy.lose.Store(false)
		save(t, a, position{"l", 2})
		time.Sleep(lease.DefaultTTL)
		wantProgress(t, take(t, s, "b"), position{"l", 2})
	})
	run(t, "of a release: it is free", func(t *testing.T, s format.Store) {
		lossy := &faulty{Store: s.Records}
		a := take(t, format.Store{Records: lossy, Ages: s.Ages}, "a")
		lossy.lose.Store(true)
		if err := a.Release(t.Context(), true); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("release = %v, want ErrUnavailable", err)
		}
		if err := a.Save(t.Context(), position{"l", 2}); !errors.Is(err, lease.ErrLost) {
			t.Errorf("save after it = %v, want ErrLost", err)
		}
		take(t, s, "b")
	})
	run(t, "of a take: nobody has it, and it is free after its ttl", func(t *testing.T, s format.Store) {
		lossy := &faulty{Store: s.Records}
		lossy.lose.Store(true)
		if _, err := lease.Take(t.Context(), format.Store{Records: lossy, Ages: s.Ages}, "work", "a", 0); !errors.Is(err, record.ErrUnavailable) {
			t.Fatalf("take = %v, want ErrUnavailable", err)
		}
		wantHeld(t, s, "a")
		time.Sleep(lease.DefaultTTL)
		take(t, s, "b")
	})
	// A take's own write is sent and its answer lost; when the driver looks, another's value is there.
	run(t, "of a take that another overtook: it has lost", func(t *testing.T, s format.Store) {
		first := take(t, s, "old")
		if err := first.Release(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		var winner *lease.Lease
		overtaken := &faulty{Store: s.Records, overtake: func() { winner = take(t, s, "b") }}
		l, err := lease.Take(t.Context(), format.Store{Records: overtaken, Ages: s.Ages}, "work", "a", 0)
		var held *lease.HeldError
		if l != nil || !errors.As(err, &held) || held.Holder != "b" {
			t.Errorf("take = %v, want a HeldError of b", err)
		}
		save(t, winner, position{"k", 1})
	})
	run(t, "of a save that a take overtook: it has lost", func(t *testing.T, s format.Store) {
		overtaken := &faulty{Store: s.Records}
		a := take(t, format.Store{Records: overtaken, Ages: s.Ages}, "a")
		time.Sleep(lease.DefaultTTL)
		overtaken.overtake = func() { take(t, s, "b") }
		if err := a.Save(t.Context(), position{"k", 1}); !errors.Is(err, lease.ErrLost) {
			t.Errorf("save = %v, want ErrLost", err)
		}
	})
}

// faulty is a store as a replica sees it that is in trouble.
type faulty struct {
	record.Store
	stall    atomic.Bool // no answer before the context ends
	fail     atomic.Bool // an error at once, nothing written
	lose     atomic.Bool // written, and the answer lost
	overtake func()      // called once, before a Put that is lost for it
}

func (f *faulty) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	switch {
	case f.stall.Load():
		<-ctx.Done()
		return record.Stamp{}, ctx.Err()
	case f.fail.Load():
		return record.Stamp{}, record.ErrUnavailable
	case f.overtake != nil:
		f.overtake()
		f.overtake = nil
		now, err := f.Get(ctx, key)
		return record.Stamp{}, &record.Uncertain{Current: now, Err: errors.Join(err, record.ErrUnavailable)}
	}
	stamp, err := f.Store.Put(ctx, key, value, cond)
	if f.lose.Load() {
		return record.Stamp{}, record.ErrUnavailable
	}
	return stamp, err
}
