package cached_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/record/cached"
)

// waited lets the writes to shared caches be made.
func waited(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) }

// TestColdReplica: what one replica has seen another need not read, not even the fence that it begins with.
func TestColdReplica(t *testing.T) {
	waited(t, func(t *testing.T) {
		b, shared := newBucket(), newMapCache()
		first := b.replica(t, cached.Config{Shared: shared})
		first.raise(repo)
		first.write(repo, format.Live)
		synctest.Wait()
		b.take()
		cold := b.replica(t, cached.Config{Shared: shared})
		epoch := cold.begin(repo)
		cold.expect("a push at a replica that has just started", cold.push(repo), format.Live, fenceKey)
		if epoch != 1 {
			t.Errorf("it begins with epoch %d", epoch)
		}
		// A HEAD reads the fence as ever.
		cold.expect("a HEAD there", cold.head(repo), format.Live, fenceKey)
	})
}

// TestNoFenceYet: that a repository had no fence is true for ever, as an epoch to begin with.
func TestNoFenceYet(t *testing.T) {
	waited(t, func(t *testing.T) {
		b, shared := newBucket(), newMapCache()
		first := b.replica(t, cached.Config{Shared: shared})
		first.fence(repo)
		first.write(repo, format.Live)
		synctest.Wait()
		b.take()
		cold := b.replica(t, cached.Config{Shared: shared})
		cold.begin(repo)
		cold.expect("a push", cold.push(repo), format.Live, fenceKey)
		first.kill(repo)
		b.take()
		// It begins with what is old, and looks at the fence in the end.
		late := b.replica(t, cached.Config{Shared: newMapCache()})
		shared.change(func(values map[string][]byte) { clear(values) })
		if epoch := late.begin(repo); epoch != 1 {
			t.Errorf("without a shared cache it begins with %d", epoch)
		}
	})
}

// TestOldValuesPutBack: whatever the cache held at any time under a name is in it again, once the link was killed and pushed anew, and killed.
func TestOldValuesPutBack(t *testing.T) {
	waited(t, func(t *testing.T) {
		b, shared := newBucket(), newMapCache()
		r := b.replica(t, cached.Config{Shared: shared})
		var snapshots []map[string][]byte
		keep := func() {
			synctest.Wait()
			shared.change(func(values map[string][]byte) {
				copied := map[string][]byte{}
				for k, v := range values {
					copied[k] = v
				}
				snapshots = append(snapshots, copied)
			})
		}
		r.fence(repo)
		for range 3 {
			r.write(repo, format.Live)
			keep()
			r.kill(repo)
			keep()
		}
		for i, snapshot := range snapshots {
			for j, fences := range snapshots { // also mixed: links of one time, fences of another
				shared.change(func(values map[string][]byte) {
					clear(values)
					for k, v := range fences {
						values[k] = v
					}
					for k, v := range snapshot {
						if i%2 == 0 || values[k] == nil {
							values[k] = v
						}
					}
				})
				cold := b.replica(t, cached.Config{Shared: shared})
				cold.begin(repo)
				if link := cold.push(repo); !link.Is(format.Dead) {
					t.Errorf("snapshots %d and %d: a push is told that the link is %s", i, j, link.State)
				}
				if link := cold.head(repo); !link.Is(format.Dead) {
					t.Errorf("snapshots %d and %d: a HEAD is told that the link is %s", i, j, link.State)
				}
				b.take()
			}
		}
	})
}

// TestPoison: what nobody here sealed for the key is a miss, and counted.
func TestPoison(t *testing.T) {
	for _, row := range []struct {
		name   string
		poison func(envelope, foreign []byte) []byte
		count  func(*cached.Counts) *atomic.Int64
	}{
		{"the value of another repository", func(_, foreign []byte) []byte { return foreign }, func(c *cached.Counts) *atomic.Int64 { return &c.Foreign }},
		{"a bit that flipped", func(e, _ []byte) []byte { e[len(e)-5] ^= 1; return e }, func(c *cached.Counts) *atomic.Int64 { return &c.Foreign }},
		{"a bit of the MAC", func(e, _ []byte) []byte { e[9] ^= 1; return e }, func(c *cached.Counts) *atomic.Int64 { return &c.Foreign }},
		{"cut", func(e, _ []byte) []byte { return e[:len(e)-1] }, func(c *cached.Counts) *atomic.Int64 { return &c.Foreign }},
		{"longer", func(e, _ []byte) []byte { return append(e, 0) }, func(c *cached.Counts) *atomic.Int64 { return &c.Foreign }},
		{"of another version", func(e, _ []byte) []byte { e[0]++; return e }, func(c *cached.Counts) *atomic.Int64 { return &c.Version }},
		{"nearly nothing", func([]byte, []byte) []byte { return []byte{1} }, func(c *cached.Counts) *atomic.Int64 { return &c.Form }},
		{"far too long", func([]byte, []byte) []byte { return bytes.Repeat([]byte{1}, 1<<20) }, func(c *cached.Counts) *atomic.Int64 { return &c.Form }},
		{"random bytes", func([]byte, []byte) []byte { return bytes.Repeat([]byte{1, 7}, 300) }, func(c *cached.Counts) *atomic.Int64 { return &c.Foreign }},
	} {
		t.Run(row.name, func(t *testing.T) {
			waited(t, func(t *testing.T) {
				b, shared := newBucket(), newMapCache()
				first := b.replica(t, cached.Config{Shared: shared})
				write := func(in func()) (name string) {
					shared.change(func(values map[string][]byte) { clear(values) })
					in()
					synctest.Wait()
					shared.change(func(values map[string][]byte) {
						for k := range values {
							name = k
						}
						if len(values) != 1 {
							t.Fatalf("%d values", len(values))
						}
					})
					return name
				}
				first.fence(repo)
				first.fence(other)
				synctest.Wait()
				var foreign []byte
				name := write(func() { first.write(other, format.Live) })
				shared.change(func(values map[string][]byte) { foreign = values[name] })
				name = write(func() { first.write(repo, format.Live) })
				shared.change(func(values map[string][]byte) { values[name] = row.poison(slices.Clone(values[name]), foreign) })
				b.take()
				cold := b.replica(t, cached.Config{Shared: shared})
				cold.fence(repo)
				cold.expect("a push", cold.push(repo), format.Live, fenceKey, linkKey)
				if n := row.count(cold.store.Counts()).Load(); n != 1 {
					t.Errorf("counted %d times", n)
				}
			})
		})
	}
}

