package gather_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/record/gather"
	"holdfast/internal/record/mem"
	"holdfast/internal/record/recordtest"
)

func TestStore(t *testing.T) {
	recordtest.Options{ConditionalDelete: true}.Run(t, func(*testing.T) record.Store {
		return gather.New(mem.New(mem.Config{}), gather.Config{Reads: 1, Patience: time.Microsecond})
	})
}

// slow is a store whose reads take time, before and after the instant at which they read.
type slow struct {
	record.Store
	before, after func() time.Duration
	begun, open   atomic.Int64
	most          atomic.Int64
}

func (s *slow) Get(ctx context.Context, key record.Key) (record.Record, error) {
	s.begun.Add(1)
	if open := s.open.Add(1); open > s.most.Load() {
		s.most.Store(open) // within synctest: exact enough, and never too high
	}
	defer s.open.Add(-1)
	if err := pass(ctx, s.before()); err != nil {
		return record.Record{}, err
	}
	rec, err := s.Store.Get(ctx, key)
	if late := pass(ctx, s.after()); late != nil {
		return record.Record{}, late
	}
	return rec, err
}

func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func number(n int) []byte { return fmt.Appendf(nil, "%01024d", n) }

func numberOf(rec record.Record) (n int) {
	_, _ = fmt.Sscanf(strings.TrimLeft(string(rec.Value[:1023]), "0")+string(rec.Value[1023:]), "%d", &n)
	return n
}

// TestCrowd counts: however many ask, the store is asked a few times.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &slow{Store: mem.New(mem.Config{}), before: always(5 * time.Millisecond), after: always(5 * time.Millisecond)}
		store := gather.New(under, gather.Config{})
		if _, err := store.Put(t.Context(), "a/k", number(1), record.IfAbsent()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if rec, err := store.Get(t.Context(), "a/k"); err != nil || numberOf(rec) != 1 {
					t.Errorf("%v %v", rec, err)
				}
			})
		}
		all.Wait()
		if n := under.begun.Load(); n != 9 { // eight at once, and one for all others
			t.Errorf("1,000 at once made %d reads, want 9", n)
		}
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("the last had its answer after %s, want two reads' time", took)
		}
		under.begun.Store(0)
		began = time.Now()
		for range 32 { // one after the other, as clients do
			all.Go(func() {
				for range 100 {
					if _, err := store.Get(t.Context(), "a/k"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		reads, took := under.begun.Load(), time.Since(began)
		if most := 16 * (int64(took/(10*time.Millisecond)) + 2); reads > most {
			t.Errorf("3,200 reads of 32 clients were %d of the store in %s, want at most %d", reads, took, most)
		}
		if most := under.most.Load(); most > 17 { // eight at once, and one more for each eighth of the time that they take
			t.Errorf("%d reads at once, want at most 17", most)
		}
		if each := took / 100; each > 12*time.Millisecond {
			t.Errorf("a read took %s, want little more than the 10 ms of one alone", each)
		}
		for i := range 8 { // other keys are other reads
			all.Go(func() { _, _ = store.Get(t.Context(), record.Key(fmt.Sprint("a/", i))) })
		}
		synctest.Wait()
		if open := under.open.Load(); open != 8 {
			t.Errorf("%d reads of 8 keys are under way", open)
		}
		all.Wait()
	})
}

// TestAlone: who is alone, or one of few, has a read of its own at once.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &slow{Store: mem.New(mem.Config{}), before: always(time.Second), after: always(0)}
		store := gather.New(under, gather.Config{})
		type mark struct{}
		for range 3 {
			began := time.Now()
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					if _, err := store.Get(context.WithValue(t.Context(), mark{}, 1), "a/k"); !errors.Is(err, record.ErrNotFound) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if took := time.Since(began); took != time.Second {
				t.Errorf("it took %s", took)
			}
		}
		if n := under.begun.Load(); n != 12 {
			t.Errorf("%d reads", n)
		}
	})
}

