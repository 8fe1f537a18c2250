package cached_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/record"
	"holdfast/internal/record/cached"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/record/recordtest"
)

func TestStoreKeepsItsPromises(t *testing.T) {
	recordtest.Run(t, func(t *testing.T) record.Store {
		b := newBucket()
		return b.replica(t, cached.Config{Shared: newMapCache()}).store
	})
}

// TestNothingIsRememberedUnasked: who says nothing reads the store, and nothing is remembered of a repository whose fence nobody has read.
func TestNothingIsRememberedUnasked(t *testing.T) {
	r := newBucket().replica(t, cached.Config{})
	r.write(repo, format.Live)
	r.bucket.take()
	r.expect("a plain read", r.link(t.Context(), repo), format.Live, linkKey)
	r.expect("the first", r.push(repo), format.Live, linkKey)
	r.expect("the second", r.push(repo), format.Live, linkKey)
	r.expect("a HEAD", r.head(repo), format.Live, linkKey)
	r.fence(repo)
	r.bucket.take()
	r.push(repo)
	r.bucket.take()
	r.expect("a plain read of what is remembered", r.link(t.Context(), repo), format.Live, linkKey)
}

// TestSeveralLinks: a push looks at the fence once, for all links that are remembered.
func TestSeveralLinks(t *testing.T) {
	r := newBucket().replica(t, cached.Config{})
	r.fence(repo)
	r.fence(other)
	r.write(repo, format.Live)
	r.write(other, format.Live)
	unseen := format.LinkKey(repo, digest.FromString("another"))
	r.bucket.take()
	ctx := format.RecallLinks(t.Context())
	r.expect("the first link of a push", r.link(ctx, repo), format.Live, fenceKey)
	r.expect("the same again", r.link(ctx, repo), format.Live)
	if _, err := r.store.Get(ctx, unseen); !errors.Is(err, record.ErrNotFound) {
		t.Error(err)
	}
	r.expect("one that nobody has seen, and the first once more", r.link(ctx, repo), format.Live, unseen)
	r.expect("one of another repository", r.link(ctx, other), format.Live, format.FenceKey(other))
	r.expect("the next push", r.push(repo), format.Live, fenceKey)
}

// TestALookIsShared: reads at the same time wait for one look, and the error of it is everybody's.
func TestALookIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBucket().replica(t, cached.Config{})
		r.fence(repo)
		r.write(repo, format.Live)
		r.bucket.take()
		gate := make(chan struct{})
		r.bucket.after = func(record.Key) { <-gate }
		read := func(fails bool) {
			ctx := format.RecallLinks(t.Context())
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					if _, err := r.store.Get(ctx, linkKey); (err != nil) != fails {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			leaving, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, err := r.store.Get(leaving, linkKey); !fails && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who has left is told %v", err)
			}
			if !fails {
				gate <- struct{}{}
			}
			all.Wait()
			if got := r.bucket.take(); !slices.Equal(got, []record.Key{fenceKey}) {
				t.Errorf("read %q", got)
			}
		}
		read(false)
		r.bucket.fails[fenceKey] = record.ErrUnavailable
		read(true)
	})
}

func TestOnlyWhatIsLiveIsRemembered(t *testing.T) {
	for _, state := range []format.State{format.Pending, format.Condemned, format.Dead, format.Corrupt} {
		b := newBucket()
		r := b.replica(t, cached.Config{Shared: newMapCache()})
		r.fence(repo)
		r.expect("none", r.push(repo), format.Absent, fenceKey, linkKey)
		r.write(repo, state)
		r.bucket.take()
		r.expect("a push", r.push(repo), state, linkKey)
		r.expect("a push again", r.push(repo), state, linkKey)
		r.expect("a HEAD", r.head(repo), state, linkKey)
		r.expect("a HEAD again", r.head(repo), state, linkKey)
	}
}

