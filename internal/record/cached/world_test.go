package cached_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/record/cached"
	recordmem "holdfast/internal/record/mem"
)

// bucket is the store that all replicas of a test have, and counts their reads.
type bucket struct {
	record.Store

	mu    sync.Mutex
	gets  []record.Key
	after func(record.Key) // is called when a read has its answer, before its reader has; nil: nothing
	fails map[record.Key]error
}

func newBucket() *bucket {
	return &bucket{Store: recordmem.New(recordmem.Config{}), fails: map[record.Key]error{}}
}

func (b *bucket) Get(ctx context.Context, key record.Key) (record.Record, error) {
	b.mu.Lock()
	b.gets = append(b.gets, key)
	after, err := b.after, b.fails[key]
	b.mu.Unlock()
	if err != nil {
		return record.Record{}, err
	}
	rec, err := b.Store.Get(ctx, key)
	if after != nil {
		after(key)
	}
	return rec, err
}

// take returns the keys that were read since the last call.
func (b *bucket) take() []record.Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	gets := b.gets
	b.gets = nil
	return gets
}

// mapCache is a shared cache that works, for tests to be hostile with.
type mapCache struct {
	mu     sync.Mutex
	values map[string][]byte
	closed int
}

func newMapCache() *mapCache { return &mapCache{values: map[string][]byte{}} }

func (m *mapCache) Get(_ context.Context, keys []string) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = slices.Clone(m.values[k])
	}
	return out, nil
}

func (m *mapCache) Set(_ context.Context, key string, value []byte, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = slices.Clone(value)
	return nil
}

func (m *mapCache) Delete(_ context.Context, keys ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		delete(m.values, k)
	}
	return nil
}

func (m *mapCache) Add(context.Context, string, int64, time.Duration) (int64, error) {
	return 0, errors.New("not used here")
}

func (m *mapCache) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed++
	return nil
}

// change lets a test change what is in the cache.
func (m *mapCache) change(f func(values map[string][]byte)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.values)
}

// replica is a process over a bucket.
type replica struct {
	t      *testing.T
	bucket *bucket
	store  *cached.Store
	values format.Store
}

var secret = []byte("the secret of this test's cluster")

func (b *bucket) replica(t *testing.T, cfg cached.Config) *replica {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = func() []byte { return secret }
	}
	s := cached.New(t.Context(), b, cfg, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &replica{t, b, s, format.Store{Records: s, Ages: format.DefaultAges()}}
}

const (
	repo  = oci.Repository("a/b-c")
	other = oci.Repository("other")
)

var blob = digest.FromString("blob")

// write swaps the link of blob to a state, whatever it was.
func (r *replica) write(repo oci.Repository, state format.State) format.Stored[format.Link] {
	r.t.Helper()
	key := format.LinkKey(repo, blob)
	old, err := format.Read[format.Link](r.t.Context(), r.values, key)
	if err != nil {
		r.t.Fatal(err)
	}
	head := format.Link{Size: 4, Segments: []format.Segment{{ID: "0123456789abcdef0123456789abcdef", Size: 4}}}
	head.State = state
	link, err := format.Write(r.t.Context(), r.values, key, old, head, nil, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return link
}

// kill takes a link as the protocol says: condemn, raise, kill.
func (r *replica) kill(repo oci.Repository) {
	r.t.Helper()
	r.write(repo, format.Condemned)
	r.raise(repo)
	r.write(repo, format.Dead)
}

func (r *replica) raise(repo oci.Repository) {
	r.t.Helper()
	if _, err := format.RaiseFence(r.t.Context(), r.values, repo); err != nil {
		r.t.Fatal(err)
	}
}

// fence reads the fence from the store, as a push does once its manifest is written.
func (r *replica) fence(repo oci.Repository) uint64 {
	r.t.Helper()
	return r.fenceBy(r.t.Context(), repo)
}

// begin is what a push begins with: the fence, of any age.
func (r *replica) begin(repo oci.Repository) uint64 {
	r.t.Helper()
	return r.fenceBy(format.RecallAnyAge(r.t.Context()), repo)
}

func (r *replica) fenceBy(ctx context.Context, repo oci.Repository) uint64 {
	r.t.Helper()
	f, err := format.Read[format.Fence](ctx, r.values, format.FenceKey(repo))
	if err != nil {
		r.t.Fatal(err)
	}
	return f.Head.Epoch
}

// head reads the link as a HEAD does; push as a push does: with no other link, so that its look at the fence is for one.
func (r *replica) head(repo oci.Repository) format.Stored[format.Link] {
	r.t.Helper()
	return r.link(format.RecallLink(r.t.Context()), repo)
}

func (r *replica) push(repo oci.Repository) format.Stored[format.Link] {
	r.t.Helper()
	return r.link(format.RecallLinks(r.t.Context()), repo)
}

func (r *replica) link(ctx context.Context, repo oci.Repository) format.Stored[format.Link] {
	r.t.Helper()
	link, err := format.Read[format.Link](ctx, r.values, format.LinkKey(repo, blob))
	if err != nil {
		r.t.Fatal(err)
	}
	return link
}

// expect fails unless the replica's bucket was read so, and the link is in a state.
func (r *replica) expect(what string, link format.Stored[format.Link], state format.State, reads ...record.Key) {
	r.t.Helper()
	if got := r.bucket.take(); !slices.Equal(got, reads) {
		r.t.Errorf("%s read %q, want %q", what, got, reads)
	}
	if link.State != state {
		r.t.Errorf("%s: the link is %q, want %q", what, link.State, state)
	}
}

var linkKey, fenceKey = format.LinkKey(repo, blob), format.FenceKey(repo)