// TestFresh is the promise, against a model: one writer counts up, many read. Nobody is given less than was acknowledged before it called, nor more than
// was begun when it got it; and the times of reads, of the writer and of the callers are such that joining a read under way is seen.
func TestFresh(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			rng := rand.New(rand.NewPCG(seed, 7))
			random := func(limit time.Duration) func() time.Duration {
				return func() time.Duration {
					mu.Lock()
					defer mu.Unlock()
					return time.Duration(rng.Int64N(int64(limit)))
				}
			}
			under := &slow{Store: mem.New(mem.Config{}), before: random(10 * time.Millisecond), after: random(20 * time.Millisecond)}
			store := gather.New(under, gather.Config{Reads: int(seed%3) + 1, Patience: random(50*time.Millisecond)() + 1})
			pause, gone := random(3*time.Millisecond), random(40*time.Millisecond)
			var begun, acknowledged atomic.Int64
			var all sync.WaitGroup
			all.Go(func() {
				var stamp record.Stamp
				for n := int64(1); n <= 40; n++ {
					begun.Store(n)
					cond := record.IfAbsent()
					if n > 1 {
						cond = record.IfVersion(stamp.Version)
					}
					var err error
					if stamp, err = store.Put(t.Context(), "a/k", number(int(n)), cond); err != nil {
						t.Error(err)
						return
					}
					acknowledged.Store(n)
					time.Sleep(pause())
				}
			})
			for client := range 12 {
				all.Go(func() {
					for range 15 {
						ctx, cancel := t.Context(), context.CancelFunc(func() {})
						if client%3 == 0 {
							ctx, cancel = context.WithTimeout(ctx, gone())
						}
						least := acknowledged.Load()
						rec, err := store.Get(ctx, "a/k")
						most := begun.Load()
						ended := ctx.Err()
						cancel()
						got := int64(0)
						switch {
						case err == nil:
							got = int64(numberOf(rec))
						case errors.Is(err, context.DeadlineExceeded) && ended != nil:
							continue
						case !errors.Is(err, record.ErrNotFound):
							t.Errorf("seed %d: %v", seed, err)
						}
						if got < least || got > most {
							t.Errorf("seed %d: read %d, between %d acknowledged before and %d begun after", seed, got, least, most)
						}
						time.Sleep(pause())
					}
				})
			}
			all.Wait()
		})
		if t.Failed() {
			return
		}
	}
}

// TestLeave: callers go when their context ends; the shared read goes on for those who stay, and ends with the last.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &slow{Store: mem.New(mem.Config{}), before: always(time.Hour), after: always(0)}
		store := gather.New(under, gather.Config{Reads: 1, Patience: time.Minute})
		get := func(within time.Duration) <-chan error {
			out := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				_, err := store.Get(ctx, "a/k")
				out <- err
			}()
			synctest.Wait()
			return out
		}
		wantGone := func(c <-chan error, within time.Duration) {
			t.Helper()
			began := time.Now()
			if err := <-c; !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > within {
				t.Errorf("%v after %s", err, time.Since(began))
			}
		}
		first := get(2 * time.Minute)
		early, late, later := get(time.Second), get(90*time.Second), get(100*time.Second)
		wantGone(early, time.Second) // before the read began
		if n := under.begun.Load(); n != 1 {
			t.Errorf("%d reads have begun", n)
		}
		time.Sleep(70 * time.Second) // it has begun, without waiting for the first
		if n := under.open.Load(); n != 2 {
			t.Errorf("%d reads are under way", n)
		}
		wantGone(late, 20*time.Second)
		synctest.Wait()
		if n := under.open.Load(); n != 2 {
			t.Errorf("%d reads are under way for the last caller and the first", n)
		}
		wantGone(later, 10*time.Second)
		synctest.Wait()
		if n := under.open.Load(); n != 1 {
			t.Errorf("%d reads are under way, for the first caller", n)
		}
		alone := get(time.Second) // waits, and goes before its read began
		wantGone(alone, time.Second)
		wantGone(first, time.Minute)
		time.Sleep(time.Hour)
		if n := under.begun.Load(); n != 2 || under.open.Load() != 0 {
			t.Errorf("%d reads were made", n)
		}
	})
}

type odd struct {
	record.Store
	calls atomic.Int64
}

var errOdd = fmt.Errorf("the store is gone: %w", record.ErrUnavailable)

func (o *odd) Get(ctx context.Context, _ record.Key) (record.Record, error) {
	n := o.calls.Add(1)
	_ = pass(ctx, time.Second)
	switch n {
	case 2:
		panic("a bug")
	case 4:
		return record.Record{Value: make([]byte, 3, 10)}, nil
	}
	return record.Record{}, errOdd
}

// TestAnswers: all callers of a read have its error; a panic is an error; nobody appends into what another has.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := gather.New(&odd{}, gather.Config{Reads: 1, Patience: time.Hour})
		round := func(check func(record.Record, error) bool) {
			t.Helper()
			var all sync.WaitGroup
			all.Go(func() {
				if _, err := store.Get(t.Context(), "a/k"); !errors.Is(err, record.ErrUnavailable) {
					t.Error(err)
				}
			})
			synctest.Wait()
			for range 5 {
				all.Go(func() {
					if rec, err := store.Get(t.Context(), "a/k"); !check(rec, err) {
						t.Errorf("%v %v", rec, err)
					}
				})
			}
			all.Wait()
		}
		round(func(_ record.Record, err error) bool { return err != nil && strings.Contains(err.Error(), "a bug") })
		round(func(rec record.Record, err error) bool { return err == nil && cap(rec.Value) == 3 })
		round(func(_ record.Record, err error) bool { return errors.Is(err, errOdd) })
	})
}

// BenchmarkAlone is what a read costs more that is alone.
func BenchmarkAlone(b *testing.B) {
	under := mem.New(mem.Config{})
	if _, err := under.Put(b.Context(), "a/k", number(1), record.IfAbsent()); err != nil {
		b.Fatal(err)
	}
	for name, store := range map[string]record.Store{"direct": under, "gathered": gather.New(under, gather.Config{})} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := store.Get(b.Context(), "a/k"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
