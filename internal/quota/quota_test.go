package quota_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/quota"
	"holdfast/internal/registry"
)

const kib = 1 << 10

// TestBound: three replicas push at once until nothing goes any more. The limit is never passed, and little of it is left over.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { bound(t, inMemory(t), 4096*kib, 600) })
}

// bound is TestBound over any store.
func bound(t *testing.T, s *site, limit int64, pushes int) {
	limits := []quota.Limit{{Prefix: "team", Bytes: limit}, {Prefix: "team/b", Bytes: limit / 3}}
	var replicas []*replica
	for range 3 {
		replicas = append(replicas, s.replica(true, limits...))
	}
	for _, r := range replicas {
		for figures, err := r.book.Look(t.Context()); !figures[0].InForce; figures, err = r.book.Look(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	var took, refused, busy atomic.Int64
	var all sync.WaitGroup
	for i, r := range replicas {
		for range 4 {
			all.Go(func() {
				for range pushes / 12 {
					size := 1 + rand.IntN(40*kib)
					_, err := push(t.Context(), r, oci.Repository([]string{"team/a", "team/b", "team"}[rand.IntN(3)]), size)
					switch {
					case err == nil:
						took.Add(int64(size))
					case full(err):
						refused.Add(1)
					case errors.Is(err, oci.ErrUnavailable):
						busy.Add(1)
					default:
						t.Errorf("replica %d: %v", i, err)
					}
					time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
				}
			})
		}
	}
	all.Wait()
	got := s.counted("team").Bytes
	if got != took.Load() {
		t.Errorf("%d bytes are counted, %d were acknowledged", got, took.Load())
	}
	if got > limit || s.counted("team/b").Bytes > limit/3 {
		t.Errorf("%d of %d, and %d of %d: over", got, limit, s.counted("team/b").Bytes, limit/3)
	}
	time.Sleep(10 * time.Second) // claims that are not used are given back
	for {
		if _, err := push(t.Context(), replicas[1], "team/a", kib); full(err) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if got = s.counted("team").Bytes; got > limit || got <= limit-kib {
		t.Errorf("%d of %d are used when there is no room for a KiB", got, limit)
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused: the test shows nothing")
	}
	t.Logf("%d pushed, %d refused, %d told to try again", took.Load(), refused.Load(), busy.Load())
	for _, r := range replicas {
		r.stop()
	}
}

// TestFreed: what is deleted makes room, at every replica; what is pushed twice takes it once; a tag of what is there takes none.
func TestFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Prefix: "team", Bytes: 100 * kib}
		a, b := s.replica(true, limit), s.replica(true, limit)
		time.Sleep(time.Minute) // counted, and known
		d, err := push(t.Context(), a, "team/x", 98*kib)
		if err != nil {
			t.Fatal(err)
		}
		pushed, size, err := manifest(t.Context(), b, "team/x", "one", 98*kib, d)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // until then it may be told to try again
		if _, err := push(t.Context(), b, "team/y", 4*kib); !full(err) {
			t.Errorf("over the limit: %v", err)
		}
		if err := b.MountBlob(t.Context(), "team/y", d, registry.Source{Repository: "team/x"}); !full(err) {
			t.Errorf("mounted over the limit: %v", err)
		}
		if _, err := b.StatBlob(t.Context(), "team/y", d); !errors.Is(err, oci.ErrBlobUnknown) {
			t.Errorf("it is there all the same: %v", err)
		}
		if _, err := push(t.Context(), b, "elsewhere", 400*kib); err != nil {
			t.Errorf("beside the prefix: %v", err)
		}
		for range 200 { // of a manifest that is there: they take nothing
			if _, _, err := manifest(t.Context(), b, "team/x", "two", 98*kib, d); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.counted("team"); got.Bytes != 98*kib+size || got.Repositories != 1 {
			t.Errorf("%+v", got)
		}
		if err := a.DeleteManifest(t.Context(), "team/x", pushed.Digest); err != nil {
			t.Fatal(err)
		}
		if err := a.DeleteBlob(t.Context(), "team/x", d); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if _, err := push(t.Context(), b, "team/y", 99*kib); err != nil {
			t.Errorf("after the delete: %v", err)
		}
		time.Sleep(5 * time.Second)
		figures, err := a.book.Look(t.Context())
		if err != nil || len(figures) != 1 || !figures[0].InForce || figures[0].Used.Bytes != 99*kib {
			t.Errorf("%+v %v", figures, err)
		}
	})
}

