package quota_test

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

	"holdfast/internal/oci"
	"holdfast/internal/quota"
	"holdfast/internal/record"
)

// faulty is a store that is slow at times, and loses requests and answers. Some writes whose answer was lost land later.
type faulty struct {
	record.Store
	faults atomic.Bool
}

func (f *faulty) wait() {
	d := time.Duration(rand.IntN(100)) * time.Millisecond
	if f.faults.Load() && rand.IntN(50) == 0 {
		d = time.Duration(rand.IntN(20)) * time.Second
	}
	if f.faults.Load() && rand.IntN(300) == 0 {
		d = time.Duration(rand.IntN(100)) * time.Second
	}
	time.Sleep(d)
}

// fails reports whether requests for a key may fail: not those by which a replica starts.
func (f *faulty) fails(key record.Key) bool {
	return f.faults.Load() && !strings.HasPrefix(string(key), "cfg/")
}

func (f *faulty) Get(ctx context.Context, key record.Key) (record.Record, error) {
	f.wait()
	if f.fails(key) && rand.IntN(300) == 0 {
		return record.Record{}, fmt.Errorf("test: get %s: %w", key, record.ErrUnavailable)
	}
	return f.Store.Get(ctx, key)
}

func (f *faulty) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	f.wait()
	if f.fails(key) {
		lost := fmt.Errorf("test: put %s: %w", key, record.ErrUnavailable)
		switch rand.IntN(200) {
		case 0:
			return record.Stamp{}, lost
		case 1:
			_, _ = f.Store.Put(ctx, key, value, cond)
			return record.Stamp{}, lost
		case 2:
			ctx = context.WithoutCancel(ctx)
			go func() {
				time.Sleep(time.Duration(rand.IntN(40)) * time.Second)
				_, _ = f.Store.Put(ctx, key, value, cond)
			}()
			return record.Stamp{}, lost
		}
	}
	stamp, err := f.Store.Put(ctx, key, value, cond)
	f.wait()
	return stamp, err
}

// TestBoundUnderFaults: replicas push, delete and mount over a bad store for an hour, die and are followed by others, while counts are made. What is held never passes a
// limit; in the end, when all is counted, what is known is what is held.
func TestBoundUnderFaults(t *testing.T) {
	for range 2 {
		synctest.Test(t, boundUnderFaults)
	}
}

func boundUnderFaults(t *testing.T) {
	const limit = 2000 * kib
	limits := []quota.Limit{{Prefix: "team", Bytes: limit}, {Prefix: "team/b", Bytes: limit / 3}, {Repositories: 40}}
	s := inMemory(t)
	plain, bad := *s, &faulty{Store: s.records}
	s.records = bad
	first := s.replica(true, limits...)
	time.Sleep(time.Minute)
	if !first.book.Figures()[0].InForce {
		t.Fatal("it was not counted")
	}
	bad.faults.Store(true)
	until := time.Now().Add(time.Hour)
	over := func() bool { return time.Now().After(until) }
	var all sync.WaitGroup
	var mu sync.Mutex
	blobs := map[oci.Digest]oci.Repository{}
	var pushed, deleted, refused, failed atomic.Int64
	work := func(r *replica) {
		repos := []oci.Repository{"team/a", "team/b", "team", oci.Repository(fmt.Sprintf("team/c%d", rand.IntN(60)))}
		repo, size := repos[rand.IntN(len(repos))], 1+rand.IntN(60*kib)
		if rand.IntN(3) == 0 {
			mu.Lock()
			for d, repo := range blobs {
				delete(blobs, d)
				mu.Unlock()
				if err := r.DeleteBlob(t.Context(), repo, d); err == nil {
					deleted.Add(1)
				}
				return
			}
			mu.Unlock()
		}
		d, err := push(t.Context(), r, repo, size)
		if err == nil && rand.IntN(8) == 0 {
			_, _, err = manifest(t.Context(), r, repo, "t", size, d)
		} else if err == nil {
			mu.Lock()
			blobs[d] = repo
			mu.Unlock()
		}
		switch {
		case err == nil:
			pushed.Add(1)
		case full(err):
			refused.Add(1)
		case errors.Is(err, oci.ErrUnavailable), errors.Is(err, record.ErrUnavailable), errors.Is(err, &oci.Error{Code: oci.TooManyRequests}), errors.Is(err, oci.ErrBlobUnknown):
			failed.Add(1)
		default:
			t.Errorf("push: %v", err)
		}
	}
	for range 3 {
		all.Go(func() { // a place where one replica follows another
			for !over() {
				r := s.replica(true, limits...)
				end := time.Now().Add(time.Duration(1+rand.IntN(40)) * time.Minute)
				var calls sync.WaitGroup
				for range 3 {
					calls.Go(func() {
						for !over() && time.Now().Before(end) {
							work(r)
							time.Sleep(time.Duration(rand.IntN(8000)) * time.Millisecond)
						}
					})
				}
				if rand.IntN(2) == 0 {
					calls.Wait()
				} else { // it dies in the middle
					time.Sleep(time.Until(end) / 2)
				}
				r.kill()
				calls.Wait()
			}
		})
	}
	all.Go(func() {
		for !over() {
			time.Sleep(time.Duration(rand.IntN(15)) * time.Minute)
			_ = first.book.Recount(t.Context())
		}
	})
	most := int64(0)
	for !over() {
		time.Sleep(20 * time.Second)
		team, b, repos := plain.counted("team").Bytes, plain.counted("team/b").Bytes, plain.counted("").Repositories
		if team > limit || b > limit/3 || repos > 40 {
			t.Fatalf("%d of %d, %d of %d, %d repositories of 40: over", team, limit, b, limit/3, repos)
		}
		most = max(most, team)
	}
	all.Wait()
	bad.faults.Store(false)
	time.Sleep(10 * time.Minute)
	if err := first.book.Recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range first.book.Figures() {
		if held := plain.counted(f.Prefix); held.Bytes != f.Used.Bytes || held.Repositories != f.Used.Repositories {
			t.Errorf("%q: %+v are held, %+v are known", f.Prefix, held, f.Used)
		}
	}
	t.Logf("%d pushed, %d deleted, %d refused, %d failed; at most %d of %d", pushed.Load(), deleted.Load(), refused.Load(), failed.Load(), most, limit)
	if refused.Load() == 0 || deleted.Load() == 0 || most < limit*9/10 {
		t.Error("the test shows nothing")
	}
}
