package pulled

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
	"holdfast/internal/registry/registrytest"
)

// counted is a store that counts what is asked of pull times, and fails when it is told to.
type counted struct {
	record.Store
	gets, puts, lost atomic.Int64
	down             atomic.Bool
}

func (c *counted) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if !strings.HasPrefix(string(key), "p/") {
		return c.Store.Get(ctx, key)
	}
	c.gets.Add(1)
	if c.down.Load() {
		return record.Record{}, fmt.Errorf("get %s: %w", key, record.ErrUnavailable)
	}
	return c.Store.Get(ctx, key)
}

func (c *counted) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	stamp, err := c.Store.Put(ctx, key, value, cond)
	if strings.HasPrefix(string(key), "p/") {
		c.puts.Add(1)
		if errors.Is(err, record.ErrConflict) {
			c.lost.Add(1)
		}
	}
	return stamp, err
}

// cluster is some replicas over one store that hold a repository "a" with tags t0, t1, ….
type cluster struct {
	store    *counted
	format   format.Store
	replicas []*Registry
	digests  []oci.Digest
	log      *bytes.Buffer
}

func newCluster(t *testing.T, replicas, tags int, cfg Config) *cluster {
	t.Helper()
	c := &cluster{store: &counted{Store: recordmem.New(recordmem.Config{})}, log: &bytes.Buffer{}}
	c.format = format.Store{Records: c.store, Ages: format.DefaultAges()}
	segments, log := datamem.New(datamem.Config{}), slog.New(slog.NewTextHandler(c.log, nil))
	for range replicas {
		local, err := registry.New(t.Context(), c.store, segments, registry.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		c.replicas = append(c.replicas, New(t.Context(), local, c.format, cfg, log))
	}
	for i := range tags {
		content := fmt.Sprintf("config %d", i)
		d := digest.FromString(content)
		if err := c.replicas[0].PushBlob(t.Context(), "a", d, strings.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"text/plain","digest":"%s","size":%d},"layers":[]}`, d, len(content))
		pushed, err := c.replicas[0].PushManifest(t.Context(), "a", registry.Push{Body: []byte(body), Tags: []oci.Tag{oci.Tag(fmt.Sprintf("t%d", i))}})
		if err != nil {
			t.Fatal(err)
		}
		c.digests = append(c.digests, pushed.Digest)
	}
	return c
}

func (c *cluster) pull(t *testing.T, replica, tag int, byDigest bool) {
	t.Helper()
	ref := oci.Reference{Tag: oci.Tag(fmt.Sprintf("t%d", tag))}
	if byDigest {
		ref = oci.Reference{Digest: c.digests[tag]}
	}
	if _, err := c.replicas[replica].Resolve(t.Context(), "a", ref); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) close(t *testing.T) {
	t.Helper()
	for _, r := range c.replicas {
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *cluster) times(t *testing.T) map[oci.Digest]time.Time {
	t.Helper()
	gets, puts := c.store.gets.Load(), c.store.puts.Load()
	times, err := Read(t.Context(), c.format, "a")
	if err != nil {
		t.Fatal(err)
	}
	c.store.gets.Store(gets) // the counts are of rounds
	c.store.puts.Store(puts)
	return times.pulled
}

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) []registry.Registry {
		records, segments := recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{})
		var replicas []registry.Registry
		for range registrytest.Replicas {
			local, err := registry.New(t.Context(), records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			r := New(t.Context(), local, format.Store{Records: records, Ages: format.DefaultAges()}, Config{Interval: time.Millisecond}, slog.New(slog.DiscardHandler))
			t.Cleanup(func() {
				if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
				local.Close()
			})
			replicas = append(replicas, r)
		}
		return replicas
	})
}

// Three replicas that serve one tag every second for two hours write it once in a quarter of an hour, all together.
func TestOneRecordInAnIntervalForTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 2, Config{})
		start := time.Now()
		for time.Since(start) < 2*time.Hour {
			for replica := range c.replicas {
				c.pull(t, replica, 0, replica == 2)
			}
			time.Sleep(time.Second)
		}
		last := time.Now()
		synctest.Wait()
		times := c.times(t)
		if at := times[c.digests[0]]; last.Sub(at) > 2*15*time.Minute {
			t.Errorf("after 2 h the last pull is %s, %s ago", at, last.Sub(at))
		}
		if puts := c.store.puts.Load(); puts < 5 || puts > 9 {
			t.Errorf("%d writes for 21,600 pulls in 2 h, want one in 15 min", puts)
		}
		if gets := c.store.gets.Load(); gets > 3*9 {
			t.Errorf("%d reads, want one at each replica in 15 min", gets)
		}
		c.close(t)
		if at := c.times(t)[c.digests[0]]; last.Sub(at) > 15*time.Minute {
			t.Errorf("after Close the last pull is %s, %s ago", at, last.Sub(at))
		}
		if len(times) != 1 {
			t.Errorf("times of what was never pulled: %v", times)
		}
		if c.log.Len() > 0 {
			t.Errorf("logged: %s", c.log)
		}
	})
}

// A pull asks the store for what it serves, and for nothing else.
func TestPullMakesNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, Config{})
		for range 1000 {
			c.pull(t, 0, 0, false)
		}
		synctest.Wait()
		if n := c.store.gets.Load() + c.store.puts.Load(); n != 0 {
			t.Errorf("%d requests before the first round", n)
		}
		c.close(t)
		c.close(t)
		if n := c.store.puts.Load(); n != 1 {
			t.Errorf("%d writes", n)
		}
		key := format.PulledKey("a", c.digests[0])
		v, err := format.Read[format.Pulled](t.Context(), c.format, key)
		if err != nil || !v.Present() || !v.Head.At.Equal(time.Now()) {
			t.Errorf("%s = %+v, %v", key, v, err)
		}
	})
}

// Replicas that write at one moment leave one record, and the pull that comes an interval later is written.
func TestReplicasThatRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 8, 20, Config{Interval: time.Hour})
		for range 3 {
			for replica := range c.replicas {
				for tag := range c.digests {
					c.pull(t, replica, tag, false)
				}
			}
			before := c.store.puts.Load() - c.store.lost.Load()
			var all sync.WaitGroup
			for _, r := range c.replicas {
				all.Go(func() {
					if err := r.round(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if won := c.store.puts.Load() - c.store.lost.Load() - before; won != 20 {
				t.Errorf("%d writes of 20 manifests took place", won)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		c.close(t)
	})
}

// What a store that is away does not take is written when it is back, and is told of once in a round.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 20, Config{MaxNoted: 30})
		c.store.down.Store(true)
		for tag := range c.digests {
			c.pull(t, 0, tag, false)
		}
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if lines := strings.Count(c.log.String(), "\n"); lines < 2 || lines > 4 || !strings.Contains(c.log.String(), "store unavailable") {
			t.Errorf("%d lines in 31 min:\n%s", lines, c.log)
		}
		if gets := c.store.gets.Load(); gets > 4*writers {
			t.Errorf("%d requests to a store that does not answer", gets)
		}
		if err := c.replicas[0].Close(t.Context()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("Close = %v", err)
		}
		c.store.down.Store(false)
		c.close(t)
		if n := len(c.times(t)); n != 20 {
			t.Errorf("%d of 20 pull times were written", n)
		}
	})
}

// Memory is bounded: half of it used up begins a round, and what does not fit is told of.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 20, Config{MaxNoted: 8, Interval: 1000 * time.Hour})
		for tag := range 5 {
			c.pull(t, 0, tag, false)
		}
		synctest.Wait()
		if n := len(c.times(t)); n != 5 {
			t.Errorf("half of the memory used: %d of 5 pull times are written", n)
		}
		c.store.down.Store(true)
		for tag := range c.digests {
			c.pull(t, 0, tag, true)
			synctest.Wait()
			if n := len(c.replicas[0].noted); n > 8 {
				t.Fatalf("%d are noted", n)
			}
		}
		c.store.down.Store(false)
		if err := c.replicas[0].Close(t.Context()); err == nil || !strings.Contains(err.Error(), "lose 12 pulls") {
			t.Errorf("Close = %v", err)
		}
	})
}

func TestWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, Config{Wanted: func(repo oci.Repository) bool { return repo != "a" }})
		c.pull(t, 0, 0, false)
		if _, err := c.replicas[0].Resolve(t.Context(), "b", oci.Reference{Tag: "t0"}); !errors.Is(err, oci.ErrManifestUnknown) {
			t.Fatal(err)
		}
		c.close(t)
		if n := c.store.puts.Load(); n != 0 {
			t.Errorf("%d writes of what is not wanted or not there", n)
		}
	})
}

// A record that cannot be read costs its own time, and a dead one is none.
func TestDamagedAndDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 3, Config{})
		if _, err := c.store.Put(t.Context(), format.PulledKey("a", c.digests[0]), []byte(`{"v":99}`+"\n"), record.IfAbsent()); err != nil {
			t.Fatal(err)
		}
		dead := format.Pulled{Meta: format.Meta{State: format.Dead}}
		if _, err := format.Write(t.Context(), c.format, format.PulledKey("a", c.digests[1]), format.Stored[format.Pulled]{}, dead, nil, false); err != nil {
			t.Fatal(err)
		}
		if times := c.times(t); len(times) != 1 {
			t.Errorf("times: %v", times)
		}
		for tag := range c.digests {
			c.pull(t, 0, tag, false)
		}
		if err := c.replicas[0].Close(t.Context()); err == nil || errors.Is(err, record.ErrUnavailable) {
			t.Errorf("Close = %v", err)
		}
		if times := c.times(t); len(times) != 3 {
			t.Errorf("times: %v", times)
		}
		c.close(t) // the damaged one is not tried for ever
	})
}

func TestReadOfAStoreThatFails(t *testing.T) {
	store := format.Store{Records: recordmem.New(recordmem.Config{}), Ages: format.DefaultAges()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if times, err := Read(ctx, store, "a"); err == nil {
		t.Errorf("%v, and no error", times)
	}
	if _, err := format.Write(t.Context(), store, format.PulledPrefix("a")+"odd", format.Stored[format.Pulled]{}, format.Pulled{}, nil, false); err != nil {
		t.Fatal(err)
	}
	if times, err := Read(t.Context(), store, "a"); err == nil {
		t.Errorf("%v, and no error for a key that is no digest's", times)
	}
}

// Before pulls were noted nothing is known of them: what has no record counts as pulled when they began to be.
func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 2, Config{})
		read := func() Times {
			t.Helper()
			times, err := Read(t.Context(), c.format, "a")
			if err != nil {
				t.Fatal(err)
			}
			return times
		}
		begun := time.Now()
		for range 30 { // a pass in a while: renewed, not begun anew
			if since := read().Of(c.digests[0]); !since.Equal(begun) {
				t.Fatalf("noted since %s, want %s", since, begun)
			}
			time.Sleep(20 * time.Hour)
		}
		if puts := c.store.puts.Load(); puts != 15 {
			t.Errorf("%d writes in 30 passes of 25 days, want one in two", puts)
		}
		c.pull(t, 0, 1, false)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		pulled := time.Now()
		if times := read(); !times.Of(c.digests[0]).Equal(begun) || pulled.Sub(times.Of(c.digests[1])) > 15*time.Minute {
			t.Errorf("%v at %s", times, pulled)
		}
		time.Sleep(7*24*time.Hour + 24*time.Hour) // without a pass
		if times := read(); !times.Of(c.digests[0]).Equal(time.Now()) || !times.Of(c.digests[1]).Equal(time.Now()) {
			t.Errorf("after a week in which nobody asked: %v", times)
		}
		c.close(t)
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 2, Config{})
		for tag := range c.digests {
			c.pull(t, 0, tag, false)
		}
		c.close(t)
		for range 2 { // what is forgotten may be forgotten again
			if err := Forget(t.Context(), c.format, "a", c.digests[0]); err != nil {
				t.Fatal(err)
			}
		}
		times, err := Read(t.Context(), c.format, "a")
		if got := slices.Collect(times.Digests()); err != nil || !slices.Equal(got, c.digests[1:]) {
			t.Errorf("%v, %v", got, err)
		}
		rec, err := c.store.Get(t.Context(), format.PulledKey("a", c.digests[0]))
		if err != nil || len(rec.Value) != format.DeadSize {
			t.Errorf("%q, %v: a list does not show that it is dead", rec.Value, err)
		}
		c.store.down.Store(true)
		if err := Forget(t.Context(), c.format, "a", c.digests[1]); !errors.Is(err, record.ErrUnavailable) {
			t.Error(err)
		}
	})
}

// The first passes of two replicas agree since when pulls are noted.
func TestSinceRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 0, Config{})
		var all sync.WaitGroup
		since := make([]time.Time, 8)
		for i := range since {
			all.Go(func() {
				time.Sleep(time.Duration(i%2) * time.Millisecond)
				times, err := Read(t.Context(), c.format, "a")
				if err != nil {
					t.Error(err)
				}
				since[i] = times.Of("")
			})
		}
		all.Wait()
		for _, s := range since {
			if !s.Equal(since[0]) || s.IsZero() {
				t.Errorf("%v", since)
			}
		}
		c.close(t)
	})
}

// Pulls, rounds and Close at once: for the race detector.
func TestAtOnce(t *testing.T) {
	c := newCluster(t, 2, 4, Config{Interval: time.Millisecond, MaxNoted: 3})
	ctx := t.Context()
	var all sync.WaitGroup
	for replica, r := range c.replicas {
		for i := range 4 {
			all.Go(func() {
				for n := range 300 {
					if _, err := r.Resolve(ctx, "a", oci.Reference{Tag: oci.Tag(fmt.Sprintf("t%d", n%4))}); err != nil {
						t.Error(err)
					}
					if replica == 1 && i == 0 && n == 200 {
						_ = r.Close(ctx) // may tell of pulls that did not fit
					}
				}
			})
		}
	}
	all.Wait()
	for _, r := range c.replicas {
		_ = r.Close(ctx)
	}
	if len(c.times(t)) == 0 {
		t.Error("nothing was written")
	}
}