// TestEarly: what has no room is refused before it is received, and a body without an end is cut where the room ends.
func TestEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		r := s.replica(true, quota.Limit{Bytes: 100 * kib})
		time.Sleep(time.Minute)
		up, err := r.StartUpload(t.Context(), "a", digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		body := &endless{}
		if _, err := r.AppendUpload(t.Context(), "a", up.ID, registry.Chunk{Start: -1, Size: 101 * kib, Body: body}); !full(err) || body.read != 0 {
			t.Errorf("an announced chunk: %v after %d bytes", err, body.read)
		}
		if _, err := r.AppendUpload(t.Context(), "a", up.ID, registry.Chunk{Start: 90 * kib, Size: 11 * kib, Body: body}); !full(err) || body.read != 0 {
			t.Errorf("a chunk that ends too far: %v after %d bytes", err, body.read)
		}
		if _, err := r.AppendUpload(t.Context(), "a", up.ID, registry.Chunk{Start: -1, Size: -1, Body: body}); !full(err) || body.read > 1000*kib {
			t.Errorf("a stream: %v after %d bytes", err, body.read)
		}
		if err := r.PushBlob(t.Context(), "a", digest.FromString("x"), body, -1); !full(err) || body.read > 2000*kib {
			t.Errorf("a blob without a size: %v after %d bytes", err, body.read)
		}
		if _, err := push(t.Context(), r, "a", 100*kib); err != nil {
			t.Fatal(err)
		}
		if _, err := r.StartUpload(t.Context(), "a", digest.SHA256); !full(err) {
			t.Errorf("an upload when it is full: %v", err)
		}
		var e *oci.Error
		if errors.As(err, &e) {
			t.Log(e.Message)
		}
		time.Sleep(10 * time.Second)
		before := r.asks.n.Load()
		for range 100 {
			_, _ = r.StartUpload(t.Context(), "a", digest.SHA256)
		}
		if asked := r.asks.n.Load() - before; asked > 8 {
			t.Errorf("100 refusals ask the store %d times", asked)
		}
	})
}

// TestRepositories: storage.maxRepos, as in zot but at all replicas: a repository that there is can be pushed to, a new one is 429.
func TestRepositories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Repositories: 5}
		replicas := []*replica{s.replica(true, limit), s.replica(true, limit), s.replica(true, limit)}
		time.Sleep(time.Minute)
		var all sync.WaitGroup
		var made atomic.Int64
		for i := range 12 {
			r, repo := replicas[i%3], oci.Repository(fmt.Sprintf("r%d", i))
			all.Go(func() {
				d, err := push(t.Context(), r, repo, 10)
				if err == nil {
					_, _, err = manifest(t.Context(), r, repo, "v1", 10, d)
				}
				switch {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, &oci.Error{Code: oci.TooManyRequests}) && !errors.Is(err, oci.ErrUnavailable):
					t.Errorf("%s: %v", repo, err)
				}
			})
		}
		all.Wait()
		time.Sleep(5 * time.Second)
		for i := range 12 { // those that were told to try again
			repo := oci.Repository(fmt.Sprintf("again%d", i))
			if d, err := push(t.Context(), replicas[0], repo, 10); err != nil {
				t.Error(err)
			} else if _, _, err := manifest(t.Context(), replicas[0], repo, "v1", 10, d); err == nil {
				made.Add(1)
			}
		}
		page, err := replicas[1].Repositories(t.Context(), "", 100)
		if err != nil || len(page.Names) != 5 || made.Load() != 5 {
			t.Errorf("%d made, %v %v", made.Load(), page.Names, err)
		}
		repo := page.Names[0]
		d, err := push(t.Context(), replicas[2], repo, 20)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := manifest(t.Context(), replicas[2], repo, "v2", 20, d); err != nil {
			t.Errorf("a repository that there is: %v", err)
		}
	})
}

// TestCrash: a replica that died with a claim, and with changes that it had not written, holds room back only until the next count.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Prefix: "a", Bytes: 1000 * kib}
		one, two := s.replica(true, limit), s.replica(true, limit)
		time.Sleep(time.Minute)
		d, err := push(t.Context(), one, "a", 500*kib)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if _, err := push(t.Context(), one, "a", 100*kib); err != nil {
			t.Fatal(err)
		}
		if err := one.DeleteBlob(t.Context(), "a", d); err != nil {
			t.Fatal(err)
		}
		one.kill() // nobody knows of the delete
		if _, err := push(t.Context(), two, "a", 600*kib); err == nil {
			t.Fatal("the delete is known: the test shows nothing")
		}
		time.Sleep(20 * time.Minute)
		if _, err := push(t.Context(), two, "a", 600*kib); err != nil {
			t.Errorf("twenty minutes after the crash: %v", err)
		}
		if got, figures := s.counted("a").Bytes, two.book.Figures(); got != 700*kib || figures[0].Used.Bytes != got {
			t.Errorf("%d are held, %+v", got, figures)
		}
		ledgers := 0
		for entry, err := range s.records.List(t.Context(), format.PrefixQuotaLedgers, "") {
			if err != nil {
				t.Fatal(err)
			}
			if entry.Size != format.DeadSize {
				ledgers++
			}
		}
		if ledgers != 1 {
			t.Errorf("there are %d live ledgers, of one replica", ledgers)
		}
	})
}