// TestVoidIsNotRemembered: a create that landed too late counts for nothing, to everybody.
func TestVoidIsNotRemembered(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := &bucket{Store: recordmem.New(recordmem.Config{Clock: func() time.Time { return now }}), fails: map[record.Key]error{}}
	r := b.replica(t, cached.Config{})
	r.fence(repo)
	head := format.Link{}
	head.Version, head.Nonce, head.State, head.T, head.Fresh = format.Version, format.RandomID(), format.Live, now.Add(-2*time.Hour), true
	value, err := format.Encode(&head, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Put(t.Context(), linkKey, value, record.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	b.take()
	r.expect("the first", r.push(repo), format.Absent, linkKey)
	r.expect("the second", r.push(repo), format.Absent, linkKey)
}

func TestFenced(t *testing.T) {
	b := newBucket()
	r, elsewhere := b.replica(t, cached.Config{}), b.replica(t, cached.Config{})
	r.write(repo, format.Live)
	r.fence(repo)
	b.take()
	r.expect("the first", r.head(repo), format.Live, linkKey)
	r.expect("the second", r.head(repo), format.Live, fenceKey)
	elsewhere.kill(repo)
	b.take()
	r.expect("after it was killed elsewhere", r.head(repo), format.Dead, fenceKey, linkKey)
	elsewhere.write(repo, format.Live)
	b.take()
	r.expect("after it was pushed again", r.head(repo), format.Live, linkKey)
	r.expect("once more", r.head(repo), format.Live, fenceKey)
	elsewhere.raise(repo)
	b.take()
	r.expect("after the fence moved", r.head(repo), format.Live, fenceKey, linkKey)
	r.expect("and then", r.head(repo), format.Live, fenceKey)
}

// TestWrittenHere: a link that this process has made live is remembered with the age that the store gave it.
func TestWrittenHere(t *testing.T) {
	r := newBucket().replica(t, cached.Config{})
	r.fence(repo)
	link := r.write(repo, format.Live)
	r.bucket.take()
	got := r.push(repo)
	r.expect("a push", got, format.Live, fenceKey)
	if got.Stamp != link.Stamp || got.Head.Nonce != link.Head.Nonce || got.Head.Size != 4 || len(got.Head.Segments) != 1 {
		t.Errorf("remembered %+v, was %+v", got, link)
	}
	// What is remembered can be swapped as what is read.
	if _, err := format.Swap(t.Context(), r.values, linkKey, got, format.Live); err != nil {
		t.Error(err)
	}
}

// TestTheEpochIsThatFromBefore: while a link is read it is killed elsewhere, and this process learns where the fence is now. What was read is not
// remembered under that.
func TestTheEpochIsThatFromBefore(t *testing.T) {
	for _, read := range []func(*replica) format.Stored[format.Link]{
		func(r *replica) format.Stored[format.Link] { return r.push(repo) },
		func(r *replica) format.Stored[format.Link] { return r.head(repo) },
	} {
		b := newBucket()
		r, elsewhere := b.replica(t, cached.Config{Shared: newMapCache()}), b.replica(t, cached.Config{})
		elsewhere.write(repo, format.Live)
		r.fence(repo)
		b.after = func(key record.Key) {
			if key != linkKey {
				return
			}
			b.after = nil // this read is the one
			elsewhere.kill(repo)
			r.fence(repo)
		}
		if link := read(r); !link.Is(format.Live) {
			t.Fatalf("the link is %s", link.State)
		}
		if link := r.push(repo); !link.Is(format.Dead) {
			t.Errorf("a push is told that the link is %s", link.State)
		}
		if link := r.head(repo); !link.Is(format.Dead) {
			t.Errorf("a HEAD is told that the link is %s", link.State)
		}
	}
}

// TestAnEarlierBucket: a bucket that was set back has fences of the same epochs, which are others.
func TestAnEarlierBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		r := b.replica(t, cached.Config{Shared: newMapCache()})
		r.raise(repo)
		r.write(repo, format.Live)
		synctest.Wait()
		b.Store = recordmem.New(recordmem.Config{})
		elsewhere := b.replica(t, cached.Config{})
		elsewhere.raise(repo)
		b.take()
		r.expect("a HEAD", r.head(repo), format.Absent, fenceKey, linkKey)
		r.expect("a push", r.push(repo), format.Absent, fenceKey, linkKey)
	})
}

// TestErrorsOfTheStore are told as they are: nothing is made of them.
func TestErrorsOfTheStore(t *testing.T) {
	b := newBucket()
	r := b.replica(t, cached.Config{})
	r.fence(repo)
	r.write(repo, format.Live)
	b.fails[fenceKey] = record.ErrUnavailable
	if _, err := r.store.Get(format.RecallLink(t.Context()), linkKey); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("a HEAD without the fence: %v", err)
	}
	delete(b.fails, fenceKey)
	b.fails[linkKey] = record.ErrUnavailable
	r.raise(repo)
	if _, err := r.store.Get(format.RecallLinks(t.Context()), linkKey); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("a push without the link: %v", err)
	}
}

// TestMemoryIsBounded: what is too much goes, and is read again.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBucket().replica(t, cached.Config{MaxMemory: 64 << 10})
		r.fence(repo)
		write := func(from, to int) (keys []record.Key) {
			for i := from; i < to; i++ {
				key := format.LinkKey(repo, digest.FromString(strconv.Itoa(i)))
				head := format.Link{Size: 1, Segments: []format.Segment{{ID: "0123456789abcdef0123456789abcdef", Size: 1}}}
				head.State = format.Live
				if _, err := format.Write(t.Context(), r.values, key, format.Stored[format.Link]{}, head, nil, false); err != nil {
					t.Fatal(err)
				}
				keys = append(keys, key)
			}
			synctest.Wait() // what is too much goes in the background
			return keys
		}
		remembered := func(keys []record.Key) (n int) {
			r.bucket.take()
			for _, key := range keys {
				if _, err := r.store.Get(format.RecallLinks(t.Context()), key); err != nil {
					t.Fatal(err)
				}
			}
			for _, key := range r.bucket.take() {
				if key == fenceKey {
					n++
				}
			}
			return n
		}
		if n := remembered(write(0, 16)); n != 16 {
			t.Errorf("%d of 16 links are remembered in 64 KiB", n)
		}
		// Which of so many stay is chance, and reading the others may drive them out.
		if n := remembered(write(16, 1000)); n > 128 {
			t.Errorf("%d links are remembered in 64 KiB", n)
		}
	})
}
