package requests

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/record"
	"holdfast/internal/record/cached"
	"holdfast/internal/s3/s3test"
)

// Rows of replicas that remember: "same" is the replica that the images were pushed by, "cold" one that has just started, which has only what they share.
type remembering struct{ same, cold *replica }

var rememberingRows = []struct {
	name  string
	setup func(r remembering, repo string) (operation func())
	want  int
	given int // values that the shared cache has to hold first
}{
	{"HEAD blob that is remembered", func(r remembering, repo string) func() {
		r.same.pushManifest(repo, "first", r.same.image(repo, refs, ""))
		d := r.same.pushBlob(repo, blob(100))
		return func() { r.same.do("HEAD", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200) }
	}, 1, 0},
	{"HEAD blob that is remembered, after something was deleted elsewhere", func(r remembering, repo string) func() {
		r.same.pushManifest(repo, "first", r.same.image(repo, refs, ""))
		d := r.same.pushBlob(repo, blob(100))
		r.cold.do("DELETE", "/v2/"+repo+"/blobs/"+string(r.same.pushBlob(repo, blob(101))), nil, nil, 202)
		return func() { r.same.do("HEAD", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200) }
	}, 2, 0},
	{"GET blob that is remembered", func(r remembering, repo string) func() {
		r.same.pushManifest(repo, "first", r.same.image(repo, refs, ""))
		d := r.same.pushBlob(repo, blob(100))
		return func() { r.same.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil, nil, 200) }
	}, 2, 0},
	{"PUT manifest, new tag, its blobs pushed here", func(r remembering, repo string) func() {
		r.same.pushManifest(repo, "first", r.same.image(repo, refs, ""))
		m := r.same.image(repo, refs, "")
		return func() { r.same.pushManifest(repo, "second", m) }
	}, 1 + 6, 0},
	{"PUT manifest, new tag, 30 blobs pushed here", func(r remembering, repo string) func() {
		r.same.pushManifest(repo, "first", r.same.image(repo, refs, ""))
		m := r.same.image(repo, 30, "")
		return func() { r.same.pushManifest(repo, "second", m) }
	}, 1 + 6, 0},
	{"PUT manifest, new tag, its blobs pushed elsewhere, replica just started", func(r remembering, repo string) func() {
		r.same.pushManifest(repo, "first", r.same.image(repo, refs, ""))
		m := r.same.image(repo, refs, "")
		return func() { r.cold.pushManifest(repo, "second", m) }
	}, 1 + 6 + 1, refs + refs + 1}, // the repository marker
	{"PUT manifest, the first of a repository", func(r remembering, repo string) func() {
		m := r.same.image(repo, refs, "")
		return func() { r.same.pushManifest(repo, "first", m) }
	}, refs + 7 + 2, 0},
}

func TestRequestsOfThoseWhoRemember(t *testing.T) {
	server := s3test.Servers(t)[0]
	for i, row := range rememberingRows {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, server)
			shared := newSharedMap()
			var waits []func()
			c.records = func(next record.Store) record.Store {
				s := cached.New(t.Context(), next, cached.Config{Shared: shared, Budget: time.Minute, Key: func() []byte { return []byte("secret") }}, slog.New(slog.DiscardHandler))
				waits = append(waits, func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
				return s
			}
			r := remembering{c.replica(0), c.replica(0)}
			operation := row.setup(r, "remember/r"+string(rune('a'+i)))
			r.same.local.Close()
			r.cold.local.Close()
			shared.await(row.given)
			c.counter.take()
			operation()
			r.same.local.Close()
			r.cold.local.Close()
			got := c.counter.take()
			if len(got) != row.want {
				t.Errorf("%d requests, want %d:\n%s", len(got), row.want, strings.Join(got, "\n"))
			}
			for _, wait := range waits {
				wait()
			}
		})
	}
}

// TestALayerThatIsNotThere: a replica that remembers that a repository has a layer refuses a manifest once that was deleted elsewhere, and has written nothing.
func TestALayerThatIsNotThere(t *testing.T) {
	c := newCluster(t, s3test.Servers(t)[0])
	c.records = func(next record.Store) record.Store {
		return cached.New(t.Context(), next, cached.Config{}, slog.New(slog.DiscardHandler))
	}
	here, elsewhere := c.replica(0), c.replica(0)
	here.pushManifest("repo", "first", here.image("repo", refs, ""))
	m := here.image("repo", 2, "")
	layer := digest.FromString("a layer")
	_ = here.pushBlob("repo", []byte("a layer"))
	m = []byte(strings.Replace(string(m), `"layers":[`, `"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"`+string(layer)+`","size":7},`, 1))
	elsewhere.do("DELETE", "/v2/repo/blobs/"+string(layer), nil, nil, 202)
	c.counter.take()
	here.do("PUT", "/v2/repo/manifests/second", manifestHeader, m, 404)
	if writes := slices.DeleteFunc(c.counter.take(), func(r string) bool { return strings.HasPrefix(r, "GET ") }); len(writes) > 0 {
		t.Errorf("it wrote:\n%s", strings.Join(writes, "\n"))
	}
	here.do("HEAD", "/v2/repo/blobs/"+string(layer), nil, nil, 404)
}

// sharedMap is a cache that replicas share.
type sharedMap struct {
	mu     sync.Mutex
	more   sync.Cond
	values map[string][]byte
}

func newSharedMap() *sharedMap {
	s := &sharedMap{values: map[string][]byte{}}
	s.more.L = &s.mu
	return s
}

// await waits until it holds so many values: they are given in the background.
func (s *sharedMap) await(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.values) < n {
		s.more.Wait()
	}
}

func (s *sharedMap) Get(_ context.Context, keys []string) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = s.values[k]
	}
	return out, nil
}

func (s *sharedMap) Set(_ context.Context, key string, value []byte, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = slices.Clone(value)
	s.more.Broadcast()
	return nil
}

func (s *sharedMap) Delete(_ context.Context, keys ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.values, k)
	}
	return nil
}

func (s *sharedMap) Add(context.Context, string, int64, time.Duration) (int64, error) {
	return 0, errors.New("nobody counts here")
}

func (s *sharedMap) Close() error { return nil }