// TestRestart: a replica that is started anew knows what was pushed before, from its first push on.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Bytes: 100 * kib}
		r := s.replica(true, limit)
		time.Sleep(time.Minute)
		for i := range 4 {
			if _, err := push(t.Context(), r, "a", 24*kib); err != nil {
				t.Fatal(err)
			}
			r.stop()
			r = s.replica(true, limit)
			if _, err := push(t.Context(), r, "a", (100-24*(i+1))*kib+1); !full(err) {
				t.Errorf("start %d: %v", i, err)
			}
		}
	})
}

// TestRetired: a replica that was stopped so long that its ledger was retired goes on with a new one, and nothing is forgotten.
func TestRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Bytes: 100 * kib}
		asleep, awake := s.replica(false, limit), s.replica(true, limit)
		time.Sleep(time.Minute)
		if _, err := push(t.Context(), asleep, "a", 30*kib); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := awake.book.Recount(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := push(t.Context(), asleep, "a", 30*kib); err != nil {
			t.Fatal(err)
		}
		if _, err := push(t.Context(), asleep, "a", 1); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second gives back what was claimed and not used
			if err := asleep.book.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// What it had not written when it fell asleep counts twice until the next count: too much, never too little.
		if err := awake.book.Recount(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := push(t.Context(), awake, "a", 40*kib); !full(err) {
			t.Errorf("over the limit by a byte: %v", err)
		}
		if _, err := push(t.Context(), awake, "a", 40*kib-1); err != nil {
			t.Errorf("the rest: %v", err)
		}
	})
}

// TestCountWhilePushed: counts go on while everything changes; what is known afterwards is never too little, and right after a count in peace.
func TestCountWhilePushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Bytes: 1 << 40}
		replicas := []*replica{s.replica(true, limit), s.replica(true, limit)}
		time.Sleep(time.Minute)
		working, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, r := range replicas {
			for range 3 {
				all.Go(func() {
					for working.Err() == nil {
						d, err := push(t.Context(), r, "a", 1+rand.IntN(8*kib))
						if err != nil {
							t.Error(err)
							return
						}
						if rand.IntN(2) == 0 {
							if err := replicas[rand.IntN(2)].DeleteBlob(t.Context(), "a", d); err != nil {
								t.Error(err)
								return
							}
						}
						time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
					}
				})
			}
		}
		for range 5 {
			if err := replicas[0].book.Recount(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		all.Wait()
		time.Sleep(10 * time.Second)
		used := func() int64 {
			figures, err := replicas[1].book.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return figures[0].Used.Bytes
		}
		if held := s.counted("").Bytes; used() < held {
			t.Errorf("%d are held, %d are known", held, used())
		}
		if err := replicas[1].book.Recount(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := s.counted("").Bytes; used() != held {
			t.Errorf("%d are held, %d are known after a count in peace", held, used())
		}
	})
}

// TestRequests: pushes with room make hardly a request more than without a quota.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pushes = 500
		cost := func(limits ...quota.Limit) int64 {
			s := inMemory(t)
			r := s.replica(false, limits...)
			if len(limits) > 0 {
				if err := r.book.Recount(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			before := r.asks.n.Load()
			for range pushes {
				if _, err := push(t.Context(), r, "a", kib); err != nil {
					t.Fatal(err)
				}
			}
			return r.asks.n.Load() - before
		}
		without, with := cost(), cost(quota.Limit{Bytes: 1 << 30})
		if with-without > 20 || with < without {
			t.Errorf("%d pushes make %d requests without a quota, %d with one", pushes, without, with)
		}
	})
}

// TestOutage: a store that cannot be asked is no room, and no refusal.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		r := s.replica(false, quota.Limit{Bytes: kib})
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, err := r.book.Begin(gone, "a", format.Load{Bytes: 1})
		var e *oci.Error
		if err == nil || errors.As(err, &e) {
			t.Errorf("%v", err)
		}
	})
}