// TestStrangers: another secret, and another store with the same secret, find nothing here.
func TestStrangers(t *testing.T) {
	waited(t, func(t *testing.T) {
		shared := newMapCache()
		of := func(b *bucket, identity string, key []byte) *replica {
			return b.replica(t, cached.Config{Shared: shared, Identity: identity, Key: func() []byte { return key }})
		}
		b := newBucket()
		r := of(b, "here", secret)
		r.fence(repo)
		r.write(repo, format.Live)
		synctest.Wait()
		for _, stranger := range []*replica{of(newBucket(), "there", secret), of(newBucket(), "here", []byte("another")), of(newBucket(), "here", nil)} {
			stranger.fence(repo)
			stranger.bucket.take()
			stranger.expect("a stranger's push", stranger.push(repo), format.Absent, linkKey)
		}
	})
}

// sick is a cache that answers when it is let, and whatever the context says.
type sick struct {
	*mapCache
	calls, waiting atomic.Int64

	mu   sync.Mutex
	lets chan struct{} // nil: it answers at once
	err  error
}

func (s *sick) wait() error {
	s.calls.Add(1)
	s.mu.Lock()
	lets, err := s.lets, s.err
	s.mu.Unlock()
	if lets != nil {
		s.waiting.Add(1)
		<-lets
		s.waiting.Add(-1)
	}
	return err
}

func (s *sick) become(lets chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lets, s.err = lets, err
}

func (s *sick) Get(ctx context.Context, keys []string) ([][]byte, error) {
	if err := s.wait(); err != nil {
		return nil, err
	}
	return s.mapCache.Get(ctx, keys)
}

func (s *sick) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.wait(); err != nil {
		return err
	}
	return s.mapCache.Set(ctx, key, value, ttl)
}

// TestNobodyWaits: a cache that hangs, and takes no notice of contexts, costs three requests a budget each; then nobody asks it, until it
// answers a probe.
func TestNobodyWaits(t *testing.T) {
	waited(t, func(t *testing.T) {
		b := newBucket()
		shared := &sick{mapCache: newMapCache()}
		r := b.replica(t, cached.Config{Shared: shared, Budget: 7 * time.Millisecond})
		r.fence(repo)
		synctest.Wait()
		hang := make(chan struct{})
		shared.become(hang, nil)
		push := func() time.Duration {
			began := time.Now()
			_, _ = r.store.Get(format.RecallLinks(t.Context()), linkKey)
			return time.Since(began)
		}
		for i := range 10 {
			want := 7 * time.Millisecond
			if i >= 3 {
				want = 0
			}
			if took := push(); took != want {
				t.Errorf("push %d waited %s for the cache", i, took)
			}
		}
		c := r.store.Counts()
		if c.Got.TimedOut.Load() != 3 || c.NotAsked.Load() != 7 || c.Opened.Load() != 1 || !c.GivenUp() {
			t.Errorf("counted %d given up, %d not asked, opened %d times", c.Got.TimedOut.Load(), c.NotAsked.Load(), c.Opened.Load())
		}
		calls := shared.calls.Load()
		time.Sleep(20 * time.Second)
		if probes := shared.calls.Load() - calls; probes < 3 || probes > 4 {
			t.Errorf("%d probes in 20 s", probes)
		}
		close(hang)
		shared.become(nil, nil)
		time.Sleep(6 * time.Second)
		if c.GivenUp() {
			t.Error("it answers, and is not asked")
		}
		calls = shared.calls.Load()
		if took := push(); took != 0 || shared.calls.Load() != calls+1 {
			t.Errorf("then a push waited %s, with %d calls", took, shared.calls.Load()-calls)
		}
	})
}

// TestErrorsOpenAndAnswersClose: errors count as much as silence, and only in a row.
func TestErrorsOpenAndAnswersClose(t *testing.T) {
	waited(t, func(t *testing.T) {
		b := newBucket()
		shared := &sick{mapCache: newMapCache()}
		r := b.replica(t, cached.Config{Shared: shared})
		r.fence(repo)
		synctest.Wait()
		miss := func(broken bool) {
			var err error
			if broken {
				err = errors.New("broken")
			}
			shared.become(nil, err)
			_, _ = r.store.Get(format.RecallLinks(t.Context()), linkKey)
		}
		for _, broken := range []bool{true, true, false, true, true} {
			miss(broken)
		}
		if r.store.Counts().GivenUp() {
			t.Error("two in a row are not three")
		}
		miss(true)
		if !r.store.Counts().GivenUp() || r.store.Counts().Got.Failed.Load() != 5 {
			t.Error("three in a row, and it is asked")
		}
	})
}

// TestAClientThatLeaves says nothing about the cache.
func TestAClientThatLeaves(t *testing.T) {
	waited(t, func(t *testing.T) {
		b := newBucket()
		shared := &sick{mapCache: newMapCache()}
		r := b.replica(t, cached.Config{Shared: shared})
		r.fence(repo)
		synctest.Wait()
		hang := make(chan struct{})
		defer close(hang)
		shared.become(hang, nil)
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			began := time.Now()
			_, _ = r.store.Get(format.RecallLinks(ctx), linkKey)
			if took := time.Since(began); took != time.Millisecond {
				t.Errorf("it waited %s", took)
			}
		}
		if r.store.Counts().GivenUp() {
			t.Error("the cache is given up because clients left")
		}
	})
}

// TestWritesAreDropped: a cache that takes no writes keeps nobody: what is too much is dropped, with four calls under way at most.
func TestWritesAreDropped(t *testing.T) {
	waited(t, func(t *testing.T) {
		b := newBucket()
		shared := &sick{mapCache: newMapCache()}
		hang := make(chan struct{})
		shared.become(hang, nil)
		r := b.replica(t, cached.Config{Shared: shared})
		began := time.Now()
		for range 3000 {
			r.raise(repo)
		}
		synctest.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("writers waited %s", took)
		}
		if shared.waiting.Load() != 4 || r.store.Counts().Dropped.Load() < 1900 {
			t.Errorf("%d calls under way, %d dropped", shared.waiting.Load(), r.store.Counts().Dropped.Load())
		}
		close(hang)
		shared.become(nil, nil)
		synctest.Wait()
		if n := r.store.Counts().Stored.Answered.Load(); n < 1000 || n > 1030 {
			t.Errorf("%d writes were made", n)
		}
	})
}

// TestManyReadsAtOnce: reads that nobody waits for any more hold their places, and there are so many places.
func TestManyReadsAtOnce(t *testing.T) {
	waited(t, func(t *testing.T) {
		b := newBucket()
		shared := &sick{mapCache: newMapCache()}
		r := b.replica(t, cached.Config{Shared: shared})
		r.fence(repo)
		synctest.Wait()
		hang := make(chan struct{})
		shared.become(hang, nil)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { _, _ = r.store.Get(format.RecallLinks(t.Context()), linkKey) })
		}
		synctest.Wait()
		if n := shared.waiting.Load(); n != 256 {
			t.Errorf("%d reads wait for the cache", n)
		}
		all.Wait()
		close(hang)
	})
}

func TestClose(t *testing.T) {
	waited(t, func(t *testing.T) {
		shared := newMapCache()
		r := newBucket().replica(t, cached.Config{Shared: shared})
		r.raise(repo)
		for range 2 {
			if err := r.store.Close(); err != nil {
				t.Error(err)
			}
		}
		r.raise(repo) // it goes on as a store
		r.begin(repo)
		if shared.closed != 1 {
			t.Errorf("the cache was closed %d times", shared.closed)
		}
	})
}

// full is a cache that answers reads, and takes no writes, as a Redis that throws nothing away.
type full struct {
	*mapCache
	room atomic.Bool
}

func (f *full) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if !f.room.Load() {
		return errors.New("OOM command not allowed when used memory > 'maxmemory'")
	}
	return f.mapCache.Set(ctx, key, value, ttl)
}

// TestFull: a cache that takes no writes is given up once, and not once every few seconds, until it takes one.
func TestFull(t *testing.T) {
	waited(t, func(t *testing.T) {
		b, shared := newBucket(), &full{mapCache: newMapCache()}
		r := b.replica(t, cached.Config{Shared: shared})
		work := func() {
			for range 60 {
				r.raise(repo)
				time.Sleep(time.Second)
			}
		}
		work()
		c := r.store.Counts()
		if n := c.Opened.Load(); n != 1 || !c.GivenUp() {
			t.Errorf("in a minute it was given up %d times", n)
		}
		shared.room.Store(true)
		work()
		if c.GivenUp() || c.Stored.Answered.Load() < 50 {
			t.Errorf("it has room, and took %d writes", c.Stored.Answered.Load())
		}
	})
}
